# SPDX-License-Identifier: Apache-2.0
"""Runs groups of tests and says what passed, failed, was skipped and was slow.

Called by tools/test. Needs nothing but Python up to where it calls tools/setup.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from parkvmm.cases import cases as cases_
from parkvmm.cases import output
from parkvmm.cases.cases import Suite
from parkvmm.failure import OUTPUT_LOST, Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "reports"
SLOWEST = 8  # how many slow tests are named
DETAILS = 40  # lines of what a test said that failed
GROUP_DEADLINE = 900  # seconds
BUILD_DEADLINE = 1800  # with nothing built before, on a machine that is busy
MACHINES_DEADLINE = 3600  # 25 minutes on two quiet cores; others may be busy on them.
LINUX_MATRIX_DEADLINE = 2 * 3600
KERNELS_DEADLINE = 3000
DEBIAN_DEADLINE = 4 * 3600
CASE_DEADLINE = 600  # seconds for one of pytest's; a boot of an emulated host has 280
GRACE = 60  # seconds to write down what is known, once a deadline is over
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadgroup"]
CLANG_FORMAT = "14"  # other versions format the same code another way


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
           case_deadline: int = CASE_DEADLINE, how: list[str] = TWO_AT_A_TIME) -> list[Case]:
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


def python(name: str, folders: list[str], *builds: list[str],
           deadline: int = MACHINES_DEADLINE):
    """Tests that drive whole programs; most of them in an emulated arm64 host, for
    virtual time."""
    def group() -> list[Case]:
        built = steps(name, {
            "emulator": ["tools/setup", "--quiet", "emulator"],
            "build": ["tools/build", "arm64"], "guest image": ["tools/guest-image"],
            **{" ".join(command): command for command in builds}}, deadline)
        return built + pytest(name, folders, deadline) if good(built) else built
    return group


def wall_clock() -> list[Case]:
    """What needs no virtual time, without an emulator where this machine's KVM will do."""
    built = steps("wall-clock", {"build": ["tools/build", "arm64"],
                                 "guest image": ["tools/guest-image"]})
    os.environ["PARKVMM_WALL_CLOCK"] = "1"
    try:
        return built + pytest("wall-clock", ["tests/guest"]) if good(built) else built
    finally:
        del os.environ["PARKVMM_WALL_CLOCK"]


def soak() -> list[Case]:
    """Payloads that go round and round, and kexecs in a row."""
    built = steps("soak", {"build": ["tools/build", "arm64"],
                           "guest image": ["tools/guest-image"]})
    if not good(built):
        return built
    os.environ["PARKVMM_SOAK"] = "1"
    try:
        payloads = pytest("soak", ["tests/guest"], MACHINES_DEADLINE)
    finally:
        del os.environ["PARKVMM_SOAK"]
    return built + payloads + steps("soak", {
        "kernel": ["tools/guest-kernel", "build"],
        "module": ["tools/guest-module/build"],
        "kexecs": ["tools/soak", "--kexecs", "25", "--out", "build/reports/soak"]},
        KERNELS_DEADLINE)


def report() -> list[Case]:
    """Reports in a browser, which nothing else needs."""
    browser = step("report", "browser", ["tools/setup", "--quiet", "report"])
    if browser[0].outcome != "passed":
        return browser
    return browser + pytest("report", ["tests/report"])


def park_matrix() -> list[Case]:
    """The table of docs/parking.md: minutes, so it is asked for by name."""
    return steps("park-matrix", {
        "build": ["tools/build", "arm64"],
        "table": [sys.executable, "tests/support/park_matrix.py"]})


def linux_matrix() -> list[Case]:
    """The other table of docs/parking.md, half an hour; kernels are built the first
    time."""
    return steps("linux-matrix", {
        "build": ["tools/build", "arm64"],
        "kernel": ["tools/guest-kernel", "build"],
        "kernel, 64k pages": ["tools/guest-kernel", "build", "--variant", "64k"],
        "module": ["tools/guest-module/build"],
        "table": [sys.executable, "tests/support/linux_matrix.py"]}, LINUX_MATRIX_DEADLINE)


def formatter() -> str | None:
    """The clang-format that the sources are formatted with, if it is here."""
    for name in (f"clang-format-{CLANG_FORMAT}", "clang-format"):
        if not shutil.which(name):
            continue
        said = subprocess.run([name, "--version"], capture_output=True, text=True,
                              check=True, timeout=60).stdout
        if re.search(rf"version {CLANG_FORMAT}\.", said):
            return name
    return None


