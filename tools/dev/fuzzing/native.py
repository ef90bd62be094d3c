# SPDX-License-Identifier: Apache-2.0
"""Runs the C++ fuzzers: libFuzzer's programs, with AddressSanitizer and UBSan."""

import os
import pathlib
import re
import subprocess
import time

from .outcome import Outcome

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build/fuzz"
CORPUS = ROOT / "tests/fuzz/corpus"
FOUND = BUILD / "found"  # inputs that break something
INPUTS = BUILD / "corpus"  # inputs that libFuzzer has found worth keeping

MAX_LENGTH = 4096  # bytes of an input that libFuzzer makes
MEMORY_MB = 1024  # of the process, its shadow memory not counted
MALLOC_MB = 192  # at once; zstd's largest window takes 128
# libarchive asks for as many bytes as a cpio archive says that a name has, and touches none.
MALLOC_MB_OF = {"root_archive": 9000}
DEADLINE = 60  # seconds for one input
# What says why, the most telling first.
REASONS = (r"^fuzz: .*violated: .*", r"^SUMMARY: .*", r"^==\d+==\s*ERROR: .*")


def targets() -> list[str]:
    return sorted(path.name.removesuffix("_fuzzer.cc")
                  for path in (ROOT / "tests/fuzz").glob("*_fuzzer.cc"))


def program(target: str) -> pathlib.Path:
    return BUILD / f"bin/{target}_fuzzer"


def command(target: str, runs: int | None, seconds: int | None, seed: int | None) -> list[str]:
    words = [str(program(target)), f"-max_len={MAX_LENGTH}", f"-rss_limit_mb={MEMORY_MB}",
             f"-malloc_limit_mb={MALLOC_MB_OF.get(target, MALLOC_MB)}", f"-timeout={DEADLINE}",
             "-print_final_stats=1", f"-artifact_prefix={FOUND}/{target}-"]
    words += [f"-runs={runs}"] if runs is not None else []
    words += [f"-max_total_time={seconds}"] if seconds is not None else []
    words += [f"-seed={seed}"] if seed is not None else []
    return [*words, str(INPUTS / target), str(CORPUS / target)]


def number(pattern: str, said: str) -> int | None:
    """Returns the last number that the pattern finds."""
    found = re.findall(pattern, said, re.M)
    return int(found[-1]) if found else None


def reason(said: str) -> str:
    for pattern in REASONS:
        if found := re.search(pattern, said, re.M):
            return re.sub(r"^(==\d+==\s*|fuzz: )", "", found[0]).replace("|", "\\|")[:200]
    return "it ended early"


def outcome_of(target: str, status: int, said: str, seconds: float) -> Outcome:
    """Reads what a program of libFuzzer's has said."""
    finding = repeat = ""
    if status != 0:
        written = re.search(r"Test unit written to (\S+)", said)
        finding = reason(said)
        repeat = (f"{os.path.relpath(program(target), ROOT)} "
                  f"{os.path.relpath(written[1], ROOT)}" if written else
                  f"{os.path.relpath(program(target), ROOT)} {CORPUS.relative_to(ROOT)}/{target}/*")
    runs = number(r"^stat::number_of_executed_units:\s*(\d+)", said)
    if runs is None:
        runs = number(r"^#(\d+)\s", said)
    return Outcome(target, runs or 0, seconds, number(r"\bcov: (\d+)", said),
                   number(r"Loaded \d+ modules?\s+\((\d+) inline 8-bit counters\)", said),
                   number(r"^stat::new_units_added:\s*(\d+)", said) or 0,
                   number(r"^stat::peak_rss_mb:\s*(\d+)", said), finding, repeat)


def run(target: str, runs: int | None, seconds: int | None, seed: int | None) -> Outcome:
    for folder in (INPUTS / target, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    log = BUILD / f"{target}.log"
    with log.open("wb") as into:
        status = subprocess.run(
            command(target, runs, seconds, seed), cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=into, stderr=into, check=False, env=os.environ | {
                "ASAN_OPTIONS": "detect_leaks=1:handle_abort=0",
                "UBSAN_OPTIONS": "print_stacktrace=1"}).returncode
    return outcome_of(target, status, log.read_text(errors="replace"), time.monotonic() - begin)
