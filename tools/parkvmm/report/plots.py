# SPDX-License-Identifier: Apache-2.0
"""Draws medians as lines, as SVG. The axis of time is logarithmic, so a time of 0 has no
place on it and is not drawn. A single sample is a hollow point: it has no spread."""

import dataclasses
import math
from typing import Callable, Iterable, Sequence

from parkvmm.bench.analysis import Spread
from parkvmm.report.markup import Markup, tag
from parkvmm.report.summary import time_of

COLOURS = 8  # of lines; report.css has them
SHAPES = ("circle", "square", "triangle", "diamond", "cross")

PLOT_WIDTH, HEIGHT = 268, 330  # HEIGHT grows with the number of lines
LEFT, TOP, BOTTOM = 50, 14, 36
LABEL = 14  # from one label to the next
LETTER = 6.8  # the width of one, at most on average, in fonts of 12 px
LONGEST_NAME = 26  # letters
LEAST_REACH = 1.2  # from the least to the most of an axis, so that little looks like little

Scale = Callable[[float], float]


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    points: list[tuple[float, str, Spread]]  # where on the axis, what is there, its time
    breaks: bool = False  # whether a line leads only from one point to the next whole number


def unit_of(ns: float) -> tuple[str, float]:
    """Returns the unit of an axis that reaches so far, and how many ns it has."""
    return ("ms", 1e6) if ns >= 1e4 else ("µs", 1e3) if ns >= 10 else ("ns", 1.0)


def number(value: float) -> str:
    return f"{value:.1f}"


def shortened(name: str) -> str:
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[1 - half:]}"


