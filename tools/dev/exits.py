# SPDX-License-Identifier: Apache-2.0
"""Why the guest of the demo leaves its CPUs to KVM while it boots: docs/results.md.

    PYTHONPATH=tools /usr/bin/python3 tools/dev/exits.py run      # docs/results/exits.json
    PYTHONPATH=tools /usr/bin/python3 tools/dev/exits.py write    # docs/results.md

`run` needs an arm64 build and a guest image. It boots the guest twice in the emulated host, the
second time with KVM's tracepoints counted, which takes time of its own. `write` needs what it left;
a test compares the page with it.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
from typing import Any

import tried
from parkvmm.bench import micro
from parkvmm.guest.run import PARAMS, SHORT_BOOT
from parkvmm.paths import ROOT

RECORD = ROOT / "docs/results/exits.json"
PAGE = ROOT / "docs/results.md"
BEGIN = "<!-- tools/dev/exits.py writes from here -->"
FILES = ("build/guest/debian/Image", "build/guest/initramfs.cpio", "build/arm64/bin/vmm")
CPUS = 4
BOOT = (f"vmm run --cpus {CPUS} --memory 1G --seed 1 --timeout 5m "
        f"--params '{PARAMS} {SHORT_BOOT} park.cycles=0' --initrd {FILES[1]} {FILES[0]} "
        ">/dev/null 2>&1")
SCRIPT = f"""
set -e
{BOOT} --results $RESULTS/results.json
mount -t tracefs none /sys/kernel/tracing
events=/sys/kernel/tracing/events/kvm
echo 'hist:keys=Op1 if Op1==3&&CRn==0&&CRm==0&&Op2==1' >$events/kvm_sys_access/trigger
echo 'hist:keys=esr_ec' >$events/kvm_exit/trigger
{BOOT}
cat $events/kvm_sys_access/hist >$RESULTS/ctr
cat $events/kvm_exit/hist >$RESULTS/exits
"""
# Exception classes of ESR_EL2, and 0 for an interrupt.
CLASSES = {0x00: "an interrupt of the host's", 0x01: "WFI", 0x16: "HVC",
           0x18: "another system register", 0x20: "a page of RAM that was not there yet, code",
           0x24: "a device, or a page of RAM that was not there yet"}


def counts_of(histogram: str) -> dict[int, int]:
    """Reads what tracefs says of a histogram with one key."""
    return {int(key): int(count) for key, count in re.findall(
        r"^\{ \w+: +(\d+) \} hitcount: +(\d+)$", histogram, re.M)}


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tools/arm64-host", "--deterministic", "--cpus", str(CPUS), "--timeout",
                        "900s", "--out", folder, "--", "sh", "-c", SCRIPT, "sh", *FILES],
                       cwd=ROOT, check=True)
        left = pathlib.Path(folder)
        results = json.loads((left / "results.json").read_text())
        classes = counts_of((left / "exits").read_text())
        unknown = sorted(set(classes) - set(CLASSES))
        if unknown:
            raise SystemExit(f"exits: classes without a name: {unknown}")
        RECORD.write_text(json.dumps({
            "label": results["label"], "commit": results["tool"]["commit"], "cpus": CPUS,
            "early_ns": results["boots"][0]["phase_ns"]["early"],
            "ctr_el0": sum(counts_of((left / "ctr").read_text()).values()),
            "classes": {str(number): count for number, count in sorted(classes.items())}},
            indent=1) + "\n")


def text_of(record: dict[str, Any]) -> str:
    """Returns the table, and what it comes to."""
    reads = record["ctr_el0"]
    named = {CLASSES[int(number)]: count for number, count in record["classes"].items()}
    named["another system register"] -= reads
    named["a read of CTR_EL0"] = reads
    cost = json.loads(micro.RECORD.read_text())["figures"]["vmm"]["ctr_el0"]
    rows = [f"| {name} | {count:,} |" for name, count in
            sorted(named.items(), key=lambda row: -row[1])]
    said = (f"A read costs {cost / 1000:.2f} us ([below](#what-a-call-costs)): {reads:,} of them "
            f"are {reads * cost / 1e6:.0f} of the {record['early_ns'] / 1e6:.0f} ms that \"early\" "
            f"takes when nothing is counted (commit {record['commit'][:12]}).")
    return "\n".join([f"| why, in a boot with {record['cpus']} CPUs | times |", "|---|--:|", *rows,
                      "", *textwrap.wrap(said, 100, break_on_hyphens=False)])


def written(page: str, record: dict[str, Any]) -> str:
    return tried.between(page, BEGIN, text_of(record))


def write() -> None:
    PAGE.write_text(written(PAGE.read_text(), json.loads(RECORD.read_text())))


if __name__ == "__main__":
    {"run": run, "write": write}[sys.argv[1]]()
