# SPDX-License-Identifier: Apache-2.0
"""What PSCI calls and device accesses cost, in virtual time, and what of it is ours.

    tools/bench-micro [--cpus N] [--json FILE] [--check | --confined]

Runs kvm-floor (KVM alone) and guest-stub's micro_bench, with PSCI answered by
the VMM and by KVM, in the deterministic emulated host, and prints the table of
docs/results.md as Markdown. --check compares with tools/bench-micro.json and fails if
a figure is more than 2 % worse, or misses one of the bounds below. With 129
CPUs there are also the figures for 128 (5 minutes); that is not what was
recorded, so nothing to compare with. --confined compares the VMM with itself,
without and with --seccomp, and prints the table of docs/security.md.

Exit status: 0, 1 a figure got worse or misses its bound, 2 usage, or
arm64-host's. Build first: tools/build arm64.
"""

import argparse
import json
import re
import subprocess
import sys

from parkvmm import outputs
from parkvmm.labels import VIRTUAL_TIME
from parkvmm.paths import ROOT, TOOLS

RECORD = TOOLS / "bench-micro.json"
CONFINED = ROOT / "docs/results/bench-micro-confined.json"
PAYLOAD = "build/arm64/stub/micro_bench.bin"
CPUS = 33  # what was recorded
REGISTER = 1400  # ns that one KVM_GET/SET_ONE_REG is allowed
TOLERANCE = 1.02
OURS = 1.05  # times the floor
LINE = re.compile(r"\[(?:floor|bench)\] (\w+) nanoseconds (\d+) of \d+")

NAMES = {"hvc_kvm": "hypercall that KVM handles",
         "psci_version": "PSCI_VERSION",
         "psci_affinity_info": "AFFINITY_INFO",
         "mmio_read": "read of a device of ours",
         "mmio_write": "write to it",
         "cpu_on_1": "CPU_ON to the target's first C++ instruction",
         "cpu_on_8": "8 CPUs on, first call to last CPU",
         "cpu_on_32": "32 CPUs on",
         "cpu_on_128": "128 CPUs on",
         "cpu_off_1": "CPU_OFF until another CPU sees OFF",
         "cpu_off_8": "8 CPUs off at once, until all are seen OFF",
         "cpu_off_32": "32 CPUs off at once",
         "cpu_off_128": "128 CPUs off at once",
         "ipi_1": "an IPI to another CPU, until it has taken it",
         "ipi_8": "an IPI to 8 CPUs, until the last has taken it",
         "ipi_32": "an IPI to 32 CPUs",
         "ipi_128": "an IPI to 128 CPUs",
         "ipi_off_1": "an IPI that it leaves with, until it is seen OFF",
         "ipi_off_8": "an IPI that 8 CPUs leave with, until all are seen OFF",
         "ipi_off_32": "an IPI that 32 CPUs leave with",
         "ipi_off_128": "an IPI that 128 CPUs leave with",
         "ctr_el0": "a read of CTR_EL0"}

Figures = dict[str, int]