def marker(shape: str, x: float, y: float, title: str, hollow: bool = False) -> Markup:
    text, class_ = tag("title", title), "hollow" if hollow else None
    if shape == "circle":
        return tag("circle", text, cx=number(x), cy=number(y), r="3.6", class_=class_)
    corners = {"square": ((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
               "triangle": ((0, -4.2), (4, 3), (-4, 3)),
               "diamond": ((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
               "cross": ((-4, -2), (-2, -4), (0, -2), (2, -4), (4, -2), (2, 0), (4, 2), (2, 4),
                         (0, 2), (-2, 4), (-4, 2), (-2, 0))}[shape]
    return tag("polygon", text, points=" ".join(f"{number(x + dx)},{number(y + dy)}"
                                                for dx, dy in corners), class_=class_)


def spread(wanted: list[float], lowest: float, apart: float = LABEL) -> list[float]:
    """Returns places for labels, in order, `apart` from each other, none beyond `lowest`."""
    placed: list[float] = []
    for at in wanted:
        placed.append(max(at, placed[-1] + apart) if placed else at)
    limit = lowest
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - apart
    return placed


def steps(low: float, high: float, step: float) -> list[float]:
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def ticks_of(least: float, most: float) -> list[float]:
    """Returns the ticks of a logarithmic axis, the first and the last of which are its ends:
    decades, or 1, 2 and 5, or even steps, as little as holds the values."""
    if most > 10 * least:
        return [10.0 ** power for power in range(math.floor(math.log10(least)),
                                                 math.ceil(math.log10(most)) + 1)]
    middle = math.sqrt(least * most)
    low = min(least, middle / math.sqrt(LEAST_REACH))
    high = max(most, middle * math.sqrt(LEAST_REACH))
    if high > 2.5 * low:
        places = [factor * 10.0 ** power for power in range(math.floor(math.log10(low)),
                                                            math.ceil(math.log10(high)) + 1)
                  for factor in (1, 2, 5)]
        first = max(place for place in places if place <= low * (1 + 1e-9))
        last = min(place for place in places if place >= high * (1 - 1e-9))
        return [place for place in places if first <= place <= last]
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2, 5)
                if (high - low) / (factor * power) <= 6)
    return steps(low, high, step)


def tick_texts(ticks: list[float]) -> list[str]:
    """Returns them with as many digits as tell them apart, if they are even steps."""
    gap = ticks[1] - ticks[0]
    if not math.isclose(ticks[-1] - ticks[0], gap * (len(ticks) - 1)):
        return [f"{tick:.12g}" for tick in ticks]
    digits = max(0, -math.floor(math.log10(gap) + 1e-9))
    return [f"{tick:.{digits}f}" for tick in ticks]


def name_ends(lines: Sequence[Line], ys: dict[str, float], lowest: float) -> dict[str, float]:
    """Returns where the name of each line is written, from top to bottom as the lines end."""
    order = sorted((ys[line.name], line.name) for line in lines)
    return dict(zip((name for _, name in order), spread([y for y, _ in order], lowest)))


def runs(line: Line) -> list[list[tuple[float, str, Spread]]]:
    """Returns the points that a line joins: all of them, or those without a gap."""
    found: list[list[tuple[float, str, Spread]]] = []
    for point in line.points:
        if found and not (line.breaks and point[0] > found[-1][-1][0] + 1):
            found[-1].append(point)
        else:
            found.append([point])
    return found


def plot(measure: str, lines: list[Line], across: list[tuple[float, str]], below: str,
         about: str) -> Markup:
    """Draws lines over an axis with these places and their names. A line keeps its colour
    and shape if another has no points: it is the number of the line that counts."""
    lines = [dataclasses.replace(line, points=[point for point in line.points
                                               if point[2].least > 0]) for line in lines]
    seen = [line for line in lines if line.points]
    if not seen:
        return Markup("")
    times = [edge for line in seen for _, _, s in line.points for edge in (s.least, s.most)]
    unit, size = unit_of(max(times))
    caption = f"{measure}, {unit}"
    ticks = ticks_of(min(times) / size, max(times) / size)
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    first, last = across[0][0], max(across[-1][0], across[0][0] + 1)
    right = round(16 + LETTER * max(len(shortened(line.name)) for line in seen))
    width = LEFT + PLOT_WIDTH + right
    height = max(HEIGHT, TOP + BOTTOM + LABEL * len(seen))
    floor, wall = height - BOTTOM, LEFT + PLOT_WIDTH

    def x_of(place: float) -> float:
        return LEFT + 10 + (place - first) / (last - first) * (PLOT_WIDTH - 16)

    def y_of(ns: float) -> float:
        return TOP + (high - math.log10(ns / size)) / (high - low) * (floor - TOP)

    drawn = []
    for tick, text in zip(ticks, tick_texts(ticks)):
        y = number(y_of(tick * size))
        drawn += [tag("line", x1=LEFT, x2=wall, y1=y, y2=y, class_="grid"),
                  tag("text", text, x=LEFT - 6, y=y, dy="0.32em", class_="tick end")]
    drawn += [tag("text", text, x=number(x_of(place)), y=floor + 16, class_="tick middle")
              for place, text in shown_ticks(across, x_of)]
    drawn.append(tag("text", below, x=number((LEFT + wall) / 2), y=height - 4,
                     class_="tick middle"))
    ends = name_ends(seen, {line.name: y_of(line.points[-1][2].median) for line in seen}, floor)
    for index, line in enumerate(lines):
        if line.points:
            drawn.append(drawn_line(line, index, x_of, y_of, wall, ends[line.name]))
    said = "; ".join(f"{line.name} from {time_of(line.points[0][2].median)} with "
                     f"{line.points[0][1]} to {time_of(line.points[-1][2].median)} with "
                     f"{line.points[-1][1]}" for line in seen)
    return tag("figure", tag("figcaption", caption),
               tag("svg", tag("title", f"{caption}, {about}"), tag("desc", said), *drawn,
                   viewBox=f"0 0 {width} {height}", role="img"))


def shown_ticks(across: list[tuple[float, str]], x_of: Scale) -> Iterable[tuple[float, str]]:
    """Leaves out texts that would run into the one before."""
    end = -math.inf
    for place, text in across:
        half = LETTER * len(text) / 2
        if x_of(place) - half >= end:
            yield place, text
            end = x_of(place) + half + 6


def drawn_line(line: Line, index: int, x_of: Scale, y_of: Scale, wall: float,
               name_y: float) -> Markup:
    shape = SHAPES[index % len(SHAPES)]
    whiskers = [tag("line", x1=number(x_of(place)), x2=number(x_of(place)),
                    y1=number(y_of(found.least)), y2=number(y_of(found.most)))
                for place, _, found in line.points if found.count > 1]
    joined = [tag("polyline", points=" ".join(f"{number(x_of(place))},{number(y_of(found.median))}"
                                              for place, _, found in run)) for run in runs(line)]
    markers = [marker(shape, x_of(place), y_of(found.median),
                      f"{line.name}, {what}: {time_of(found.median)}", found.count == 1)
               for place, what, found in line.points]
    end_x, end_y = x_of(line.points[-1][0]), y_of(line.points[-1][2].median)
    leader = tag("path", d=f"M{number(end_x + 6)} {number(end_y)}L{wall + 8} {number(name_y)}",
                 class_="leader")
    name = tag("text", tag("title", line.name), shortened(line.name), x=wall + 11,
               y=number(name_y), dy="0.32em")
    return tag("g", *joined, *whiskers, leader, *markers, name,
               class_=f"arm c{index % COLOURS}")
