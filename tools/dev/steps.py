# SPDX-License-Identifier: Apache-2.0
"""Steps of tools/test: commands that build or test, and the cases that they leave."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "reports"
DETAILS = 40  # lines of what a test said that failed
GROUP_DEADLINE = 900  # seconds
BUILD_DEADLINE = 1800  # with nothing built before, on a machine that is busy
CASE_DEADLINE = 600  # seconds for one of pytest's; a boot of an emulated host has 280
GRACE = 60  # seconds to write down what is known, once a deadline is over
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadgroup")


@dataclasses.dataclass
class Case:
    name: str
    seconds: float
    outcome: str  # "passed", "failed" or "skipped"
    reason: str = ""  # a line, of one that did not pass
    details: tuple[str, ...] = ()


def say(message: str) -> None:
    print(f"test: {message}", file=sys.stderr, flush=True)


def end(process: subprocess.Popen) -> None:
    """Ends a command and what it started: first as ^C does, so that pytest writes down
    what it knows."""
    for number, grace in ((signal.SIGINT, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            pass


def run(command: list[str], deadline: int = GROUP_DEADLINE) -> bool:
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                          start_new_session=True) as process:
        try:
            return process.wait(deadline) == 0
        except subprocess.TimeoutExpired:
            say(f"gave up after {deadline} s waiting for: {' '.join(command)}")
            end(process)
            return False
        except BaseException:
            end(process)
            raise


def read_junit(group: str, path: pathlib.Path) -> list[Case]:
    """The cases of a JUnit file, ctest's or pytest's."""
    cases = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        failed = case.find("failure") is not None or case.find(
            "error") is not None
        outcome = ("failed" if failed else
                   "skipped" if skipped is not None else "passed")
        why = next((found for name in ("failure", "error", "skipped")
                    if (found := case.find(name)) is not None), None)
        reason = "" if why is None else " ".join(why.get("message", "").split())
        said = "" if why is None else why.text or case.findtext("system-out") or ""
        cases.append(Case(f"{group}: {case.get('name')}", float(case.get("time") or 0), outcome,
                          reason, tuple(said.splitlines()[-DETAILS:])))
    return cases


def step(group: str, name: str, command: list[str],
         deadline: int = GROUP_DEADLINE) -> list[Case]:
    """One command that is a test by itself."""
    begin = time.monotonic()
    succeeded = run(command, deadline)
    return [Case(f"{group}: {name}", time.monotonic() - begin,
                 "passed" if succeeded else "failed")]


def unit(preset: str):
    def group() -> list[Case]:
        built = step(preset, "build", ["tools/build", preset], BUILD_DEADLINE)
        if built[0].outcome != "passed":
            return built
        report = REPORTS / f"{preset}.xml"
        report.unlink(missing_ok=True)
        succeeded = run(["ctest", "--test-dir", f"build/{preset}", "--quiet",
                         "--parallel", "2", "--output-on-failure",
                         "--no-tests=error", "--output-junit", str(report)])
        cases = read_junit(preset, report) if report.exists() else []
        if not succeeded and not any(c.outcome == "failed" for c in cases):
            cases.append(Case(f"{preset}: ctest", 0, "failed"))
        return built + cases
    return group


def pytest(name: str, folders: list[str], deadline: int = GROUP_DEADLINE,
           case_deadline: int = CASE_DEADLINE,
           how: tuple[str, ...] = TWO_AT_A_TIME) -> list[Case]:
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    succeeded = run([sys.executable, "-m", "pytest", "-q", *how, "-p", "no:cacheprovider",
                     f"--timeout={case_deadline}", f"--junitxml={report}", *folders], deadline)
    cases = read_junit(name, report) if report.exists() else []
    if not succeeded and not any(c.outcome == "failed" for c in cases):
        cases.append(Case(f"{name}: pytest", 0, "failed"))
    return cases


def steps(group: str, commands: dict[str, list[str]], deadline: int = GROUP_DEADLINE) -> list[Case]:
    """Commands by name, up to the first that fails."""
    cases: list[Case] = []
    for name, command in commands.items():
        cases += step(group, name, command,
                      BUILD_DEADLINE if command[0] == "tools/build" else deadline)
        if cases[-1].outcome != "passed":
            break
    return cases


def good(cases: list[Case]) -> bool:
    return all(case.outcome == "passed" for case in cases)