def run(cpus: int, *command: str) -> Figures:
    # One host CPU for each of the payload's, and one for the VMM.
    done = subprocess.run(
        ["tools/arm64-host", "--deterministic", "--cpus", str(cpus + 1), "--",
         *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr, end="")
        sys.exit(done.returncode)
    return {name: int(ns) for name, ns in LINE.findall(done.stdout)}


def payload(cpus: int, psci: str, seccomp: str = "off") -> Figures:
    """Unconfined, as what was recorded, unless `seccomp` says otherwise."""
    park = "host" if psci == "vmm" else "off"
    return run(cpus, "vmm", "run", "--raw", "--cpus", str(cpus), "--memory", "64M",
               "--park", park, "--seccomp", seccomp, "--psci", psci, PAYLOAD)


def measure(cpus: int) -> dict[str, Figures]:
    return {"floor": run(cpus, "kvm-floor"), "vmm": payload(cpus, "vmm"),
            "kvm": payload(cpus, "kvm")}


def measure_confined(cpus: int) -> dict[str, Figures]:
    return {"off": payload(cpus, "vmm"), "on": payload(cpus, "vmm", "on")}


def bounds(figures: dict[str, Figures]) -> dict[str, float]:
    """What a figure of the VMM's must not exceed, in ns."""
    floor, kvm = figures["floor"], figures["kvm"]
    return {
        "mmio_read": min(6400, OURS * floor["mmio_read"]),
        "mmio_write": OURS * floor["mmio_write"],
        # X0 is written; AFFINITY_INFO reads X1 and X2 besides.
        "psci_version": OURS * (floor["hypercall"] + REGISTER),
        "psci_affinity_info": OURS * (floor["hypercall"] + 3 * REGISTER),
        "cpu_on_1": 2.5 * kvm["cpu_on_1"],
    }


def table(figures: dict[str, Figures]) -> str:
    limits = bounds(figures)
    rows = ["| virtual time, us | `--psci vmm` | bound | `--psci kvm` |",
            "|---|---|---|---|"]
    for key, name in NAMES.items():
        if key not in figures["vmm"]:
            continue
        bound = f"{limits[key] / 1000:.2f}" if key in limits else ""
        rows.append(f"| {name} | {figures['vmm'][key] / 1000:.2f} | {bound} "
                    f"| {figures['kvm'][key] / 1000:.2f} |")
    floor = figures["floor"]
    rows.append("")
    rows.append("The floor, KVM alone: " + ", ".join(
        f"{key.replace('_', ' ')} {ns / 1000:.2f}"
        for key, ns in floor.items()) + " us.")
    return "\n".join(rows)


def confined_table(figures: dict[str, Figures]) -> str:
    off, on = figures["off"], figures["on"]
    return "\n".join(
        ["| virtual time, us | `--seccomp off` | `--seccomp on` |", "|---|--:|--:|",
         *(f"| {name} | {off[key] / 1000:.2f} | {on[key] / 1000:.2f} |"
           for key, name in NAMES.items() if key in off)])


def complaints(figures: dict[str, Figures]) -> list[str]:
    found = [f"{name} is {figures['vmm'][name]} ns, its bound {limit:.0f} ns"
             for name, limit in bounds(figures).items()
             if figures["vmm"][name] > limit]
    record = json.loads(RECORD.read_text())
    for name, before in record["figures"]["vmm"].items():
        if name not in figures["vmm"]:
            found.append(f"{name} was not measured")
            continue
        now = figures["vmm"][name]
        if now > before * TOLERANCE:
            found.append(f"{name} was {before} ns and is {now} ns")
    return found


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description="Measures calls and accesses in virtual time.")
    parser.add_argument("--json", type=outputs.argument, metavar="FILE",
                        help="write the figures")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true",
                     help="fail if a figure is worse than the recorded one")
    how.add_argument("--confined", action="store_true",
                     help="what --seccomp on adds to each figure")
    parser.add_argument("--cpus", type=int, default=CPUS, metavar="N",
                        help=f"the payload's, 2 to 129 (default: {CPUS})")
    options = parser.parse_args(argv)
    if not 2 <= options.cpus <= 129:
        parser.error(f"--cpus {options.cpus}: 2 to 129")
    if options.check and options.cpus != CPUS:
        parser.error(f"--check is for the {CPUS} CPUs that were recorded")
    figures = (measure_confined if options.confined else measure)(options.cpus)
    print((confined_table if options.confined else table)(figures))
    if options.json:
        outputs.save(options.json, json.dumps(
            {"schema_version": 1, "label": VIRTUAL_TIME, "figures": figures}, indent=2) + "\n")
    worse = complaints(figures) if options.check else []
    for line in worse:
        print(f"bench-micro: {line}", file=sys.stderr)
    return 1 if worse else 0
