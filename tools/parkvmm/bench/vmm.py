# SPDX-License-Identifier: Apache-2.0
"""What the VMM itself costs, in virtual time: to start, to end, in memory, while idle.

    tools/bench-vmm [--cpus N,N...] [--qemu] [--kvmtool FILE] [--check | --record]
    tools/bench-vmm --write-docs

Measures from outside, in the deterministic emulated host: small guests of guest-stub,
and Debian's kernel with its initramfs. --qemu and --kvmtool measure the same guests in
those programs. --check compares with tools/bench-vmm.json, and fails if a figure but the
end is more than 3 % worse (an idle guest's time 15 %), or if 100 kexecs leave more than 3 %
more of the VMM's own memory than 5 did, without --results. --record writes the figures
there, and into docs/costs.md.

Exit status: 0, 1 a figure got worse, 2 usage, or arm64-host's. Build first:
tools/build arm64, tools/guest-image, and for --qemu tools/setup peer.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from parkvmm import outputs
from parkvmm.bench import vmm_guests
from parkvmm.bench.vmm_costs import Figures, cpus_of, is_peers, tables, written
from parkvmm.failure import UNAVAILABLE, Failure
from parkvmm.labels import VIRTUAL_TIME
from parkvmm.paths import ROOT, SCRATCH, TOOLS

RECORD = TOOLS / "bench-vmm.json"
DOCUMENT = ROOT / "docs" / "costs.md"
CPUS = (1, 8)  # --check takes a few minutes.
LEAST_HOST_CPUS = 4
TOLERANCE = 1.03
# When an idle guest's timers meet depends on all that came before.
IDLE, IDLE_TOLERANCE = " idle_ns", 1.15
HOST_TIMEOUT = "2h"
# Closing a VM waits for grace periods of the host's kernel, which take what they take.
UNCHECKED = " end_ns"
EARLY, LATE = " after_5_bytes", " after_100_bytes"
LINE = re.compile(r"\[probe\] (\S+) (\w+) (\d+)")


def measure(cpus: int, script: list[str], files: list[str]) -> Figures:
    done = subprocess.run(
        ["tools/arm64-host", "--deterministic", "--cpus", str(max(cpus, LEAST_HOST_CPUS)),
         "--timeout", HOST_TIMEOUT, *(word for file in [vmm_guests.PROBE, *files]
                                      for word in ("--file", file)),
         "--", "sh", "-euc", "\n".join(script)],
        cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(done.returncode, f"the arm64 host ended with {done.returncode}:\n"
                      f"{done.stderr.strip()}")
    return {f"{name} {figure}": int(number) for name, figure, number in LINE.findall(done.stdout)}


def measure_vmm(cpus: int) -> Figures:
    return measure(cpus, vmm_guests.of_vmm(cpus), vmm_guests.GUESTS)


def measure_qemu(cpus: int) -> Figures:
    return measure(cpus, [*vmm_guests.PREPARE_QEMU, *vmm_guests.of_peer(
        "qemu", vmm_guests.qemu, cpus)],
        [*vmm_guests.GUESTS, str(vmm_guests.PEER.relative_to(ROOT))])


def measure_kvmtool(cpus: int, program: pathlib.Path) -> Figures:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kvmtool.", dir=SCRATCH) as name:
        copy = pathlib.Path(name, "lkvm")
        shutil.copy(program, copy)
        copy.chmod(0o755)
        inside = str(copy.relative_to(ROOT))
        return measure(cpus, vmm_guests.of_peer("kvmtool", vmm_guests.Kvmtool(inside), cpus),
                       [*vmm_guests.GUESTS, inside])


def complaints(figures: Figures, recorded: Figures) -> list[str]:
    """Returns what got worse, of the numbers of vCPUs that were measured. What a peer takes is
    not the VMM's fault."""
    found = []
    measured = {cpus_of(key) for key in figures}
    for key, before in recorded.items():
        if key.endswith(UNCHECKED) or is_peers(key) or cpus_of(key) not in measured:
            continue
        if key not in figures:
            found.append(f"{key} was not measured")
        elif figures[key] > before * (IDLE_TOLERANCE if key.endswith(IDLE) else TOLERANCE):
            found.append(f"{key} was {before} and is {figures[key]}")
    for key in figures:
        name = key.removesuffix(LATE)
        # With --results the VMM has each kexec in memory, until it writes them.
        if name == key or "-results-" in name:
            continue
        if figures[key] > figures[name + EARLY] * TOLERANCE:
            found.append(f"{name} takes {figures[name + EARLY]} bytes after 5 kexecs and "
                         f"{figures[key]} after 100")
    return found


def numbers(text: str) -> list[int]:
    found = [int(word) for word in text.split(",") if word.isdecimal() and 1 <= int(word) <= 512]
    if len(found) != text.count(",") + 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of 1 to 512, such as 1,8")
    return found


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench-vmm", allow_abbrev=False, description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", type=numbers, default=list(CPUS), metavar="N,N...",
                        help="vCPUs, 1 to 512 each (default: 1,8)")
    parser.add_argument("--qemu", action="store_true", help="measure Debian 12's QEMU as well")
    parser.add_argument("--kvmtool", type=pathlib.Path, metavar="FILE",
                        help="measure kvmtool as well: a static arm64 lkvm")
    parser.add_argument("--json", type=outputs.argument, metavar="FILE", help="write the figures")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true",
                      help="fail if a figure is worse than the recorded one")
    what.add_argument("--record", action="store_true",
                      help="put the figures in the place of recorded ones, and into the document")
    what.add_argument("--write-docs", action="store_true",
                      help="measure nothing; write what is recorded into the document")
    return parser.parse_args(argv)


def recorded() -> dict:
    return json.loads(RECORD.read_text())


def write_document() -> None:
    DOCUMENT.write_text(written(DOCUMENT.read_text(), recorded()))


def measure_all(options: argparse.Namespace) -> dict:
    """Returns what a record holds."""
    found: dict = {"schema_version": 1, "label": VIRTUAL_TIME, "figures": {}}
    version = vmm_guests.PEER / "version"
    if options.qemu and not version.exists():
        raise Failure(UNAVAILABLE, f"{version} is missing; run tools/setup peer")
    if options.qemu:
        found["qemu"] = version.read_text().strip()
    if options.kvmtool:
        vmm_guests.require_static_arm64(options.kvmtool)
    for cpus in options.cpus:
        found["figures"] |= measure_vmm(cpus)
        if options.qemu:
            found["figures"] |= measure_qemu(cpus)
        if options.kvmtool:
            found["figures"] |= measure_kvmtool(cpus, options.kvmtool)
    return found


def main(argv: list[str]) -> int:
    options = parse(argv)
    if options.write_docs:
        write_document()
        return 0
    found = measure_all(options)
    print(tables(found["figures"]))
    if options.json:
        outputs.save(options.json, json.dumps(found, indent=2) + "\n")
    if options.record:
        before = recorded() if RECORD.exists() else {"figures": {}}
        merged = before | found | {"figures": before["figures"] | found["figures"]}
        RECORD.write_text(json.dumps(merged, indent=2) + "\n")
        write_document()
    worse = complaints(found["figures"], recorded()["figures"]) if options.check else []
    for line in worse:
        print(f"bench-vmm: {line}", file=sys.stderr)
    return 1 if worse else 0