def formatting() -> list[Case]:
    program = formatter()
    if not program:
        return [Case("style: clang-format", 0, "skipped", "the sources are formatted by "
                     f"clang-format {CLANG_FORMAT}, which is not here")]
    sources = subprocess.run(
        ["git", "ls-files", "*.cc", "*.h"], cwd=ROOT, check=True,
        capture_output=True, text=True).stdout.split()
    return step("style", "clang-format", [program, "--dry-run", "-Werror", *sources])


def on_debian(name: str):
    """Commands in roots of Debian, one after the other, which show what they say."""
    def group() -> list[Case]:
        ready = steps(name, {"what makes a root": ["tools/setup", "--quiet", "native", "emulator"],
                             "build": ["tools/build", "arm64"]})
        return ready + pytest(name, [f"tests/{name}"], DEBIAN_DEADLINE, DEBIAN_DEADLINE,
                              ["-s"]) if good(ready) else ready
    return group


def style() -> list[Case]:
    return (formatting() + step("style", "layering", ["tools/dev/check-layering"]) +
            step("style", "sizes", ["tools/dev/check-size"]) +
            step("style", "SPDX lines", ["tools/dev/check-spdx"]) +
            step("style", "flake8", ["flake8"]) + step("style", "mypy", ["mypy"]))


GROUPS = {
    "style": (style, "formatting, layering, licence lines, Python"),
    "unit": (unit("host"), "unit tests on this machine"),
    "asan": (unit("host-asan"), "the same under AddressSanitizer and UBSan"),
    "tsan": (unit("host-tsan"), "the same under ThreadSanitizer"),
    "analysis": (lambda: step("analysis", "clang-analysis",
                              ["tools/build", "clang-analysis"]),
                 "clang's thread-safety analysis and clang-tidy"),
    "analyzer": (lambda: steps("analyzer", {
        "build": ["tools/build", "clang-analysis"],
        "clang-analyzer": ["run-clang-tidy", "-quiet", "-p", "build/clang-analysis", "-checks",
                           "-*,clang-analyzer-*", "-header-filter", "^$"]}),
                 "clang's static analyzer, which takes minutes"),
    "machines": (python("machines", ["tests/guest", "tests/linux",
                                     "tests/tools"]),
                 "guest, linux and tools, two at a time"),
    "guest": (python("guest", ["tests/guest"]),
              "small guests in the real VMM on real KVM"),
    "linux": (python("linux", ["tests/linux"]),
              "Linux guests, kexec and all"),
    "tools": (python("tools", ["tests/tools"]), "the tools themselves"),
    "bench-micro": (lambda: steps("bench-micro", {
        "emulator": ["tools/setup", "--quiet", "emulator"], "build": ["tools/build", "arm64"],
        "check": ["tools/bench-micro", "--check"]}),
                    "PSCI calls and device accesses cost what they did"),
    "bench-vmm": (lambda: steps("bench-vmm", {
        "emulator": ["tools/setup", "--quiet", "emulator"], "build": ["tools/build", "arm64"],
        "guest image": ["tools/guest-image"], "check": ["tools/bench-vmm", "--check"]}),
                  "the VMM starts as soon, and takes as little memory, as it did"),
    "soak": (soak, "thousands of cycles by payloads, and kexecs in a row; builds a kernel"),
    "wall-clock": (wall_clock, "guests that need no virtual time, natively where that is possible"),
    "kernels": (python("kernels", ["tests/kernels"], deadline=KERNELS_DEADLINE),
                "Debian's kernels kexec into each other; fetches them"),
    "native": (on_debian("native"),
               "built and run on arm64 itself; without one, an emulated Debian: an hour"),
    "roots": (on_debian("roots"), "the two commands in an empty Debian 12 and 13: two hours"),
    "fleet": (python("fleet", ["tests/fleet"], ["tools/setup", "--quiet", "fleet"]),
              "two tasks of a Slurm array on this machine, which it installs"),
    "report": (report, "tools/report's pages in a headless browser, which it installs"),
    "arms": (python("arms", ["tests/arms"], ["tools/guest-kernel", "build"],
                    ["tools/guest-module/build"]),
             "every teardown on real Linux; builds a kernel"),
    "checks": (python("checks", ["tests/checks"], ["tools/guest-kernel", "build"],
                      ["tools/guest-kernel", "build", "--variant", "psci-checker"],
                      ["tools/guest-module/build"]),
               "psci_checker, Linux's hotplug selftest, stress-ng; builds kernels"),
    "park-matrix": (park_matrix, "old x next kernels, 100 kexecs each: a table"),
    "linux-matrix": (linux_matrix, "the same on real Linux, 20 each: half an hour"),
}
QUICK = ["style", "unit"]
EVERYTHING = ["style", "unit", "asan", "tsan", "analysis", "machines"]
ALL = [*EVERYTHING, *(name for name in GROUPS if name not in (
    *EVERYTHING, "guest", "linux", "tools", "wall-clock"))]


