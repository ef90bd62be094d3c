# SPDX-License-Identifier: Apache-2.0
"""Chooses the kexecs whose lanes are drawn, and draws them for a page or as one SVG."""

import dataclasses
import pathlib
from typing import Any

from parkvmm.bench.analysis import Unit
from parkvmm.bench.facts import Sample
from parkvmm.bench.results import RUN, Result, of_document
from parkvmm.labels import EMULATED
from parkvmm.report import lanes, summary
from parkvmm.report.lanes import Extent, Kexec, Picture
from parkvmm.report.markup import Markup, tag
from parkvmm.report.plots import number
from parkvmm.report.templating import filled

HERE = pathlib.Path(__file__).parent
MOMENTS = ("left_ns", "off_ns", "known_ns", "called_ns", "started_ns")
GAP, MARGIN, TITLE = 40, 16, 24  # of the SVG, around its pictures
FONT = 'svg { font-family: Inter, system-ui, "Segoe UI", "Noto Sans", sans-serif; }\n'


def drawable(unit: Unit) -> list[Kexec]:
    """Returns its kexecs in which a CPU's way was seen, with their names."""
    samples: list[Sample] = unit["samples"]
    return [Kexec(unit["id"], f"kexec {index} of {len(samples)}", sample)
            for index, sample in enumerate(samples, 1) if lanes.can_be_drawn(sample)]


def middle_one(kexecs: list[Kexec]) -> Kexec:
    """Returns the kexec with the median of down, the lower one of two."""
    def down(kexec: Kexec) -> float:
        ns = kexec.sample["phase_ns"]["down"]
        return float("inf") if ns is None else ns

    return sorted(kexecs, key=down)[(len(kexecs) - 1) // 2]


def compared(units: list[Unit]) -> list[Kexec]:
    """Chooses two units to be drawn above each other: one by one and all at once by the same
    kernel, or else two of the machines with the most CPUs. Of each, its median kexec."""
    seen = [unit for unit in units if drawable(unit)]
    if not seen:
        return []
    rivals = summary.rivalry(units)
    if rivals and drawable(rivals.slow) and drawable(rivals.fast):
        pair = [rivals.slow, rivals.fast]
    else:
        most = max(unit["cpus"] for unit in seen)
        pair = [unit for unit in seen if unit["cpus"] == most][:2]
    return [middle_one(drawable(unit)) for unit in pair]


def unit_of(run: dict[str, Any]) -> Unit:
    """Returns the kexecs of a run as a unit, those included that are no samples because they
    did not come up."""
    cpus = run["boots"][0]["cpus"]
    arm = run["arm"] or "run"
    return {"id": f"{arm}-{cpus}cpu", "arm": arm, "cpus": cpus, "samples": run["kexecs"]}


# --- for a page -------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Drawn:
    """A kexec with its pictures, and the moments of each CPU."""
    name: str
    pictures: list[Picture]
    rows: list[tuple[str, list[int | None]]]


def drawn(kexec: Kexec, extent: Extent, whole: bool) -> Drawn:
    rows = [(f"{cpu['vcpu']} ({cpu['mpidr']})", [cpu[name] for name in MOMENTS])
            for cpu in sorted(kexec.sample["per_cpu"], key=lambda cpu: cpu["vcpu"])]
    found = lanes.pictures([kexec], extent)
    return Drawn(kexec.name, found if whole else found[2:], rows)


def lanes_section(units: list[Unit], ident: str, whole: bool = False) -> Markup | None:
    """Returns the pair that is compared, and every kexec: its CPUs, and its phases and who had
    the time if it is wanted whole. The CPUs of all have the same axes."""
    every = [(unit["id"], drawable(unit)) for unit in units if drawable(unit)]
    if not every:
        return None
    extent = Extent.of(kexec for _, found in every for kexec in found)
    only = len(every) == 1 and len(every[0][1]) == 1  # It is drawn already.
    return filled(
        "lanes.html.j2", ident=f"{ident}-lanes", pair=lanes.pictures(compared(units), extent),
        units=[(name, [drawn(kexec, extent, whole) for kexec in found])
               for name, found in every], only=only,
        states=lanes.STATES, few=len(every) == 1, most=lanes.MOST_LANES)


# --- as one SVG -------------------------------------------------------------------

def lanes_svg(document: dict[str, Any]) -> str:
    """Returns lanes of a result of the bench or of `vmm run` as one SVG: no script, less than
    100 KB, for light and dark backgrounds. Where there is nothing to be drawn, it says why."""
    result = of_document(document)
    units = [unit_of(document)] if document["kind"] == RUN else result["units"]
    pair = compared(units)
    if result["label"] == EMULATED:
        return alone(result, f"{EMULATED}: times are worth nothing, so no lanes are drawn.")
    if not pair:
        return alone(result, "No kexec of this result has a CPU whose way was seen.")
    pictures = lanes.pictures(pair)
    wide = lanes.WIDTH + GAP
    shapes, y = [], float(MARGIN + TITLE)
    for row in (pictures[:2], pictures[2:]):
        for column, picture in enumerate(row):
            x = MARGIN + column * wide
            shapes += [tag("text", picture.title, tag("tspan", f" {picture.about}", class_="tick"),
                           x=x, y=number(y + 12), class_="name"),
                       picture.svg(x=x, y=number(y + TITLE), width=lanes.WIDTH,
                                   height=number(picture.height))]
        y += max(picture.height for picture in row) + TITLE + MARGIN
    shapes.append(legend(y))
    said = "; ".join(f"{picture.title}: {picture.said}" for picture in pictures)
    return canvas(result, said, y + 28, shapes)


def legend(y: float) -> Markup:
    """Returns what the colours stand for, in a line."""
    words, x = [], float(MARGIN)
    for kind, what in lanes.STATES.items():
        words += [tag("rect", x=number(x), y=number(y), width=10, height=10, class_=kind),
                  tag("text", what, x=number(x + 16), y=number(y + 9))]
        x += 16 + 6.2 * len(what) + 18
    return tag("g", *words)


def alone(result: Result, text: str) -> str:
    return canvas(result, text, MARGIN + TITLE + 24,
                  [tag("text", text, x=MARGIN, y=MARGIN + TITLE + 8)])


def canvas(result: Result, said: str, height: float, shapes: list[Markup]) -> str:
    """Returns a whole SVG, on a ground of its own."""
    width = 2 * (lanes.WIDTH + MARGIN) + GAP
    name = f"{result['name']}, {result['label']}"
    style = (HERE / "picture.css").read_text(encoding="utf-8")
    return str(tag(
        "svg", tag("title", f"parkvmm lanes: {name}"), tag("desc", said),
        tag("style", Markup(FONT + style)),
        tag("rect", width=width, height=number(height), style="fill: var(--page)"),
        tag("text", name, x=MARGIN, y=MARGIN + 10, class_="name"), *shapes,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {number(height)}",
        width=width, height=number(height), role="img")) + "\n"
