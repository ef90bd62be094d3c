# SPDX-License-Identifier: Apache-2.0
"""Draws kexecs CPU by CPU, several above each other on one axis, as SVG without a script.

Four pictures: the phases, on one axis from the kexec mark; who had the time down and up; and
the CPUs on their ways down and up. Teardowns differ by orders of magnitude, and the VMM takes
microseconds of them, so all but the first have a logarithmic axis. That of the CPUs begins at
0, when the first of them leaves or is called, and is linear up to a microsecond.
"""

import dataclasses
import math
from typing import Iterable, Sequence

from parkvmm.bench.facts import WHO, Sample, places
from parkvmm.report.charts import WHO_NAMES
from parkvmm.report.markup import Markup, tag
from parkvmm.report.plots import LETTER, Scale, number, shortened
from parkvmm.report.summary import share_of, time_of

WIDTH = 440
LEFT, RIGHT = 26, 8  # of the lanes
LINE = 15  # from one line of text to the next
BAR = 17
LINEAR = 1000  # ns: up to here the axis of lanes is linear
MOST_LANES = 64  # of a kexec that are drawn
LANES_HEIGHT = 200
THINNEST = 1.0  # a pixel: what takes less is drawn so wide
TICKS = (0, *(10 ** power for power in range(3, 11)))
WAYS = ("down", "up")
STATES = {"kernel": "runs the guest's kernel",
          "vmm": "on its way through the VMM, firmware model included",
          "polling": "off, not yet known to be", "off": "off or parked"}


@dataclasses.dataclass(frozen=True)
class Kexec:
    unit: str
    which: str  # of its kexecs
    sample: Sample

    @property
    def name(self) -> str:
        return f"{self.unit}, {self.which}"


@dataclasses.dataclass(frozen=True)
class Extent:
    """How far the axes reach, so that several pictures may share them. ns"""
    total: int
    down: int
    up: int

    @staticmethod
    def of(kexecs: Iterable[Kexec]) -> "Extent":
        total = down = up = 10 * LINEAR
        for kexec in kexecs:
            total = max([total, *(end for _, _, end in places(kexec.sample))])
            down = max(down, way_of(kexec.sample, "down")[1])
            up = max(up, way_of(kexec.sample, "up")[1])
        return Extent(total, down, up)


@dataclasses.dataclass(frozen=True)
class Picture:
    title: str
    about: str
    said: str
    height: float
    shapes: list[Markup]

    def svg(self, **attributes: object) -> Markup:
        return tag("svg", tag("title", f"{self.title}: {self.about}"), tag("desc", self.said),
                   *self.shapes, viewBox=f"0 0 {WIDTH} {number(self.height)}", role="img",
                   **attributes)


def can_be_drawn(sample: Sample) -> bool:
    return any(way_of(sample, way)[1] for way in WAYS)


def way_of(sample: Sample, way: str) -> tuple[int, int]:
    """Returns when the first CPU begins its way, and how long after that the last ends it."""
    names = ("left_ns", "off_ns", "known_ns") if way == "down" else ("called_ns", "started_ns")
    begins = [cpu[names[0]] for cpu in sample["per_cpu"] if cpu[names[0]] is not None]
    ends = [cpu[name] for cpu in sample["per_cpu"] for name in names if cpu[name] is not None]
    return (min(begins), max(ends) - min(begins)) if begins else (0, 0)


# --- the phases -------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Label:
    """The name of a phase: inside of its bar, or on a line of its own at a leader, below the
    bar and to the right, or above it and to the left. Leaders and names never cross."""
    text: str
    x: float  # the middle of the phase
    line: int  # 0: inside; 1 and more: below; -1 and less: above

    @property
    def span(self) -> tuple[float, float]:
        """Returns from where to where the text reaches."""
        wide = LETTER * len(self.text)
        if self.line == 0:
            return self.x - wide / 2, self.x + wide / 2
        return (self.x + 4, self.x + 4 + wide) if self.line > 0 else (self.x - 4 - wide, self.x - 4)


def labels_of(sample: Sample, total: int) -> list[Label]:
    """Places the name of each phase that took any time. Below, one that is further left has a
    lower line, so that its leader passes no text; above, it has the nearer one."""
    inside, below, above = [], [], []
    for name, begin, end in places(sample):
        if end == begin:
            continue
        text = f"{name} {time_of(end - begin)}"
        x, wide = WIDTH * (begin + end) / 2 / total, WIDTH * (end - begin) / total
        if LETTER * len(text) + 6 <= wide:
            inside.append(Label(text, x, 0))
        elif x + 4 + LETTER * len(text) <= WIDTH:
            below.append((x, text))
        else:
            above.append((x, text))
    return [*inside,
            *(Label(text, x, line) for line, (x, text) in enumerate(reversed(below), 1)),
            *(Label(text, x, -line) for line, (x, text) in enumerate(above, 1))]


