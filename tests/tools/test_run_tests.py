# SPDX-License-Identifier: Apache-2.0
"""How tools/test counts what its groups left."""

import pathlib
import sys

import pytest
from arm64_host import ROOT
from case_readers import junit_cases
from parkvmm.cases import formats
from parkvmm.cases.cases import Case, Suite

sys.path.insert(0, str(ROOT / "tools/dev"))

import run_tests  # noqa: E402
from steps import Case as Made  # noqa: E402
from steps import read_junit  # noqa: E402

JUNIT = """<testsuites><testsuite name="t">
  <testcase name="good" time="0.5"/>
  <testcase name="skipped"><skipped message="no&#10;KVM"/></testcase>
  <testcase name="pytest's"><failure message="assert 1 == 2">first
second</failure></testcase>
  <testcase name="ctest's"><failure message=""/><system-out>said
more</system-out></testcase>
  <testcase name="broken"><error message="fixture"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def cases(tmp_path: pathlib.Path) -> list[Made]:
    (tmp_path / "x.xml").write_text(JUNIT)
    return read_junit("unit", tmp_path / "x.xml")


def test_cases_of_both_kinds_of_junit_keep_what_was_said(cases) -> None:
    assert cases == [
        Made("unit: good", 0.5, "passed"),
        Made("unit: skipped", 0, "skipped", "no KVM"),
        Made("unit: pytest's", 0, "failed", "assert 1 == 2", ("first", "second")),
        Made("unit: ctest's", 0, "failed", "", ("said", "more")),
        Made("unit: broken", 0, "failed", "fixture")]


def test_a_group_is_a_suite_in_every_format(cases) -> None:
    more = Made("style: flake8", 2, "passed")
    suites = run_tests.suites_of([*cases, more])
    assert [suite.name for suite in suites] == ["unit", "style"]
    assert suites[1] == Suite("style", (Case("flake8", ns=2_000_000_000),))
    assert junit_cases(formats.junit(suites))["unit"] == {
        "good": "passed", "skipped": "skipped", "pytest's": "failed test-failed",
        "ctest's": "failed test-failed", "broken": "failed test-failed"}


def test_the_summary_counts_and_names_what_failed(cases, capsys) -> None:
    assert run_tests.summarise(cases, {"unit": 1}) == 1
    said = capsys.readouterr().out
    assert "FAILED: unit: ctest's\n" in said
    assert said.endswith("1 passed, 3 failed, 1 skipped\n")
    assert run_tests.summarise(cases[:1], {"unit": 1}) == 0
    assert run_tests.summarise([], {}) == 1, "nothing was tested"
