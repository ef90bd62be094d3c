# SPDX-License-Identifier: Apache-2.0
"""Runs the arms of a comparison, one after the other, and prints one table.

Called by `tools/demo --arms`. An arm is a kernel, how it takes its CPUs down
before a kexec, and who plays the park page; parkbench/arms.py has them all.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
from typing import Any

from parkbench import arms
from parkbench.arms import ARMS, PARAMS, ROOT
from parkvmm.failure import Failure

PHASES = ("prepare", "down", "jump", "early", "up", "userspace")


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
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--host-option", action="append", default=[])
    return parser.parse_args()


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The results of one arm; what the machine said goes to its folder."""
    arm = ARMS[name]
    out = options.out / name
    out.mkdir(parents=True, exist_ok=True)
    seconds = 240 + options.cycles * (60 + 4 * options.cpus)
    command = [
        "tools/arm64-host", *options.host_option, "--cpus", str(options.host_cpus or options.cpus),
        "--out", str(out), "--timeout", f"{seconds + 60}s", "--",
        "vmm", "run", "--cpus", str(options.cpus), "--memory", "1G", "--seed", "1",
        "--timeout", f"{seconds}s", "--arm", name, "--park", arm.park,
        "--params", f"{PARAMS} park.cycles={options.cycles} {arm.params}".strip(),
        "--expect-kexecs", str(options.cycles), "--results", "@RESULTS@/results.json",
        "--events", "@RESULTS@/events.jsonl",
        "--initrd", str(arm.initrd("default").relative_to(ROOT)),
        str(arm.kernel("default").relative_to(ROOT))]
    with open(out / "console.log", "wb") as console, open(out / "vmm.log", "wb") as log:
        status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=console,
                                stderr=log, timeout=seconds + 300, check=False).returncode
    results = out / "results.json"
    if not results.exists():
        lines = (out / "vmm.log").read_text(errors="replace").splitlines()
        raise Failure(status or 70, f"{name}: {lines[-1] if lines else 'no results'}")
    return json.loads(results.read_text()) | {"status": status}


def row(name: str, results: dict[str, Any]) -> str:
    kexecs = results["kexecs"]
    back = min((kexec["cpus_back"] for kexec in kexecs), default=0)
    cpus = kexecs[0]["cpus"] if kexecs else results["config"]["cpus"]

    def milliseconds(values: list) -> str:
        known = [value for value in values if value is not None]
        return f"{statistics.median(known) / 1e6:.3f}" if known else "-"

    cells = [milliseconds([kexec["phase_ns"][phase] for kexec in kexecs]) for phase in PHASES]
    cells.append(milliseconds([kexec["total_ns"] for kexec in kexecs]))
    good = not results["status"] and all(k["verdict"] == "pass" for k in kexecs)
    return (f"{name:16} {f'{back} of {cpus}':>9} " + " ".join(f"{cell:>10}" for cell in cells)
            + f"  {'pass' if good else 'FAIL'}  {ARMS[name].what}")


def main() -> int:
    options = parse()
    arms.prepare({(name, "default", "") for name in options.arms})
    print(f"{'[ms]':16} {'CPUs back':>9} " +
          " ".join(f"{name:>10}" for name in (*PHASES, "total")) + "  verdict", flush=True)
    report = {"schema_version": 1, "label": None, "cpus": options.cpus, "arms": []}
    status = 0
    for name in options.arms:
        results = run(name, options)
        print(row(name, results), flush=True)
        status = status or results["status"]
        report["label"] = results["label"]
        report["arms"].append({"arm": name, "results": results})
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    say(f"medians of {options.cycles} kexecs an arm, label {report['label']}; "
        f"everything else: {options.out}/ARM/")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        if str(failure):
            say(str(failure))
        sys.exit(failure.status)
