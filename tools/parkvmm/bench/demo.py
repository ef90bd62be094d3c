# SPDX-License-Identifier: Apache-2.0
"""Runs arms of a comparison, one after the other, and prints one table.

Called by `tools/demo --arms`. parkvmm/guest/arms.py has all arms.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
from typing import Any

from parkvmm import outputs
from parkvmm.bench.facts import PHASES
from parkvmm.bench.plan import Unit
from parkvmm.bench.runner import vmm_words
from parkvmm.cases import output
from parkvmm.cases.cases import Suite, suite_of_folder
from parkvmm.failure import INTERNAL, OUTPUT_LOST, Failure
from parkvmm.guest import arms
from parkvmm.guest.arms import ARMS
from parkvmm.guest.run import host_deadline
from parkvmm.labels import EMULATED
from parkvmm.paths import ROOT


def say(message: str) -> None:
    print(f"demo: {message}", file=sys.stderr, flush=True)


def arms_of(text: str) -> list[str]:
    names = ([name for name, arm in ARMS.items() if not arm.extra] if text == "all"
             else text.split(","))
    for name in names:
        if name not in ARMS:
            raise argparse.ArgumentTypeError(
                f"no arm {name!r}; there are: all, {', '.join(ARMS)}")
    return names


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/demo", add_help=False)
    parser.add_argument("--arms", type=arms_of, required=True)
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--host-cpus", type=int)
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--json", type=outputs.argument)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--host-option", action="append", default=[])
    parser.add_argument("--format", action="append", default=[])
    parser.add_argument("--caller", type=pathlib.Path)
    return parser.parse_args()


def unit_of(name: str, options: argparse.Namespace) -> Unit:
    return Unit(arm=name, cpus=options.cpus, host_cpus=options.host_cpus or 0, firmware="none",
                psci="vmm", variant="default", kernel="", memory="1G", cycles=options.cycles,
                warmup=0)


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs an arm, whose output goes to a folder of its own. Returns its results."""
    out = options.out / name
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.json"
    results.unlink(missing_ok=True)  # An earlier call's say nothing of this run.
    unit = unit_of(name, options)
    deadline = host_deadline(unit.kexecs, unit.cpus)
    command = ["tools/arm64-host", *options.host_option, "--cpus",
               str(unit.host_cpus or unit.cpus), "--out", str(out), "--timeout", f"{deadline}s",
               "--", *vmm_words(unit)]
    with open(out / "console.log", "wb") as console, open(out / "vmm.log", "wb") as log:
        status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=console,
                                stderr=log, timeout=deadline + 120, check=False).returncode
    if not results.exists():
        lines = (out / "vmm.log").read_text(errors="replace").splitlines()
        raise Failure(status or INTERNAL, f"{name}: {lines[-1] if lines else 'no results'}")
    document: dict[str, Any] = json.loads(results.read_text())
    return document | {"status": status}


def milliseconds(values: list[int | None]) -> str:
    """Returns the median in six characters, as vmm's table has it."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    median = statistics.median(known) / 1e6
    return next((text for digits in (3, 2, 1) if len(text := f"{median:.{digits}f}") <= 6),
                f"{median:.0f}")


def line(name: str, back: str, cells: list[str], verdict: str) -> str:
    """A line of the table, 80 columns wide. Times that mean nothing are left out."""
    widths = (8, 7, 7, 7, 7, 7, 7)
    return (f"{name:15}{back:>10}" + "".join(map(str.rjust, cells, widths))
            + f" {verdict}").rstrip()


def has_times(results: dict[str, Any]) -> bool:
    return bool(results["label"] != EMULATED)


def heading(results: dict[str, Any]) -> str:
    names = [name.removesuffix("space") for name in PHASES] + ["total"]
    return line("[ms]", "CPUs back", names, "") if has_times(results) else line(
        "", "CPUs back", [], "")


def row(name: str, results: dict[str, Any]) -> str:
    kexecs = results["kexecs"]
    back = min((kexec["cpus_back"] for kexec in kexecs), default=0)
    cpus = kexecs[0]["cpus"] if kexecs else results["config"]["cpus"]
    cells = [milliseconds([kexec["phase_ns"][phase] for kexec in kexecs]) for phase in PHASES]
    cells.append(milliseconds([kexec["total_ns"] for kexec in kexecs]))
    good = not results["status"] and all(kexec["verdict"] == "pass" for kexec in kexecs)
    return line(name, f"{back} of {cpus}", cells if has_times(results) else [],
                "pass" if good else "FAIL")


def write_formats(formats: list[output.Format], suites: list[Suite]) -> bool:
    """Returns whether all could be written."""
    good = sum(not suite.fails for suite in suites)
    lost = output.write_all(formats, suites, f"{good} of {len(suites)} arms went well")
    for line in lost:
        say(line)
    return not lost


def main() -> int:
    options = parse()
    formats = output.parse_all(options.format, options.caller)
    suites: list[Suite] = []
    arms.prepare({(name, "default", "") for name in options.arms})
    report: dict[str, Any] = {"schema_version": 1, "label": None, "cpus": options.cpus, "arms": []}
    status = 0
    for name in options.arms:
        say(f"{name}: {ARMS[name].what}")
        try:
            results = run(name, options)
        except Failure as failure:
            suites.append(suite_of_folder(name, options.out / name, failure.status))
            write_formats(formats, suites)
            raise
        suites.append(suite_of_folder(name, options.out / name, results["status"]))
        if not report["arms"]:
            print(heading(results), flush=True)
        print(row(name, results), flush=True)
        status = status or results["status"]
        report["label"] = results["label"]
        report["arms"].append({"arm": name, "results": results})
    lost = outputs.lost(options.json, json.dumps(report, indent=2) + "\n") if options.json else []
    for line in lost:
        say(line)
    say(f"medians of {options.cycles} kexecs an arm, label {report['label']}; "
        f"everything else: {options.out}/ARM/")
    written = write_formats(formats, suites)
    return status or (0 if written and not lost else OUTPUT_LOST)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        if str(failure):
            say(str(failure))
        sys.exit(failure.status)
