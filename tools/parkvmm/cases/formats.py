# SPDX-License-Identifier: Apache-2.0
"""Cases in the formats of CI systems: byte for byte as vmm/run/case_formats.cc writes them.

One suite is what `vmm run` writes, too. Several are what a plan, a comparison or the tests have.
"""

import html
import json
import re

from parkvmm.cases.cases import (ERRORS, FAILED, PASSED, SKIPPED, TIMED_OUT, Case, Suite,
                                 printable)

MAX_ANNOTATIONS = 10  # which is what GitHub shows of a step
MAX_SUMMARY_ROWS = 500
MAX_SUMMARY_TEXT = 300  # bytes
MAX_SUMMARY_DETAILS = 20  # cases
COLUMNS = 80
SCHEMA_VERSION = 1  # of docs/schemas/cases.schema.json


def seconds(ns: int) -> str:
    return f"{ns / 1e9:.9f}"


def word(outcome: str) -> str:
    return outcome.replace("-", " ")


def count(suites: list[Suite], *outcomes: str) -> int:
    return sum(case.outcome in outcomes for suite in suites for case in suite.cases)


# --- JUnit ------------------------------------------------------------------------------

def xml(text: str) -> str:
    return html.escape(text, quote=False).replace('"', "&quot;")


def junit_counts(suites: list[Suite]) -> str:
    ns = sum(case.ns or 0 for suite in suites for case in suite.cases)
    return (f' tests="{sum(len(suite.cases) for suite in suites)}"'
            f' failures="{count(suites, FAILED)}" errors="{count(suites, *ERRORS)}"'
            f' skipped="{count(suites, SKIPPED)}" time="{seconds(ns)}"')


def junit_case(suite: Suite, case: Case) -> str:
    time = "" if case.ns is None else f' time="{seconds(case.ns)}"'
    head = f'    <testcase classname="parkvmm.{xml(suite.name)}" name="{xml(case.name)}"{time}'
    if case.outcome == PASSED:
        return head + "/>\n"
    if case.outcome == SKIPPED:
        return f'{head}>\n      <skipped message="{xml(case.message)}"/>\n    </testcase>\n'
    element = "error" if case.outcome in ERRORS else "failure"
    text = "".join(f"{xml(line)}\n" for line in (case.message, *case.details))
    return (f'{head}>\n      <{element} type="{xml(case.id)}" message="{xml(case.message)}">'
            f'{text}</{element}>\n    </testcase>\n')


def junit(suites: list[Suite]) -> str:
    """Returns JUnit XML, in the dialect that Jenkins and GitLab read."""
    text = ('<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<testsuites name="parkvmm"{junit_counts(suites)}>\n')
    for suite in suites:
        text += f'  <testsuite name="{xml(suite.name)}"{junit_counts([suite])}>\n'
        known = {"label": suite.label, "vmm": suite.tool}
        rows = "".join(f'      <property name="{name}" value="{xml(value)}"/>\n'
                       for name, value in known.items() if value)
        text += f"    <properties>\n{rows}    </properties>\n" if rows else ""
        text += "".join(junit_case(suite, case) for case in suite.cases) + "  </testsuite>\n"
    return text + "</testsuites>\n"


# --- KTAP and TAP -----------------------------------------------------------------------

def tap_text(text: str) -> str:
    """Returns text in which no "#" begins a directive."""
    return text.replace("\\", "\\\\").replace("#", "\\#")


def tap_name(text: str) -> str:
    """Returns a name without "#", which no parser lets a name have, escaped or not."""
    return text.replace("#", "_")


def ktap_lines(suite: Suite) -> list[str]:
    lines = ["KTAP version 1"]
    head = [suite.name] + [f"label {suite.label}"] * bool(suite.label)
    lines += [f"# {', '.join(head)}", f"1..{len(suite.cases)}"]
    for number, case in enumerate(suite.cases, 1):
        lines += [f"# {line}" for line in case.details]
        if case.fails:
            lines.append(f"# {case.id}: {case.message}")
        line = f"{'not ok' if case.fails else 'ok'} {number} {tap_name(case.name)}"
        if case.outcome == SKIPPED:
            line += f" # SKIP {tap_text(case.message)}"
        elif case.outcome in ERRORS:
            line += f" # {'TIMEOUT' if case.outcome == TIMED_OUT else 'ERROR'} {case.id}"
        lines.append(line)
    return lines


def ktap(suites: list[Suite]) -> str:
    """Returns KTAP version 1 (Linux: Documentation/dev-tools/ktap.rst); several suites are
    subtests."""
    if len(suites) == 1:
        return "".join(f"{line}\n" for line in ktap_lines(suites[0]))
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, suite in enumerate(suites, 1):
        lines += [f"  {line}" for line in ktap_lines(suite)]
        lines.append(f"{'not ok' if suite.fails else 'ok'} {number} {tap_name(suite.name)}")
    return "".join(f"{line}\n" for line in lines)


