# SPDX-License-Identifier: Apache-2.0
"""Cases: what was tested, and what became of it.

The VMM counts the cases of a run itself, and its results hold them (vmm/run/cases.h). What is
added here is known to the tools only: a run that left no results, and one that never began.
"""

import dataclasses
import pathlib
import re
from typing import Any

from parkvmm import documents
from parkvmm.failure import Failure

PASSED, FAILED, TIMED_OUT, BROKEN, SKIPPED = OUTCOMES = (
    "passed", "failed", "timed-out", "broken", "skipped")
ERRORS = (TIMED_OUT, BROKEN)  # Errors, not failures, where a format tells the two apart.
NO_KVM = 77  # how vmm ends if --skip-if-no-kvm lets it
TAIL_LINES = 20  # of a log or a console
TAIL_BYTES = 1 << 14


def printable(text: str | bytes) -> str:
    """Returns text as vmm/base/text.h has it: control characters, U+FFFE, U+FFFF and bytes that
    are none of UTF-8's are written as \\xNN."""
    decoded = text if isinstance(text, str) else text.decode(errors="surrogateescape")
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]",
        lambda found: "".join(f"\\x{byte:02x}"
                              for byte in found[0].encode(errors="surrogateescape")), decoded)


@dataclasses.dataclass(frozen=True)
class Case:
    """Its texts are printable, whoever wrote them."""
    name: str  # unique in its suite
    outcome: str = PASSED
    ns: int | None = None
    id: str = ""  # of what did not pass, for scripts
    message: str = ""  # a line
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "id", "message"):
            object.__setattr__(self, field, printable(getattr(self, field)))
        object.__setattr__(self, "details", tuple(map(printable, self.details)))

    @property
    def fails(self) -> bool:
        """Whether it fails what it is part of."""
        return self.outcome not in (PASSED, SKIPPED)


@dataclasses.dataclass(frozen=True)
class Suite:
    name: str  # what was tested: an arm, a unit of a plan, a group of tests
    cases: tuple[Case, ...]
    label: str = ""  # where times come from
    tool: str = ""  # the VMM's version and commit

    def __post_init__(self) -> None:
        for field in ("name", "label", "tool"):
            object.__setattr__(self, field, printable(getattr(self, field)))

    @property
    def fails(self) -> bool:
        return any(case.fails for case in self.cases)


def tail_of(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the last lines of a file, if there is one."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError:
        return ()
    return tuple(map(printable, data.rstrip(b"\n").split(b"\n")[-TAIL_LINES:])) if data else ()


def case_of(document: dict[str, Any], before: str = "") -> Case:
    """Returns a case of a run's results. Throws TypeError or KeyError for what is none."""
    ns, details = document["ns"], document["details"]
    texts = [document["name"], document["id"] or "", document["message"] or "", *details]
    if (document["outcome"] not in OUTCOMES or type(ns) not in (int, type(None))
            or not isinstance(details, list)
            or not all(isinstance(text, str) for text in texts)):
        raise TypeError("no case")
    return Case(before + document["name"], document["outcome"], document["ns"],
                document["id"] or "", document["message"] or "", tuple(document["details"]))


def suite_of(name: str, run: dict[str, Any], before: str = "") -> Suite:
    """Returns the suite of a run, from its results. `before` sets its cases apart from those of
    other runs."""
    tool = run["tool"]
    if not isinstance(run["label"], str):
        raise TypeError("no label")
    return Suite(name, tuple(case_of(case, before) for case in run["cases"]), run["label"],
                 f"{tool['version']} ({tool['commit']})")


def without_results(folder: pathlib.Path, status: int | None, before: str = "") -> Case:
    """Returns the one case of a run that left no results in its folder. It ended with a status,
    or has not begun."""
    if status is None:
        return Case(f"{before}end", SKIPPED, id="not-begun", message="it did not begin")
    if status == NO_KVM:
        return Case(f"{before}end", SKIPPED, id="skipped", message="this host cannot run it")
    details = tail_of(folder / "vmm.log") + tail_of(folder / "console.log")
    return Case(f"{before}end", BROKEN, id="no-results", details=details,
                message=f"it left no results, and ended with {status}")


def suite_of_folder(name: str, folder: pathlib.Path, status: int | None, before: str = "",
                    results: pathlib.Path | None = None) -> Suite:
    """Returns the suite of a run from what it left: `results.json`, or another file, its logs."""
    try:
        return suite_of(name, documents.load(results or folder / "results.json"), before)
    except (OSError, Failure, KeyError, TypeError):  # Cut off, or of version 0.1.
        return Suite(name, (without_results(folder, status, before),))


def merged(name: str, suites: list[Suite]) -> Suite:
    """Returns one suite with the cases of several."""
    return Suite(name, tuple(case for suite in suites for case in suite.cases),
                 next((suite.label for suite in suites if suite.label), ""),
                 next((suite.tool for suite in suites if suite.tool), ""))