def drawn_label(label: Label, bar: float) -> list[Markup]:
    if label.line == 0:
        return [tag("text", label.text, x=number(label.x), y=number(bar + BAR / 2), dy="0.35em",
                    class_="middle")]
    if label.line > 0:
        begin, y = bar + BAR, bar + BAR + LINE * label.line
        x, class_ = label.x + 4, None
    else:
        begin, y = bar, bar + LINE * label.line
        x, class_ = label.x - 4, "end"
    return [tag("path", d=f"M{number(label.x)} {number(begin)}V{number(y - 1)}", class_="lead"),
            tag("text", label.text, x=number(x), y=number(y + 2), class_=class_)]


def phases(kexecs: Sequence[Kexec], extent: Extent) -> Picture:
    shapes: list[Markup] = []
    y, said = 0.0, []
    for kexec in kexecs:
        labels = labels_of(kexec.sample, extent.total)
        above = max([0, *(-label.line for label in labels)])
        below = max([0, *(label.line for label in labels)])
        shapes.append(tag("text", kexec.name, x=0, y=number(y + LINE - 3), class_="name"))
        bar = y + LINE + LINE * above + 6
        for index, (_, begin, end) in enumerate(places(kexec.sample)):
            shapes.append(tag("rect", x=number(WIDTH * begin / extent.total), y=number(bar),
                              width=number(WIDTH * (end - begin) / extent.total), height=BAR,
                              class_=f"phase p{index % 2}"))
        for label in labels:
            shapes += drawn_label(label, bar)
        y = bar + BAR + LINE * below + 14
        said.append(f"{kexec.name}: " + ", ".join(
            f"{name} {time_of(end - begin)}" for name, begin, end in places(kexec.sample)))
    shapes += axis(((ns, tick_text(ns)) for ns in even_ticks(extent.total)),
                   lambda ns: WIDTH * ns / extent.total, y)
    return Picture("phases", "since the guest calls kexec", "; ".join(said), y + 22, shapes)


