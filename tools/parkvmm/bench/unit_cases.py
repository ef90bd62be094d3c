# SPDX-License-Identifier: Apache-2.0
"""What became of each unit of a plan, as cases."""

import pathlib

from parkvmm.bench.plan import Unit
from parkvmm.cases.cases import FAILED, Case, Suite, merged, suite_of_folder


def status_of(folder: pathlib.Path) -> int | None:
    """Returns how a run ended, or None if it did not."""
    try:
        return int((folder / "status").read_text())
    except OSError:
        return None


def suite_of(unit: Unit, folders: list[pathlib.Path]) -> Suite:
    """Returns the cases of a unit's runs. Folders are those of its rounds."""
    rounds = [suite_of_folder(unit.id, folder, status_of(folder),
                              f"round {number}, " if len(folders) > 1 else "")
              for number, folder in enumerate(folders, 1)]
    return merged(unit.id, rounds)


def with_failures(suite: Suite, failures: list[str]) -> Suite:
    """Adds what is wrong with a unit beyond its runs: samples that are missing."""
    if not failures or suite.fails:
        return suite
    more = Case("samples", FAILED, id="samples-missing", message="; ".join(failures))
    return Suite(suite.name, (*suite.cases, more), suite.label, suite.tool)


def verdict(name: str, suites: list[Suite]) -> str:
    """Returns a line that says how it went."""
    bad = [suite.name for suite in suites if suite.fails]
    return (f"{name}: {len(suites) - len(bad)} of {len(suites)} units went well"
            + (f"; not {', '.join(bad)}" if bad else ""))
