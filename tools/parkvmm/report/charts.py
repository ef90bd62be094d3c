# SPDX-License-Identifier: Apache-2.0
"""Draws how times grow with the number of CPUs, and has what bars need."""

import math
from typing import Iterable

from parkvmm.bench.analysis import Unit, begins_at_mark, spread_of
from parkvmm.report import plots
from parkvmm.report.markup import Markup, join

WHO_NAMES = {"firmware": "firmware model", "vmm": "VMM", "polling": "polling",
             "kernel": "guest kernel"}


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.3f}%"


def curve_panel(curves: dict[str, list[Unit]], measure: str) -> Markup:
    """Draws medians over the number of CPUs, both logarithmic."""
    across: dict[float, str] = {}
    lines = []
    for arm, units in curves.items():
        points = []
        for unit in units:
            found = spread_of(unit, measure)
            if found and not begins_at_mark(unit, measure):
                place = math.log2(unit["cpus"])
                across[place] = str(unit["cpus"])
                points.append((place, f"{unit['cpus']} CPUs", found))
        lines.append(plots.Line(arm, points))
    return plots.plot(measure, lines, sorted(across.items()), "CPUs",
                      "by number of CPUs, logarithmic")


def curve_panels(curves: dict[str, list[Unit]], measures: Iterable[str]) -> Markup:
    return join(curve_panel(curves, measure) for measure in measures)
