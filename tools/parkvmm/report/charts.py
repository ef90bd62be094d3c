# SPDX-License-Identifier: Apache-2.0
"""What a report draws: bars as HTML, which fits any width, curves
as SVG (plots.py). Every figure that is drawn stands beside it as a number or in a title."""

import math
from typing import Iterable

from parkvmm.bench.analysis import Unit, begins_at_mark, spread_of
from parkvmm.bench.facts import WHO
from parkvmm.report import plots
from parkvmm.report.markup import Markup, join, tag
from parkvmm.report.summary import time_of

WHO_NAMES = {"firmware": "firmware model", "vmm": "VMM", "polling": "polling",
             "kernel": "guest kernel"}
THINNEST = 0.002  # of a bar; less is a gap and no colour


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.3f}%"


def legend(names: Iterable[tuple[str, str]]) -> Markup:
    """Of (class, what it stands for)."""
    return tag("ul", *(tag("li", tag("span", class_=f"swatch {class_}"), what)
                       for class_, what in names), class_="legend")


def stacked_bar(parts: dict[str, float], longest: float) -> Markup:
    """The shares; below them, how long all is against the longest of its kind."""
    total = sum(parts.values())
    shares = [tag("span", class_=who, style=f"flex-grow:{parts[who]:.0f}",
                  title=f"{WHO_NAMES[who]}: {time_of(parts[who])}") for who in WHO
              if parts[who] > THINNEST * total]
    return tag("div", tag("div", *shares, class_="shares"),
               tag("div", tag("span", style=f"width:{percent(total, longest)}"), class_="length"),
               class_="bar", aria_hidden="true")


def plain_bar(part: float, whole: float) -> Markup:
    return tag("div", tag("span", class_="kernel", style=f"width:{percent(part, whole)}"),
               class_="bar plain", aria_hidden="true")


# --- curves ------------------------------------------------------------------

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
    return plots.plot(f"{measure}, ms", lines, sorted(across.items()), "CPUs",
                      "by number of CPUs, logarithmic")


def curve_panels(curves: dict[str, list[Unit]], measures: Iterable[str]) -> Markup:
    return tag("div", join(curve_panel(curves, measure) for measure in measures), class_="panels")