def suites_of(cases: list[Case]) -> list[Suite]:
    """Returns the cases by their groups, as --format writes them."""
    groups: dict[str, list[cases_.Case]] = {}
    for case in cases:
        group, _, name = case.name.partition(": ")
        failed = case.outcome == "failed"
        groups.setdefault(group, []).append(cases_.Case(
            name, case.outcome, round(case.seconds * 1e9),
            "test-failed" if failed else "", case.reason or ("it failed" if failed else ""),
            case.details if failed else ()))
    return [Suite(group, tuple(found)) for group, found in groups.items()]


def parse() -> tuple[list[str], list[output.Format]]:
    lines = "\n".join(f"  {name:12} {text}"
                      for name, (_, text) in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="tools/test", formatter_class=argparse.RawTextHelpFormatter,
        description="Runs the tests: everything, or these groups.",
        epilog=f"groups:\n{lines}\n  quick        {' and '.join(QUICK)}: "
               "the inner loop\n  all          every group, hours: before a release")
    parser.add_argument("groups", nargs="*", metavar="GROUP",
                        choices=[*GROUPS, "quick", "all", []])
    parser.add_argument("--ssh", metavar="HOST", default="",
                        help="native: the arm64 machine to use in place of an emulated one")
    parser.add_argument("--locked", action="store_true",
                        help="only with the packages of tools/packages.lock")
    output.add_option(parser)
    options = parser.parse_args()
    try:
        formats = output.parse_all(options.format, pathlib.Path(os.environ.get(
            "PARKVMM_CALLER", ".")).absolute())
    except Failure as failure:
        parser.error(str(failure))
    if options.ssh:
        os.environ["PARKVMM_SSH"] = options.ssh
    chosen = options.groups
    sets = {"quick": QUICK, "all": ALL}
    chosen = [name for word in chosen for name in sets.get(word, [word])]
    return list(dict.fromkeys(chosen)) or EVERYTHING, formats


def summarise(cases: list[Case], groups: dict[str, float]) -> int:
    by_outcome = {outcome: [case for case in cases if case.outcome == outcome]
                  for outcome in ("passed", "failed", "skipped")}
    print("\n" + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in groups.items()))
    print(f"slowest of {len(cases)} ({sum(groups.values()):.0f} s in all):")
    for case in sorted(cases, key=lambda c: -c.seconds)[:SLOWEST]:
        print(f"  {case.seconds:7.1f} s  {case.name}")
    for case in by_outcome["skipped"]:
        print(f"skipped: {case.name}: {case.reason}")
    for case in by_outcome["failed"]:
        print(f"FAILED: {case.name}")
    print(", ".join(f"{len(found)} {outcome}"
                    for outcome, found in by_outcome.items()), flush=True)
    return 1 if by_outcome["failed"] or not by_outcome["passed"] else 0


def main() -> int:
    os.chdir(ROOT)
    REPORTS.mkdir(parents=True, exist_ok=True)
    groups, formats = parse()
    cases: list[Case] = []
    took: dict[str, float] = {}
    begin = time.monotonic()
    if status := subprocess.run(["tools/setup"], check=False).returncode:
        return status
    for group in ["setup", *groups]:
        if group in GROUPS:
            say(f"{group}: {GROUPS[group][1]}")
            cases += GROUPS[group][0]()
        took[group] = time.monotonic() - begin
        begin = time.monotonic()
    status = summarise(cases, took)
    failed = sum(case.outcome == "failed" for case in cases)
    lost = output.write_all(formats, suites_of(cases),
                            f"tools/test: {failed} of {len(cases)} tests failed")
    for line in lost:
        say(line)
    return status or (OUTPUT_LOST if lost else 0)


if __name__ == "__main__":
    sys.exit(main())
