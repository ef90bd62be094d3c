# SPDX-License-Identifier: Apache-2.0
"""Guests that fail in each way, and what CI systems are told of it: docs/failures.md.

    PYTHONPATH=tools /usr/bin/python3 tools/dev/failure_gallery.py run     # docs/results/failures/
    PYTHONPATH=tools /usr/bin/python3 tools/dev/failure_gallery.py write   # docs/failures.md

`run` needs an arm64 build and a guest image, and takes some minutes in an emulated host. `write`
needs what it left; a test compares the page with it.
"""

import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
from typing import Any

from parkvmm.cases import formats
from parkvmm.cases.cases import suite_of
from parkvmm.guest.run import PARAMS
from parkvmm.paths import ROOT

RESULTS = ROOT / "docs/results/failures"
PAGE = ROOT / "docs/failures.md"
STUB = "build/arm64/stub"
FAULTY = "build/arm64/bin/vmm-faulty"
IMAGE = "build/guest/debian/Image"
INITRD = "build/guest/initramfs.cpio"
DEADLINE = "900s"
LINUX = (f"--seed 1 -c 4 -m 1G -p '{PARAMS} cryptomgr.notests park.cycles=2' -i {INITRD} "
         f"--expect-kexecs 2 {IMAGE}")
# Of each: a heading, and how it is brought about.
FAILURES = {
    "panics": ("A guest that panics", f"vmm run --seed 1 -m 512M -p console=ttyAMA0 "
               f"-p 'quiet panic=-1 cryptomgr.notests' {IMAGE}"),
    "hangs": ("A guest that hangs", f"vmm run --raw {STUB}/hang.bin -m 64M --timeout 1s"),
    "resets": ("A guest that resets", f"vmm run --raw {STUB}/system_reset.bin -m 64M"),
    "prints": ("A guest that prints for ever", f"vmm run --raw {STUB}/flood.bin -m 64M "
               "-p count=1000000000 --timeout 1s"),
    "silent": ("A guest that dies before its first line", "vmm run /tmp/silent -m 64M "
               "--timeout 1s"),
    "lost": ("A guest that loses a CPU", f"{FAULTY} 2:2 run {LINUX}"),
    "slow": ("A guest that exceeds a budget", f"vmm run --max down=100us {LINUX}"),
}
# An Image of nothing but a header: its first instruction is undefined.
SILENT = r"(head -c 56 /dev/zero; printf 'ARMd'; head -c 4036 /dev/zero) >/tmp/silent"
SHOWN_DETAILS = 6  # lines; a page is not for reading consoles


def run() -> None:
    script = f"set +e\n{SILENT}\n"
    for name, (_, command) in FAILURES.items():
        script += (f"{command} --results $RESULTS/{name}.json --format text:$RESULTS/{name}.text "
                   f">/dev/null 2>$RESULTS/{name}.stderr\n")
    script += "exit 0\n"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["tools/arm64-host", "--deterministic", "--cpus", "4", "--timeout", DEADLINE, "--out",
             folder, *(word for path in (STUB, FAULTY, IMAGE, INITRD)
                       for word in ("--file", path)), "--", "sh", "-c", script],
            cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=1200)
        RESULTS.mkdir(parents=True, exist_ok=True)
        for name in FAILURES:
            for kind in ("json", "text"):
                content = pathlib.Path(folder, f"{name}.{kind}").read_text()
                (RESULTS / f"{name}.{kind}").write_text(content)


def block(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))


def shortened(document: dict[str, Any]) -> dict[str, Any]:
    """Returns results whose cases have no more details than a page has room for."""
    cases = [case | {"details": case["details"][-SHOWN_DETAILS:]} for case in document["cases"]]
    return document | {"cases": cases}


def section(name: str) -> str:
    heading, command = FAILURES[name]
    document = shortened(json.loads((RESULTS / f"{name}.json").read_text()))
    suite = suite_of(document["arm"], document)
    stop = {key: document["stop"][key] for key in ("exit_code", "id", "sentence")}
    shown = {"text": (RESULTS / f"{name}.text").read_text(), "junit": formats.junit([suite]),
             "ktap": formats.ktap([suite]), "tap": formats.tap([suite]),
             "github": formats.annotations([suite]),
             "json": f'"stop": {json.dumps(stop, indent=1)}'}
    text = (f"## {heading}\n\n{block(shlex.join(shlex.split(command)))}\n"
            f"Exit code {document['stop']['exit_code']}.\n")
    for kind, content in shown.items():
        text += f"\n`{kind}`:\n\n{block(content)}"
    return text


def page() -> str:
    return ("<!-- SPDX-License-Identifier: Apache-2.0 -->\n# How failures look\n\n"
            "Made by tools/dev/failure_gallery.py of docs/results/failures: runs in virtual time "
            "of an\nemulated host, in each of the [formats for CI](formats.md#formats-for-ci). Of "
            "what was found at\nthe end, the last six lines are shown; of `json`, how the run "
            "ended.\n\n" + "\n".join(map(section, FAILURES)))


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        run()
    elif sys.argv[1:] == ["write"]:
        PAGE.write_text(page())
    else:
        sys.exit(__doc__)
