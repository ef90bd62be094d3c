# SPDX-License-Identifier: Apache-2.0
"""Builds the section of questions that pairs of units answer: a row for each."""

import dataclasses
import math

from parkvmm.bench.analysis import Spread
from parkvmm.bench.effects import Effect, boots_of, effects, foremost
from parkvmm.bench.results import Result
from parkvmm.report.lanes import tick_text
from parkvmm.report.markup import Markup, tag
from parkvmm.report.plots import Scale, marker, number
from parkvmm.report.templating import filled

WIDTH, HEIGHT = 240, 30
EDGE = 16
NAMES = 4  # of decades that have room beside each other
ROWS = (9, 21)  # where the one without and the one with are drawn


@dataclasses.dataclass(frozen=True)
class Axis:
    """Decades of ns that hold all times but those of 0, which have no place among them."""
    low: int
    high: int

    @staticmethod
    def of(found: list[Effect]) -> "Axis":
        times = [edge for one in found for spread in (one.old, one.new)
                 for edge in (spread.least, spread.most) if edge > 0]
        low = math.floor(math.log10(min(times, default=1)))
        return Axis(low, max(low + 1, math.ceil(math.log10(max(times, default=10)))))

    def x_of(self, ns: float) -> float:
        return EDGE + (math.log10(ns) - self.low) / (self.high - self.low) * (WIDTH - 2 * EDGE)

    @property
    def decades(self) -> list[float]:
        return [10.0 ** power for power in range(self.low, self.high + 1)]

    @property
    def named(self) -> list[float]:
        """Returns the decades whose names have room: each, or every second and so on."""
        return self.decades[::math.ceil(len(self.decades) / NAMES)]


def drawn(found: Spread, y: float, shape: str, class_: str, x_of: Scale) -> Markup:
    """Draws a median, with a line from the least to the most of several samples."""
    if found.least <= 0:
        return Markup("")
    line = tag("path", d=f"M{number(x_of(found.least))} {y}H{number(x_of(found.most))}")
    return tag("g", line if found.count > 1 else None,
               marker(shape, x_of(found.median), y, class_, found.count == 1), class_=class_)


def picture(one: Effect, axis: Axis) -> Markup:
    """Both stand in the row as numbers, too."""
    grid = [tag("path", d=f"M{number(axis.x_of(ns))} 0V{HEIGHT}", class_="grid")
            for ns in axis.decades]
    return tag("svg", *grid, drawn(one.old, ROWS[0], "square", "without", axis.x_of),
               drawn(one.new, ROWS[1], "circle", "with", axis.x_of),
               viewBox=f"0 0 {WIDTH} {HEIGHT}", aria_hidden="true")


def ticks(axis: Axis) -> Markup:
    return tag("svg", *(tag("text", tick_text(ns), x=number(axis.x_of(ns)), y=12,
                            class_="tick middle") for ns in axis.named),
               viewBox=f"0 0 {WIDTH} 16", aria_hidden="true")


def effects_section(result: Result, ident: str) -> Markup | None:
    found = effects(result["units"])
    if not found:
        return None
    axis, first = Axis.of(found), foremost(found)
    rows = [(one, picture(one, axis)) for one in first]
    others = [(one, picture(one, axis)) for one in found if one not in first]
    return filled("effects.html.j2", ident=f"{ident}-effects", ticks=ticks(axis), rows=rows,
                  others=others, boots=boots_of(result), label=result["label"])
