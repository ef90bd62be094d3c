# SPDX-License-Identifier: Apache-2.0
"""Reads cases in the formats of CI systems, with what those read them with where it is there."""

import pathlib
import re
import tempfile

import junitparser
import tap.parser

Cases = dict[str, str]  # by name: "passed", "skipped", "failed ID" or "error ID"
KTAP_RESULT = re.compile(
    r"(ok|not ok) (\d+) ([^#]+?)(?: # (SKIP|TODO|XFAIL|TIMEOUT|ERROR)(?: .*)?)?")


def junit_cases(text: str) -> dict[str, Cases]:
    """Returns cases by suite, as junitparser reads them. Asserts that the counts are right."""
    suites = {}
    for suite in junitparser.JUnitXml.fromstring(text.encode()):
        told = {}
        for case in suite:
            assert case.classname == f"parkvmm.{suite.name}"
            outcome, = case.result or [None]
            told[case.name] = {
                type(None): "passed", junitparser.Skipped: "skipped",
                junitparser.Failure: f"failed {getattr(outcome, 'type', '')}",
                junitparser.Error: f"error {getattr(outcome, 'type', '')}"}[type(outcome)]
        assert suite.tests == len(told)
        assert (suite.failures, suite.errors, suite.skipped) == tuple(
            sum(outcome.startswith(kind) for outcome in told.values())
            for kind in ("failed", "error", "skipped"))
        suites[suite.name] = told
    return suites


def tap_cases(text: str) -> Cases:
    """Returns cases as tap.py reads them. What did not pass has an id and a message."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "cases.tap")
        path.write_text(text)
        lines = list(tap.parser.Parser().parse_file(str(path)))
    assert not [line for line in lines if line.category == "unknown"]
    plan, = (line for line in lines if line.category == "plan")
    tests = [line for line in lines if line.category == "test"]
    assert plan.expected_tests == len(tests)
    told = {}
    for test in tests:
        outcome = "skipped" if test.skip else "passed"
        if not test.ok:
            assert test.yaml_block["message"]
            kind = "failed" if test.yaml_block["outcome"] == "failed" else "error"
            outcome = f"{kind} {test.yaml_block['id']}"
        told[test.description.removeprefix("- ")] = outcome
    return told


def ktap_cases(text: str) -> Cases:
    """Reads a document as Documentation/dev-tools/ktap.rst has it: a version, a plan, results,
    diagnostics; subtests are indented. Names of subtests have that of their suite before them.
    """
    version, *lines = text.splitlines()
    assert version == "KTAP version 1"
    told: Cases = {}
    inner: list[str] = []
    results = 0
    plan = None
    why: str | None = None
    for line in lines:
        if line.startswith("  "):
            inner.append(line[2:])
        elif line.startswith("# "):
            why = line[2:].partition(":")[0]
        elif found := re.fullmatch(r"1\.\.(\d+)", line):
            assert plan is None and not results
            plan = int(found[1])
        else:
            found = KTAP_RESULT.fullmatch(line)
            assert found and int(found[2]) == results + 1, line
            results += 1
            if inner:
                below = ktap_cases("\n".join(inner))
                bad = [outcome for outcome in below.values() if " " in outcome]
                assert (found[1] == "not ok") == bool(bad), line
                told |= {f"{found[3]}: {name}": outcome for name, outcome in below.items()}
                inner = []
                continue
            if found[1] == "ok":
                told[found[3]] = "skipped" if found[4] == "SKIP" else "passed"
            else:
                kind = "error" if found[4] in ("TIMEOUT", "ERROR") else "failed"
                told[found[3]] = f"{kind} {why}"
    assert plan == results and not inner
    return told
