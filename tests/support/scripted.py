# SPDX-License-Identifier: Apache-2.0
"""Runs that never were: the VMM's own code (scripted_run.cc) writes results and
events of a run whose events a test gives."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/host/bin/scripted_run"
VERSION, CPU_OFF, CPU_ON, AFFINITY_INFO = 0x84000000, 0x84000002, 0xc4000003, 0xc4000004
UP, KEXEC, STEP_ENTER, STEP_EXIT, STEP_NAME = 1, 2, 3, 4, 5  # vmm/devices/mark_abi.h
OFF = 1  # AFFINITY_INFO's answer
ENTRY, PLACE = 0x40080000, 0x7ff00000
BY_PSCI, BY_PAGE = 0, 1  # psci::Door
VIRTUAL_TIME = "kvm-on-tcg-icount"


def mpidr(cpu: int) -> int:
    return (cpu & 0xf) | cpu >> 4 << 8


class Script:
    """Collects events, each at an absolute time."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.lines: list[str] = []

    def add(self, ns: int, cpu: int, kind: str, *words: int) -> None:
        self.lines.append(" ".join(map(str, (ns, cpu, kind, *words))))

    def mark(self, ns: int, code: int, value: int | None = None) -> None:
        self.add(ns, 0, "mark", code, self.cpus if value is None else value)

    def version(self, ns: int) -> None:
        self.add(ns, 0, "psci", VERSION, 0x10001)

    def leaves(self, ns: int, cpu: int, *, page: bool = False) -> None:
        if page:
            self.add(ns, cpu, "park", PLACE)
        else:
            self.add(ns, cpu, "psci", CPU_OFF, 0)

    def off(self, ns: int, cpu: int, *, firmware: int = 0, page: bool = False) -> None:
        self.add(ns, cpu, "off", firmware, BY_PAGE if page else BY_PSCI)

    def asked(self, ns: int, cpu: int, answer: int = OFF) -> None:
        self.add(ns, 0, "psci", AFFINITY_INFO, answer, mpidr(cpu), 0)

    def called(self, ns: int, cpu: int, *, page: bool = False, result: int = 0) -> None:
        if page:
            self.add(ns, 0, "release", mpidr(cpu), ENTRY, PLACE)
        else:
            self.add(ns, 0, "psci", CPU_ON, result, mpidr(cpu), ENTRY, 0)

    def starts(self, ns: int, cpu: int, *, firmware: int = 0) -> None:
        self.add(ns, cpu, "start", firmware, ENTRY, 0)

    def first_boot(self) -> None:
        """Ends before 1000 us."""
        self.starts(0, 0)
        self.version(10_000)
        for cpu in range(1, self.cpus):
            self.called(20_000 + 1000 * cpu, cpu)
            self.starts(20_300 + 1000 * cpu, cpu)
        self.mark(900_000, UP)


@dataclasses.dataclass(frozen=True)
class Written:
    results: pathlib.Path
    events: pathlib.Path
    table: str  # as `vmm run --verbose` prints it

    def json(self) -> dict[str, Any]:
        return json.loads(self.results.read_text())

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.events.read_text().splitlines()]


@functools.cache
def program() -> pathlib.Path:
    """Builds the program, unless $SCRIPTED_RUN names one that is built, as tools/dev/mutate
    does for its copies of the tree."""
    if built := os.environ.get("SCRIPTED_RUN"):
        return pathlib.Path(built)
    subprocess.run(["tools/build", "host", "scripted_run"], cwd=ROOT, check=True,
                   capture_output=True, timeout=900)
    return PROGRAM


def run(script: Script, folder: pathlib.Path, label: str = VIRTUAL_TIME,
        arm: str = "stock") -> Written:
    written = folder / "results.json", folder / "events.jsonl"
    done = subprocess.run([program(), str(script.cpus), *written, label, arm], check=True,
                          input="\n".join(script.lines), capture_output=True, text=True,
                          timeout=60)
    return Written(*written, done.stdout)


def kexecs(script: Script) -> list[dict[str, Any]]:
    """Returns the kexecs of the results."""
    with tempfile.TemporaryDirectory() as folder:
        return run(script, pathlib.Path(folder)).json()["kexecs"]
