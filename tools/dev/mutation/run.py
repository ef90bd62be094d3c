# SPDX-License-Identifier: Apache-2.0
"""Runs the host unit tests that reach a C++ mutant, until one fails."""

import mmap
import os
import pathlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .build import BINARIES, MOST, TREE
from .mutants import Broken, Mutant

PATIENCE = 10  # times the seconds that tests take without a mutant
SLACK = 5  # seconds on top: the machine may be busy
CASE_DEADLINE = 300
FAILED = re.compile(r"^\[  FAILED  \] (\S+?),? .*\(\d+ ms\)$", re.MULTILINE)
RUNS = re.compile(r"^\[ RUN      \] (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    binary: str
    name: str
    seconds: float
    reached: frozenset[int]


def run(binary: str, names: Iterable[str], environment: dict[str, str], deadline: float
        ) -> tuple[int | None, str]:
    """Returns the exit status, None after the deadline, and what was said."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        with subprocess.Popen(
                [BINARIES / binary, "--gtest_fail_fast", "--gtest_filter=" + ":".join(names)],
                cwd=TREE, text=True, errors="replace", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                env=os.environ | environment | {"TMPDIR": scratch, "TEST_TMPDIR": scratch}
        ) as process:
            try:
                said, _ = process.communicate(timeout=deadline)
                return process.returncode, said
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                said, _ = process.communicate()
                return None, said


def names_of(binary: pathlib.Path) -> list[str]:
    listed = subprocess.run([binary, "--gtest_list_tests"], text=True, stdout=subprocess.PIPE,
                            check=True).stdout
    names, suite = [], ""
    for line in listed.splitlines():
        word = line.split("#")[0].strip()
        if line.startswith(" "):
            names.append(suite + word)
        elif word.endswith("."):
            suite = word
    return names


def record(binary: str, name: str) -> Case:
    """Runs a case without a mutant."""
    with tempfile.NamedTemporaryFile(prefix="reached-") as file:
        file.truncate(MOST)
        begin = time.monotonic()
        status, said = run(binary, [name], {"MUTATION_RECORD": file.name}, CASE_DEADLINE)
        seconds = time.monotonic() - begin
        if status != 0:
            raise Broken(f"{binary}: {name} fails without a mutant:\n{said[-2000:]}")
        with mmap.mmap(file.fileno(), MOST, access=mmap.ACCESS_READ) as reached:
            numbers, at = [], reached.find(b"\1")
            while at >= 0:
                numbers.append(at)
                at = reached.find(b"\1", at + 1)
    return Case(binary, name, seconds, frozenset(numbers))


def cases(processes: int) -> list[Case]:
    """Returns all cases of the host's tests, with what they reach."""
    work = [(path.name, name) for path in sorted(BINARIES.glob("*_test"))
            for name in names_of(path)]
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda each: record(*each), work))


class Runner:
    """Knows which cases reach a mutant. Any thread may call it."""

    def __init__(self, of_all: list[Case]) -> None:
        self.cases = of_all

    def try_out(self, mutant: Mutant) -> None:
        binaries: dict[str, list[Case]] = {}
        for case in self.cases:
            if mutant.number in case.reached:
                binaries.setdefault(case.binary, []).append(case)
        mutant.outcome = "survived" if binaries else "unreached"
        for binary, reaching in sorted(binaries.items(),
                                       key=lambda item: sum(c.seconds for c in item[1])):
            seconds = sum(case.seconds for case in reaching)
            status, said = run(binary, [case.name for case in reaching],
                               {"MUTATION_ACTIVE": str(mutant.number)}, SLACK + PATIENCE * seconds)
            if status != 0:
                failed = FAILED.findall(said) or RUNS.findall(said)[-1:] or [binary]
                mutant.outcome = "timeout" if status is None else "killed"
                mutant.by = failed[0]
                return
