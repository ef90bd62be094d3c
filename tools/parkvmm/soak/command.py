# SPDX-License-Identifier: Apache-2.0
"""Kexecs thousands of times, in guests of many kinds, and no CPU may be lost.

    tools/soak [OPTION]...

A soak is units: each is a guest that kexecs into itself several times. Arm, CPUs, host, firmware,
park mode and devices of a unit are drawn from --seed and its number, so that a failure is repeated
by --unit. Arms are those of tools/demo --arms, and `stub`: a guest without an operating system that
kexecs as Linux does by hotplug. In virtual time. A soak that was interrupted goes on where it was.
Into --out: soak.json, a file and a folder of each unit.

Exit status: 0 all went well, 1 a unit did not, 2 usage, 69 something is missing, 74 a --format
could not be written, 130 interrupted.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import sys
import time

from parkvmm import locks, outputs
from parkvmm.bench.runner import VMM, host_files
from parkvmm.cases import output
from parkvmm.cases.cases import Suite
from parkvmm.failure import DIFFERS, OUTPUT_LOST, Failure, end_with
from parkvmm.files import digest
from parkvmm.guest import arms
from parkvmm.paths import ROOT
from parkvmm.soak import run
from parkvmm.soak.plan import STUB, Unit, arms_of, at_least_one, cpus_of, plan, unit_of


def say(message: str) -> None:
    print(f"soak: {message}", file=sys.stderr, flush=True)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/soak", usage="tools/soak [OPTION]...", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kexecs", type=at_least_one, default=200, metavar="N",
                        help="in all (200)")
    parser.add_argument("--arms", type=arms_of, default=f"{STUB},module,park-host",
                        metavar="LIST", help=f"with commas, or all ({STUB},module,park-host)")
    parser.add_argument("--cpus", type=cpus_of, default="1,2,4,8,16", metavar="LIST",
                        help="the guests' (1,2,4,8,16)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the units (1)")
    parser.add_argument("--unit", type=at_least_one, metavar="N", help="this one alone, once more")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/soak", metavar="DIR",
                        help="default: out/soak")
    output.add_option(parser)
    return parser.parse_args(argv)


def prepare(units: list[Unit]) -> str:
    """Builds what the units take. Returns a hash of what their bytes depend on beside them."""
    arms.build("tools/setup", "--quiet")
    arms.build("tools/build", "arm64")
    arms.prepare({(unit.arm, "default", "") for unit in units if unit.arm != STUB})
    run.write_image()
    parts = [VMM, ROOT / run.IMAGE, ROOT / run.PROBE, *host_files()]
    return hashlib.sha256("".join(map(digest, parts)).encode()).hexdigest()


def again(unit: Unit, options: argparse.Namespace) -> str:
    return (f"tools/soak --kexecs {options.kexecs} --arms {','.join(options.arms)} --cpus "
            f"{','.join(map(str, options.cpus))} --seed {options.seed} --unit {unit.number}")


def table(outcomes: list[run.Outcome]) -> str:
    rows: dict[str, collections.Counter[str]] = {}
    for outcome in outcomes:
        row = rows.setdefault(outcome.unit.arm, collections.Counter())
        row.update(units=1, kexecs=outcome.kexecs, lost=outcome.cpus_lost,
                   back=outcome.kexecs * outcome.unit.cpus - outcome.cpus_lost,
                   failed=bool(outcome.wrong))
    lines = [f"{'arm':16}{'units':>7}{'kexecs':>8}{'CPUs back':>11}{'lost':>6}{'failed':>8}"]
    lines += [f"{arm:16}{row['units']:7}{row['kexecs']:8}{row['back']:11}{row['lost']:6}"
              f"{row['failed']:8}" for arm, row in sorted(rows.items())]
    return "\n".join(lines)


def document(options: argparse.Namespace, outcomes: list[run.Outcome], key: str) -> dict:
    return {"schema_version": 1, "kind": "parkvmm-soak", "seed": options.seed, "key": key,
            "kexecs": sum(outcome.kexecs for outcome in outcomes),
            "cpus_lost": sum(outcome.cpus_lost for outcome in outcomes),
            "failed": [outcome.unit.number for outcome in outcomes if outcome.wrong],
            "units": [outcome.document(key) for outcome in outcomes]}


def soak(units: list[Unit], options: argparse.Namespace, key: str) -> list[run.Outcome]:
    outcomes: list[run.Outcome] = []
    total = sum(unit.kexecs for unit in units)
    begin, fresh, done = time.monotonic(), 0, 0
    for unit in units:
        path = options.out / f"{unit.name}.json"
        outcome = None if options.unit else run.kept(path, unit, key)
        if outcome is None:
            outcome = run.run(unit, options.out / unit.name)
            run.keep(path, outcome, key)
            fresh += unit.kexecs
            left = (time.monotonic() - begin) / fresh * (total - done - unit.kexecs)
            say(f"{unit.number} of {len(units)}: {unit}: {outcome.wrong or 'pass'}; about "
                f"{left / 60:.0f} min left")
            if outcome.wrong:
                say(f"again: {again(unit, options)}")
        done += unit.kexecs
        outcomes.append(outcome)
        if not options.unit:  # One that is repeated is no soak.
            outputs.write(str(options.out / "soak.json"), (
                json.dumps(document(options, outcomes, key), indent=1) + "\n").encode())
    return outcomes


def main(argv: list[str]) -> int:
    options = parse(argv)
    formats = output.parse_all(options.format)
    units = list(plan(options.seed, options.kexecs, options.arms, options.cpus))
    if options.unit:
        units = [unit_of(units, options.unit)]
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(OUTPUT_LOST, f"cannot write {options.out}: {error.strerror}") from None
    with locks.alone_in(options.out, "tools/soak"):
        outcomes = soak(units, options, prepare(units))
    print(table(outcomes), flush=True)
    suites: list[Suite] = [run.suite(outcome, options.out / outcome.unit.name)
                           for outcome in outcomes]
    good = sum(not outcome.wrong for outcome in outcomes)
    lost = output.write_all(formats, suites, f"{good} of {len(outcomes)} units went well")
    for line in lost:
        say(line)
    return DIFFERS if good < len(outcomes) else OUTPUT_LOST if lost else 0


if __name__ == "__main__":
    end_with("soak", main)
