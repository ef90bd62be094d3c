# SPDX-License-Identifier: Apache-2.0
"""Runs groups of tests and says what passed, failed, was skipped and was slow.

Called by tools/test. Needs nothing but Python up to where it calls tools/setup.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from parkvmm.cases import cases as cases_
from parkvmm.cases import output
from parkvmm.cases.cases import Suite
from parkvmm.failure import OUTPUT_LOST, Failure
from steps import (REPORTS, ROOT, TWO_AT_A_TIME, Case, good, pytest, say, step, steps, unit)

SLOWEST = 8  # how many slow tests are named
MACHINES_DEADLINE = 3600  # 25 minutes on two quiet cores; others may be busy on them.
LINUX_MATRIX_DEADLINE = 2 * 3600
KERNELS_DEADLINE = 3000
DEBIAN_DEADLINE = 4 * 3600
CAMPAIGN_DEADLINE = 4 * 3600
CLANG_FORMAT = "14"  # other versions format the same code another way


def python(name: str, folders: list[str], *builds: list[str],
           deadline: int = MACHINES_DEADLINE, only: str = ""):
    """Tests that drive whole programs; most of them in an emulated arm64 host, for
    virtual time. `only` says which, by pytest's marks."""
    def group() -> list[Case]:
        built = steps(name, {
            "emulator": ["tools/setup", "--quiet", "emulator"],
            "build": ["tools/build", "arm64"], "guest image": ["tools/guest-image"],
            **{" ".join(command): command for command in builds}}, deadline)
        return built + pytest(name, folders, deadline, how=(*TWO_AT_A_TIME, "-m", only)) if good(
            built) else built
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


def campaign(name: str, module: str, variable: str, value: str):
    """A test that does more of the same if a variable of the environment says so."""
    def group() -> list[Case]:
        built = steps(name, {"emulator": ["tools/setup", "--quiet", "emulator"],
                             "build": ["tools/build", "arm64"]})
        os.environ[variable] = value
        try:
            return built + pytest(name, [module], CAMPAIGN_DEADLINE, CAMPAIGN_DEADLINE) if good(
                built) else built
        finally:
            del os.environ[variable]
    return group


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
        "kexecs": ["tools/soak", "--kexecs", "500", "--out", "build/reports/soak"]},
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


def on_debian(name: str, *parts: str, more: tuple[str, ...] = ()):
    """Commands in roots of Debian, one after the other, which show what they say. `parts` are
    tools/setup's, besides those that make a root, and `more` are other tests that need these."""
    def group() -> list[Case]:
        ready = steps(name, {
            "what makes a root": ["tools/setup", "--quiet", "native", "emulator", *parts],
            "build": ["tools/build", "arm64"]})
        return ready + pytest(name, [f"tests/{name}", *more], DEBIAN_DEADLINE, DEBIAN_DEADLINE,
                              ("-s",)) if good(ready) else ready
    return group


def style() -> list[Case]:
    return (formatting() + step("style", "layering", ["tools/dev/check-layering"]) +
            step("style", "sizes", ["tools/dev/check-size"]) +
            step("style", "SPDX lines", ["tools/dev/check-spdx"]) +
            step("style", "flake8", ["flake8"]) + step("style", "mypy", ["mypy"]))


MACHINES = ["tests/guest", "tests/linux", "tests/tools"]
# missingReturn: of a switch over all of an enum, which compilers know.
CPPCHECK = ["cppcheck", "--quiet", "--std=c++20", "--language=c++", "--force", "--error-exitcode=1",
            "--enable=warning,performance,portability", "--suppress=missingReturn",
            "--inline-suppr", "-I.", "--library=tools/dev/cppcheck.cfg", "vmm", "psci-emul", "fdt",
            "guest-stub", "tools/kvm-floor", "tools/host-unpack"]
GROUPS = {
    "style": (style, "formatting, layering, licence lines, Python"),
    "unit": (unit("host"), "unit tests on this machine"),
    "asan": (unit("host-asan"), "the same under AddressSanitizer and UBSan"),
    "tsan": (unit("host-tsan"), "the same under ThreadSanitizer"),
    "analysis": (lambda: steps("analysis", {
        "clang-analysis": ["tools/build", "clang-analysis"], "cppcheck": CPPCHECK}),
                 "clang's thread-safety analysis, clang-tidy and cppcheck"),
    "analyzer": (lambda: steps("analyzer", {
        "build": ["tools/build", "clang-analysis"],
        "clang-analyzer": ["run-clang-tidy", "-quiet", "-p", "build/clang-analysis", "-checks",
                           "-*,clang-analyzer-*", "-header-filter", "^$"]}),
                 "clang's static analyzer, which takes minutes"),
    "machines": (python("machines", MACHINES, only="not long"),
                 "guest, linux and tools, two at a time, but for what is in long"),
    "long": (python("long", MACHINES, only="long"),
             "those that take minutes to say what a shorter one says of another guest"),
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
    "hostile": (campaign("hostile", "tests/guest/test_hostile.py", "PARKVMM_HOSTILE", "1"),
                "ten million operations of a hostile guest"),
    "calls": (campaign("calls", "tests/guest/test_failing_calls.py", "PARKVMM_CALLS", "5"),
              "up to five system calls of each name fail in each of several runs"),
    "soak": (soak, "thousands of cycles by payloads, and kexecs in a row; builds a kernel"),
    "wall-clock": (wall_clock, "guests that need no virtual time, natively where that is possible"),
    "kernels": (python("kernels", ["tests/kernels"], deadline=KERNELS_DEADLINE),
                "Debian's kernels kexec into each other; fetches them"),
    "native": (on_debian("native"),
               "built and run on arm64 itself; without one, an emulated Debian: an hour"),
    "roots": (on_debian("roots"), "the two commands in an empty Debian 12 and 13: two hours"),
    "fleet": (python("fleet", ["tests/fleet"], ["tools/setup", "--quiet", "fleet"]),
              "two tasks of a Slurm array on this machine, which it installs"),
    "packages": (on_debian("packages", "packages", more=(
        "tests/tools/test_manual.py", "tests/tools/test_installation.py")),
                 "a release: the same bytes twice, and its packages in empty Debian systems"),
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
