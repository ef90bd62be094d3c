# SPDX-License-Identifier: Apache-2.0
"""What a report draws: bars and intervals as HTML, which fits any width, curves
as SVG. Every figure that is drawn stands beside it as a number or in a title."""

import math
from typing import Iterable

from parkvmm.bench.analysis import Effect, Unit, middle, values
from parkvmm.bench.facts import WHO
from parkvmm.bench.figures import signed
from parkvmm.report.markup import Markup, join, tag
from parkvmm.report.summary import time_of

WHO_NAMES = {"firmware": "firmware model", "vmm": "VMM", "polling": "polling",
             "kernel": "guest kernel"}
THINNEST = 0.002  # of a bar; less is a gap and no colour
COLOURS = 8  # of arms; report.css has them
SHAPES = ("circle", "square", "triangle", "diamond", "cross")


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


def whisker(effect: Effect, reach: float) -> Markup:
    """An effect and its interval, on an axis from -reach to reach."""
    def at(ns: float) -> str:
        return percent(ns + reach, 2 * reach)

    drawn = [tag("span", class_="zero")]
    if effect.samples > 1:
        drawn.append(tag("span", class_="interval", style=f"left:{at(effect.low)};"
                         f"width:{percent(effect.high - effect.low, 2 * reach)}"))
    drawn.append(tag("span", class_="dot" + " sure" * effect.is_certain,
                     style=f"left:{at(effect.ns)}", title=f"{signed(effect.ns)} ms"))
    return tag("div", *drawn, class_="whisker", aria_hidden="true")


# --- curves ------------------------------------------------------------------

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 50, 108, 14, 36
LABEL = 14  # from one label to the next


def number(value: float) -> str:
    return f"{value:.1f}"


def marker(shape: str, x: float, y: float, title: str) -> Markup:
    text = tag("title", title)
    if shape == "circle":
        return tag("circle", text, cx=number(x), cy=number(y), r="3.6")
    corners = {"square": ((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
               "triangle": ((0, -4.2), (4, 3), (-4, 3)),
               "diamond": ((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
               "cross": ((-4, -2), (-2, -4), (0, -2), (2, -4), (4, -2), (2, 0), (4, 2), (2, 4),
                         (0, 2), (-2, 4), (-4, 2), (-2, 0))}[shape]
    return tag("polygon", text, points=" ".join(f"{number(x + dx)},{number(y + dy)}"
                                                for dx, dy in corners))


def spread(wanted: list[float], lowest: float) -> list[float]:
    """Places for labels, in order, LABEL apart, none below `lowest`."""
    placed: list[float] = []
    for y in wanted:
        placed.append(max(y, placed[-1] + LABEL) if placed else y)
    limit = lowest
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - LABEL
    return placed


def tick_text(decade: int) -> str:
    return f"{10 ** decade:g}" if decade >= 0 else f"{10 ** decade:.{-decade}f}"


def curve_panel(curves: dict[str, list[Unit]], measure: str) -> Markup:
    """Medians over the number of CPUs, both logarithmic; a line over each point
    from the least to the most of its samples."""
    points = {arm: [(unit["cpus"], ns, [v for v in values(unit, measure) if v])
                    for unit in units if (ns := middle(unit, measure))]
              for arm, units in curves.items()}
    points = {arm: found for arm, found in points.items() if found}
    if not points:
        return Markup("")
    cpus = sorted({x for found in points.values() for x, _, _ in found})
    all_ns = [ns for found in points.values() for _, _, seen in found for ns in seen]
    low, high = (math.log10(edge / 1e6) for edge in (min(all_ns), max(all_ns)))
    low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    first, last = math.log2(cpus[0]), max(math.log2(cpus[-1]), math.log2(cpus[0]) + 1)

    def x_of(cpu: float) -> float:
        return LEFT + 10 + (math.log2(cpu) - first) / (last - first) * (WIDTH - LEFT - RIGHT - 16)

    def y_of(ns: float) -> float:
        return TOP + (high - math.log10(ns / 1e6)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    drawn = []
    for decade in range(low, high + 1):
        y = number(y_of(10 ** decade * 1e6))
        drawn += [tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"),
                  tag("text", tick_text(decade), x=LEFT - 6, y=y, dy="0.32em", class_="tick end")]
    for cpu in cpus:
        drawn.append(tag("text", cpu, x=number(x_of(cpu)), y=HEIGHT - BOTTOM + 16,
                         class_="tick middle"))
    drawn += [tag("text", "ms", x=LEFT - 6, y=HEIGHT - BOTTOM + 16, class_="tick end"),
              tag("text", "CPUs", x=number((LEFT + WIDTH - RIGHT) / 2), y=HEIGHT - 4,
                  class_="tick middle")]
    order = list(curves)
    ends = sorted((y_of(found[-1][1]), arm) for arm, found in points.items())
    places = dict(zip((arm for _, arm in ends),
                      spread([y for y, _ in ends], HEIGHT - BOTTOM)))
    for arm, found in points.items():
        index = order.index(arm)
        shape = SHAPES[index % len(SHAPES)]
        ranges = [tag("line", x1=number(x_of(x)), x2=number(x_of(x)), y1=number(y_of(min(seen))),
                      y2=number(y_of(max(seen)))) for x, _, seen in found if len(seen) > 1]
        line = " ".join(f"{number(x_of(x))},{number(y_of(y))}" for x, y, _ in found)
        end_x, end_y = x_of(found[-1][0]), y_of(found[-1][1])
        drawn.append(tag(
            "g", tag("polyline", points=line), *ranges,
            tag("path", d=f"M{number(end_x + 6)} {number(end_y)}L{WIDTH - RIGHT + 8} "
                f"{number(places[arm])}", class_="leader"),
            *(marker(shape, x_of(x), y_of(y), f"{arm}, {x} CPUs: {time_of(y)}")
              for x, y, _ in found),
            tag("text", arm, x=WIDTH - RIGHT + 11, y=number(places[arm]), dy="0.32em"),
            class_=f"arm c{index % COLOURS}"))
    said = "; ".join(f"{arm} from {time_of(found[0][1])} with {found[0][0]} CPUs to "
                     f"{time_of(found[-1][1])} with {found[-1][0]}"
                     for arm, found in points.items())
    return tag("figure", tag("figcaption", f"{measure}, ms"),
               tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
                   aria_label=f"{measure} by number of CPUs, logarithmic: {said}"))


def curve_panels(curves: dict[str, list[Unit]], measures: Iterable[str]) -> Markup:
    return tag("div", join(curve_panel(curves, measure) for measure in measures), class_="panels")
