# SPDX-License-Identifier: Apache-2.0
"""What tools/fuzz makes of its words, and of what libFuzzer says."""

import pathlib
import subprocess
import sys

import pytest
from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))

from fuzzing import command, native  # noqa: E402
from fuzzing.outcome import Outcome, table  # noqa: E402

DONE = """INFO: Loaded 1 modules   (12075 inline 8-bit counters): 12075 [0x1, 0x2),
#2\tINITED cov: 90 ft: 91 corp: 1/1b exec/s: 0 rss: 49Mb
#2961\tDONE   cov: 1063 ft: 4471 corp: 396/71Kb lim: 4096 exec/s: 185 rss: 216Mb
stat::number_of_executed_units: 2961
stat::average_exec_per_sec:     185
stat::new_units_added:          396
stat::peak_rss_mb:              216
"""
VIOLATED = f"""#80\tNEW    cov: 5 ft: 6 corp: 2/2b
fuzz: /x/kexecs_fuzzer.cc:72: violated: boot.cpus <= kCpus
==7== ERROR: libFuzzer: deadly signal
artifact_prefix='x'; Test unit written to {native.FOUND}/kexecs-crash-738
SUMMARY: libFuzzer: deadly signal
stat::number_of_executed_units: 80
"""


def test_what_libfuzzer_counts_is_read() -> None:
    assert native.outcome_of("cases", 0, DONE, 16.0) == Outcome(
        "cases", 2961, 16.0, 1063, 12075, 396, 216)


def test_a_finding_has_its_reason_and_the_command_that_repeats_it() -> None:
    found = native.outcome_of("kexecs", 77, VIOLATED, 1.0)
    assert found.finding == "/x/kexecs_fuzzer.cc:72: violated: boot.cpus <= kCpus"
    assert found.repeat == ("build/fuzz/bin/kexecs_fuzzer build/fuzz/found/kexecs-crash-738")
    assert found.runs == 80


def test_a_fuzzer_that_ends_without_a_word_has_found_something() -> None:
    assert native.outcome_of("psci", -9, "#7\tpulse\n", 1.0) == Outcome(
        "psci", 7, 1.0, finding="it ended early",
        repeat="build/fuzz/bin/psci_fuzzer tests/fuzz/corpus/psci/*")


def test_the_table_is_markdown() -> None:
    assert table([Outcome("psci", 30_000, 10.0, 626, 900, 3, 80),
                  Outcome("results", 10, 1.0, finding="plan: KeyError")]).splitlines() == [
        "| target | executions | a second | edges | new inputs | peak, MB | found |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| psci | 30,000 | 3,000 | 626 of 900 | 3 | 80 | nothing |",
        "| results | 10 | 10 | - | 0 | - | plan: KeyError |"]


def test_all_targets_are_run_for_a_while_unless_some_are_named() -> None:
    everything = command.parse([])
    assert everything.targets == [*native.targets(), "results"]
    assert (everything.runs, everything.seconds) == (None, command.SECONDS)
    some = command.parse(["--runs", "5", "psci", "results"])
    assert (some.targets, some.runs, some.seconds) == (["psci", "results"], 5, None)


@pytest.mark.parametrize("words, reason", [
    (["nobody"], "no target nobody; there are: cases, "),
    (["--runs", "0"], "wants a number from 1"),
    (["--seconds", "x"], "wants a number from 1")])
def test_a_mistake_comes_before_any_build(words: list[str], reason: str) -> None:
    done = subprocess.run([ROOT / "tools/fuzz", *words], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "") and reason in done.stderr


def test_each_fuzzer_has_a_small_corpus() -> None:
    files = [path for path in native.CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for target in native.targets():
        listed = list((native.CORPUS / target).iterdir())
        assert 0 < len(listed) <= 40, target
    listed_in_cmake = (ROOT / "tests/fuzz/CMakeLists.txt").read_text()
    assert all(target in listed_in_cmake for target in native.targets())


def test_the_bounds_are_handed_to_libfuzzer() -> None:
    words = native.command("unpack", 5, None, 7)
    assert {"-runs=5", "-seed=7", "-rss_limit_mb=1024", "-malloc_limit_mb=192"} <= set(words)
    assert pathlib.Path(words[-1]) == native.CORPUS / "unpack"