def even_ticks(total: float) -> list[float]:
    """Returns 0 and up to five even steps of 1, 2 or 5."""
    power = 10.0 ** math.floor(math.log10(total / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5 >= total)
    return [i * step for i in range(math.floor(total / step) + 1)]


def tick_text(ns: float) -> str:
    """Returns a time without the zeros that end it: 10 µs."""
    value, unit = time_of(ns).split(" ")
    return f"{value.rstrip('0').rstrip('.') if '.' in value else value} {unit}"


def axis(ticks: Iterable[tuple[float, str]], x_of: Scale, y: float) -> list[Markup]:
    """Draws ticks and their names. One that would reach beyond the edge ends at it."""
    shapes = []
    for at, text in ticks:
        x, half = x_of(at), LETTER * len(text) / 2
        class_ = "start" if x < half else "end" if x + half > WIDTH else "middle"
        shapes += [tag("path", d=f"M{number(x)} {number(y)}v4", class_="axis"),
                   tag("text", "0" if at == 0 else text, x=number(x), y=number(y + 17),
                       class_=f"tick {class_}")]
    return shapes


# --- who had the time -------------------------------------------------------------

MARKS = {"firmware": "M0-4.6L4.6 0 0 4.6-4.6 0z", "vmm": "M-3.6-3.6h7.2v7.2h-7.2z",
         "polling": "M0-4.4L4.2 3.2H-4.2z", "kernel": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"}


def shares(kexecs: Sequence[Kexec]) -> Picture:
    """Draws how long each had of down and up. What had no time has no mark."""
    rows = [(kexec, way, parts) for way in WAYS for kexec in kexecs
            if (parts := kexec.sample["split_ns"][way]) and sum(parts.values())]
    times = [ns for _, _, parts in rows for ns in parts.values() if ns]
    low = math.floor(math.log10(min(times, default=1)))
    high = max(math.ceil(math.log10(max(times, default=10))), low + 1)

    def x_of(ns: float) -> float:
        return 8 + (math.log10(ns) - low) / (high - low) * (WIDTH - 16)

    shapes: list[Markup] = []
    y, said = 0.0, []
    for kexec, way, parts in rows:
        whole = sum(parts.values())
        text = f"{way}: VMM {time_of(parts['vmm'])} of {time_of(whole)}"
        if parts["vmm"]:
            text += f", {share_of(parts['vmm'], whole)}"
        shapes += [tag("text", f"{shortened(kexec.unit)} ", tag("tspan", text, class_="tick"),
                       x=0, y=number(y + LINE - 3)),
                   tag("path", d=f"M8 {number(y + LINE + 10)}H{WIDTH - 8}", class_="grid")]
        shapes += [tag("path", tag("title", f"{WHO_NAMES[who]}: {time_of(parts[who])}"),
                       d=MARKS[who], class_=f"mark {who}", transform=f"translate("
                       f"{number(x_of(parts[who]))} {number(y + LINE + 10)})")
                   for who in reversed(WHO) if parts[who]]
        said.append(f"{kexec.name}, {way}: " + ", ".join(
            f"{WHO_NAMES[who]} {time_of(ns)}" for who, ns in parts.items()))
        y += 2 * LINE + 8
    if rows:
        shapes += axis(((10 ** power, tick_text(10 ** power))
                        for power in range(low, high + 1)), x_of, y)
    return Picture("who had the time", "logarithmic", "; ".join(said), y + 22, shapes)


# --- the CPUs ---------------------------------------------------------------------

def states(cpu: dict, way: str, begin: int, end: int) -> Iterable[tuple[str, int, int]]:
    """Yields what a CPU is in, from its moments, in ns since the way began. A moment that was
    not seen leaves a gap."""
    if way == "down":
        left, off, known = cpu["left_ns"], cpu["off_ns"], cpu["known_ns"]
        if left is None and off is None:
            return  # It was off before.
        spans = [("kernel", begin, left), ("polling", off, known),
                 ("off", off if known is None else known, begin + end), ("vmm", left, off)]
    else:
        called, started = cpu["called_ns"], cpu["started_ns"]
        spans = [("off", begin, begin + end if called is None else called),
                 ("kernel", started, begin + end), ("vmm", called, started)]
    for kind, from_, to in spans:
        if from_ is not None and to is not None and to > from_:
            yield kind, from_ - begin, to - begin


def chosen(sample: Sample) -> list[dict]:
    """Returns the CPUs that are drawn, by number: each, or every n-th of many."""
    cpus = sorted(sample["per_cpu"], key=lambda cpu: cpu["vcpu"])
    return cpus[::math.ceil(len(cpus) / MOST_LANES)] if cpus else []


def cpus_on_their_way(kexecs: Sequence[Kexec], way: str, extent: Extent) -> Picture:
    end = extent.down if way == "down" else extent.up
    reach = math.asinh(end / LINEAR)

    def x_of(ns: float) -> float:
        return LEFT + math.asinh(ns / LINEAR) / reach * (WIDTH - LEFT - RIGHT)

    shapes: list[Markup] = []
    y, said = 0.0, []
    for kexec in kexecs:
        begin, long = way_of(kexec.sample, way)
        cpus = chosen(kexec.sample)
        if not long:
            continue
        row = max(3, min(12, LANES_HEIGHT // len(cpus)))
        ns = kexec.sample["phase_ns"][way]
        took = "not seen" if ns is None else time_of(ns)
        if way == "down" and sum(cpu["left_ns"] is not None for cpu in cpus) == 1:
            took += " from the kexec mark"  # vmm/measure/attribution.h
        some = "" if len(cpus) == len(kexec.sample["per_cpu"]) else (
            f", {len(cpus)} of {len(kexec.sample['per_cpu'])} CPUs")
        shapes.append(tag("text", f"{shortened(kexec.unit)} ", tag(
            "tspan", f"{way} {took}{some}", class_="tick"),
            x=0, y=number(y + LINE - 3)))
        y += LINE + 4
        shapes += lanes(cpus, way, begin, end, y, row, x_of)
        y += row * len(cpus) + 12
        said.append(f"{kexec.name}: {len(kexec.sample['per_cpu'])} CPUs, {took}")
    ticks = [ns for ns in TICKS if ns <= end]
    shapes += axis(((ns, tick_text(ns)) for ns in ticks),
                   x_of, y)
    since = "the first CPU leaves" if way == "down" else "the first CPU is called"
    return Picture(way, f"CPU by CPU, since {since}, logarithmic", "; ".join(said), y + 22, shapes)


def lanes(cpus: list[dict], way: str, begin: int, end: int, top: float, row: int,
          x_of: Scale) -> list[Markup]:
    """Draws a row for each CPU: one path for each state, the VMM's above the others."""
    paths: dict[str, list[str]] = {kind: [] for kind in ("off", "kernel", "polling", "vmm")}
    every = math.ceil(11 / row)
    shapes = []
    for index, cpu in enumerate(cpus):
        y = top + index * row
        if index % every == 0:
            shapes.append(tag("text", cpu["vcpu"], x=LEFT - 5, y=number(y + min(row, 11) / 2),
                              dy="0.35em", class_="tick small end"))
        for kind, from_, to in states(cpu, way, begin, end):
            x = x_of(from_)
            wide = max(THINNEST, x_of(min(to, end)) - x)
            paths[kind].append(f"M{number(x)} {number(y)}h{number(wide)}v{row - 1}"
                               f"h{number(-wide)}z")
    shapes += [tag("path", tag("title", STATES[kind]), d="".join(parts), class_=kind)
               for kind, parts in paths.items() if parts]
    return shapes


def pictures(kexecs: Sequence[Kexec], extent: Extent | None = None) -> list[Picture]:
    reach = extent or Extent.of(kexecs)
    return [phases(kexecs, reach), shares(kexecs),
            *(cpus_on_their_way(kexecs, way, reach) for way in WAYS)]
