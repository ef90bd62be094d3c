# SPDX-License-Identifier: Apache-2.0
"""Runs vmm, or a script around it, in an arm64 host, and reads what it left."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from parkvmm.guest.run import PARAMS, SHORT_BOOT  # noqa: E402

# A third of a boot in the emulated host is console output. Warnings stay, by which a guest is
# judged: `quiet` would leave them out.
LESS = f"loglevel=5 {SHORT_BOOT}"

IMAGE = "build/guest/debian/Image"
INITRAMFS = "build/guest/initramfs.cpio"
SLACK = 120  # seconds that a host may take beyond its command's own deadline
# Set by `tools/test wall-clock`: what needs an emulated host of some kind is skipped.
WALL_CLOCK_ONLY = bool(os.environ.get("PARKVMM_WALL_CLOCK"))


@functools.cache
def is_native() -> bool:
    """Whether a host without options is this very machine."""
    return subprocess.run([ROOT / "tools/arm64-host", "--probe"], capture_output=True,
                          timeout=60, check=False).returncode == 0


def what_is_missing() -> str:
    """Why there can be no arm64 host here; empty if there can."""
    for path in (ROOT / IMAGE, ROOT / "build/arm64/bin/vmm"):
        if not path.exists():
            return f"{path.relative_to(ROOT)} is missing; run tools/test"
    if not shutil.which("qemu-system-aarch64") and not (WALL_CLOCK_ONLY and is_native()):
        return "qemu-system-aarch64 is not installed; run tools/setup emulator"
    return ""


def needs_emulation(options: tuple[str, ...]) -> None:
    """Skips a test whose host has to be of a kind, where that is not wanted."""
    import pytest

    if WALL_CLOCK_ONLY and options:
        pytest.skip(f"an emulated host: {' '.join(options)}")


def require() -> None:
    """Where there is no arm64 host: a skip that says so, or a failure if
    PARKVMM_REQUIRE_KVM says that there must be one."""
    import pytest  # Here, for scripts of ours need no pytest.

    missing = what_is_missing()
    if missing and os.environ.get("PARKVMM_REQUIRE_KVM"):
        pytest.fail(f"no arm64 host: {missing}")
    if missing:
        pytest.skip(f"no arm64 host: {missing}")


@dataclasses.dataclass
class Outcome:
    status: int
    stdout: str
    stderr: str
    results: pathlib.Path  # what the command left in $RESULTS

    def json(self, name: str = "results.json") -> dict[str, Any]:
        return json.loads((self.results / name).read_text())

    def events(self, name: str = "events.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line)
                for line in (self.results / name).read_text().splitlines()]

    def explain(self) -> str:
        return f"status {self.status}\n{self.stderr}\n{self.stdout[-2000:]}"


class Host:
    """One folder's worth of runs. Virtual time unless a test needs wall-clock
    time: it takes one core of ours, and a busy machine changes nothing."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._runs = 0

    def run(self, command: list[str], *, options: tuple[str, ...] = (),
            deterministic: bool = True, cpus: int = 4,
            deadline: int = 450) -> Outcome:
        self._runs += 1
        out = self._folder / f"run{self._runs}"
        words = ["tools/arm64-host", "--cpus", str(cpus), "--out", str(out),
                 "--timeout", f"{deadline}s", *options]
        if deterministic:
            words.append("--deterministic")
            options += ("--deterministic",)
        needs_emulation(options)
        done = subprocess.run([*words, "--", *command], cwd=ROOT, text=True,
                              capture_output=True, timeout=deadline + SLACK,
                              stdin=subprocess.DEVNULL, check=False)
        return Outcome(done.returncode, done.stdout, done.stderr, out)

    def linux(self, *words: str, params: str = "", image: str = IMAGE,
              initrd: str = INITRAMFS, **how: Any) -> Outcome:
        """vmm run of Debian's kernel, or another one, with guest-init."""
        return self.run(
            ["vmm", "run", "--seed", "1", "--memory", "1G",
             "--params", f"{PARAMS} {LESS} {params}", "--initrd", initrd,
             "--results", "@RESULTS@/results.json",
             "--events", "@RESULTS@/events.jsonl", *words, image], **how)

    def script(self, text: str, files: tuple[str, ...] = (),
               **how: Any) -> Outcome:
        """A shell script; --file takes along what it names."""
        options = tuple(how.pop("options", ()))
        for file in files:
            options += ("--file", file)
        return self.run(["sh", "-euc", text], options=options, **how)