def json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def tap(suites: list[Suite]) -> str:
    """Returns TAP version 13, with a YAML block for each case that did not pass. It has no
    subtests: of several suites each case has its suite's name."""
    numbered = [(suite, case) for suite in suites for case in suite.cases]
    text = f"TAP version 13\n1..{len(numbered)}\n"
    for number, (suite, case) in enumerate(numbered, 1):
        name = case.name if len(suites) == 1 else f"{suite.name}: {case.name}"
        text += f"{'not ok' if case.fails else 'ok'} {number} - {tap_name(name)}"
        text += f" # SKIP {tap_text(case.message)}\n" if case.outcome == SKIPPED else "\n"
        if not case.fails:
            continue
        text += (f"  ---\n  id: {json_string(case.id)}\n"
                 f"  outcome: {json_string(word(case.outcome))}\n"
                 f"  message: {json_string(case.message)}\n")
        text += "  details:\n" if case.details else ""
        text += "".join(f"    - {json_string(line)}\n" for line in case.details) + "  ...\n"
    return text


# --- GitHub -----------------------------------------------------------------------------

def command_text(text: str) -> str:
    """Escapes the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    return command_text(text).replace(":", "%3A").replace(",", "%2C")


def annotations(suites: list[Suite]) -> str:
    """Returns GitHub's workflow commands: an annotation for each case that did not pass; failures
    first, since only some are shown."""
    found = [(suite, case) for suite in suites for case in suite.cases if case.outcome != PASSED]
    if len(suites) > 1:
        found.sort(key=lambda pair: not pair[1].fails)
    text = ""
    for suite, case in found[:MAX_ANNOTATIONS]:
        kind, what = ("error", f" {case.id}") if case.fails else ("notice", " was skipped")
        title = command_property(f"parkvmm {suite.name}: {case.name}{what}")
        message = "\n".join((case.message, *case.details))
        text += f"::{kind} title={title}::{command_text(message)}\n"
    return text


def markdown(text: str | bytes) -> str:
    """Returns text for a cell of a Markdown table."""
    return re.sub(r"[|`*_\[]", r"\\\g<0>",
                  printable(text).replace("&", "&amp;").replace("<", "&lt;"))


def summary(suites: list[Suite], verdict: str) -> str:
    """Returns GitHub's job summary: Markdown, far below the 1 MB that a step may have."""
    text = "" if len(suites) == 1 else f"{markdown(verdict)}\n\n"
    budget, shown = MAX_SUMMARY_ROWS, MAX_SUMMARY_DETAILS
    for suite in suites:
        text += f"### parkvmm: {markdown(suite.name)}\n\n"
        text += f"{markdown(verdict)}\n\n" if len(suites) == 1 else ""
        text += "| case | outcome | seconds | why |\n|---|---|---:|---|\n"
        rows = 0
        for case in suite.cases:
            # Of many, all that did not pass are told, and as many others as fit.
            passed = case.outcome == PASSED
            if budget <= 0 or (passed and budget <= MAX_SUMMARY_ROWS / 2):
                continue
            rows, budget = rows + 1, budget - 1
            took = "-" if case.ns is None else f"{case.ns / 1e9:.3f}"
            why = f"{case.id}: {case.message}".encode()[:MAX_SUMMARY_TEXT]
            text += f"| {markdown(case.name)} | {word(case.outcome)} | {took} | "
            text += f"{'' if passed else markdown(why)} |\n"
        if rows < len(suite.cases):
            text += f"\n{len(suite.cases) - rows} more cases are not shown.\n"
        for case in suite.cases:
            if case.details and shown:
                shown -= 1
                text += f"\n{markdown(case.name)}:\n\n"
                text += "".join(f"    {line}\n" for line in case.details)
        text += f"\nLabel `{suite.label}`.\n" if suite.label else "\n"
    return text


# --- for people, and for programs -------------------------------------------------------

def text_lines(suites: list[Suite]) -> str:
    """Returns a line for each case, and one that counts them."""
    lines = []
    for suite in suites:
        for case in suite.cases:
            name = f"{suite.name}: {case.name}"
            took = "" if case.ns is None else f"{case.ns / 1e9:.3f} s"
            lines.append(f"{name:58} {word(case.outcome):10}{took:>10}".rstrip())
            if case.outcome != PASSED:
                lines.append(f"  {case.message}"
                             + (f" [{case.id}]" if case.id else ""))
    counts = {outcome: count(suites, outcome) for outcome in
              (PASSED, FAILED, *ERRORS, SKIPPED)}
    lines.append(", ".join(f"{number} {word(outcome)}" for outcome, number in counts.items()
                           if number or outcome == PASSED))
    return "".join(f"{line}\n" for line in lines)


def json_text(suites: list[Suite]) -> str:
    """Returns all cases as docs/schemas/cases.schema.json has them."""
    return json.dumps({
        "schema_version": SCHEMA_VERSION, "kind": "parkvmm-cases",
        "suites": [{
            "name": suite.name, "label": suite.label or None,
            "tool": suite.tool or None,
            "cases": [{"name": case.name, "outcome": case.outcome, "ns": case.ns,
                       "id": case.id or None, "message": case.message or None,
                       "details": list(case.details)}
                      for case in suite.cases]} for suite in suites]}, indent=1) + "\n"
