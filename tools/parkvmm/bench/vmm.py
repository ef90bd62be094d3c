# SPDX-License-Identifier: Apache-2.0
"""What the VMM itself costs, in virtual time: to start, to end, in memory, while idle.

    tools/bench-vmm [--cpus N,N...] [--json FILE] [--check]

Measures from outside (vmm-probe.sh), in the deterministic emulated host: with a
payload of guest-stub (small) and with Debian's kernel and its initramfs (linux).
--check compares with tools/bench-vmm.json and fails if a figure but the end is more
than 3 % worse.

Exit status: 0, 1 a figure got worse, 2 usage, or arm64-host's. Build first:
tools/build arm64, tools/guest-image.
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys

from parkvmm.guest.run import PARAMS
from parkvmm.labels import VIRTUAL_TIME
from parkvmm.paths import GUEST, IMAGE, ROOT, TOOLS

INITRAMFS = GUEST / "initramfs.cpio"
RECORD = TOOLS / "bench-vmm.json"
PROBE = pathlib.Path(__file__).with_name("vmm-probe.sh").relative_to(ROOT)
SMALL = "build/arm64/stub/hello.bin"
CPUS = (1, 8)  # what was recorded
LEAST_HOST_CPUS = 4
TOLERANCE = 1.03
TIMEOUT = "60s"
# Closing a VM waits for grace periods of the host's kernel, which take what they take.
UNCHECKED = " end_ns"
LINE = re.compile(r"\[probe\] (\S+) (\w+) (\d+)")
NAMES = {"start_ns": ("start to the guest's first instruction", 1e6, "ms"),
         "end_ns": ("its last one to the end of the process", 1e6, "ms"),
         "own_bytes": ("own memory, without program text", 1e3, "KB"),
         "text_bytes": ("program text in memory", 1e3, "KB"),
         "threads": ("threads", 1, ""), "files": ("open files", 1, ""),
         "idle_ns": ("CPU time in 10 s of an idle guest", 1e6, "ms")}

Figures = dict[str, int]  # by "guest-cpus figure"


def vmm(cpus: int, *words: str) -> list[str]:
    return ["vmm", "run", "--cpus", str(cpus), "--seed", "1", "--timeout", TIMEOUT, *words]


def probes(cpus: int) -> list[list[str]]:
    """Returns the probe's words for each thing that is measured."""
    def linux(end: str) -> list[str]:
        return vmm(cpus, "--memory", "1G", "--params", f"{PARAMS} park.end={end}", "--initrd",
                   str(INITRAMFS.relative_to(ROOT)), str(IMAGE.relative_to(ROOT)))
    small = vmm(cpus, "--memory", "64M", "--raw", SMALL)
    results = ["--results", "/tmp/results.json"]
    return [["start", f"small-{cpus}", *small],
            ["start", f"small-results-{cpus}", *small, *results],
            ["start", f"linux-{cpus}", *linux("poweroff")],
            ["start", f"linux-results-{cpus}", *linux("poweroff"), *results],
            ["idle", f"linux-{cpus}", *linux("idle")]]


def measure(cpus: int) -> Figures:
    script = "\n".join(shlex.join(["sh", str(PROBE), *words]) for words in probes(cpus))
    files = [PROBE, SMALL, INITRAMFS.relative_to(ROOT), IMAGE.relative_to(ROOT)]
    done = subprocess.run(
        ["tools/arm64-host", "--deterministic", "--cpus", str(max(cpus, LEAST_HOST_CPUS)),
         *(word for file in files for word in ("--file", str(file))),
         "--", "sh", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr, end="")
        sys.exit(done.returncode)
    return {f"{name} {figure}": int(number) for name, figure, number in LINE.findall(done.stdout)}


def table(figures: Figures) -> str:
    """Returns Markdown, with a column for each guest and number of vCPUs."""
    columns = list(dict.fromkeys(key.split()[0] for key in figures))
    rows = ["| virtual time | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for figure, (name, unit, suffix) in NAMES.items():
        cells = []
        for column in columns:
            number = figures.get(f"{column} {figure}")
            cells.append("" if number is None else
                         f"{number / unit:.{2 if unit == 1e6 else 0}f}")
        rows.append(f"| {name}{', ' + suffix if suffix else ''} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def complaints(figures: Figures) -> list[str]:
    found = []
    for key, before in json.loads(RECORD.read_text())["figures"].items():
        if key.endswith(UNCHECKED):
            continue
        if key not in figures:
            found.append(f"{key} was not measured")
        elif figures[key] > before * TOLERANCE:
            found.append(f"{key} was {before} and is {figures[key]}")
    return found


def numbers(text: str) -> list[int]:
    found = [int(word) for word in text.split(",") if word.isdecimal() and 1 <= int(word) <= 512]
    if len(found) != text.count(",") + 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of 1 to 512, such as 1,8")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures the VMM itself in virtual time.")
    parser.add_argument("--cpus", type=numbers, default=list(CPUS), metavar="N,N...",
                        help="vCPUs, 1 to 512 each (default: 1,8)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures")
    parser.add_argument("--check", action="store_true",
                        help="fail if a figure is worse than the recorded one")
    options = parser.parse_args()
    if options.check and options.cpus != list(CPUS):
        parser.error("--check is for the vCPUs that were recorded: 1,8")
    figures: Figures = {}
    for cpus in options.cpus:
        figures |= measure(cpus)
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(
            {"schema_version": 1, "label": VIRTUAL_TIME, "figures": figures}, indent=2) + "\n")
    worse = complaints(figures) if options.check else []
    for line in worse:
        print(f"bench-vmm: {line}", file=sys.stderr)
    return 1 if worse else 0
