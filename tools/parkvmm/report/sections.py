# SPDX-License-Identifier: Apache-2.0
"""Builds the sections of a page that say what was measured."""

import dataclasses

from parkvmm.bench import analysis
from parkvmm.bench.analysis import MEASURES, Spread, Unit, middle, spread_of
from parkvmm.bench.facts import WHO
from parkvmm.bench.results import Result
from parkvmm.guest.arms import ARMS
from parkvmm.labels import EMULATED
from parkvmm.report import charts, summary
from parkvmm.report.charts import WHO_NAMES, percent
from parkvmm.report.markup import Markup
from parkvmm.report.summary import is_insisted_on
from parkvmm.report.templating import filled

CURVE_POINTS = 3  # numbers of CPUs; fewer are no curve
WAYS = ("down", "up")
THINNEST = 0.002  # of a bar; less is a gap and no colour


def opening(result: Result) -> Markup:
    return filled(
        "opening.html.j2", name=result["name"], question=result["plan"].get("question"),
        said=summary.sentences(result), label=result["label"], label_worth=summary.worth(result),
        label_warning=result["label"] == EMULATED or is_insisted_on(result),
        failed=[unit for unit in result["units"] if unit["failures"]])


@dataclasses.dataclass(frozen=True)
class Row:
    """Medians of a unit."""
    unit: Unit
    spreads: list[Spread | None]

    @property
    def back(self) -> str:
        return analysis.back(self.unit)

    @property
    def bad(self) -> str:
        """Returns what is, in a word, or nothing."""
        if self.unit["failures"]:
            return "failed"
        lost = any(sample["cpus_back"] < sample["cpus"] for sample in self.unit["samples"])
        return "CPUs lost" if lost else ""


def main_section(result: Result, ident: str) -> Markup:
    measures = () if result["label"] == EMULATED else MEASURES
    used = dict.fromkeys(unit["arm"] for unit in result["units"])
    return filled(
        "medians.html.j2", ident=f"{ident}-medians", measures=measures,
        rows=[Row(unit, [spread_of(unit, measure) for measure in measures])
              for unit in result["units"]],
        arms=[(arm, ARMS[arm].what) for arm in used if arm in ARMS])


@dataclasses.dataclass(frozen=True)
class Split:
    """Who had the time of a phase: medians of each share, ns."""
    phase: str
    ns: float | None
    parts: dict[str, float]
    longest: float  # of all units

    @property
    def seen(self) -> list[str]:
        """Returns whose share is wide enough for a colour."""
        return [who for who in WHO if self.parts[who] > THINNEST * sum(self.parts.values())]

    @property
    def length(self) -> str:
        return percent(sum(self.parts.values()), self.longest)


def split_section(result: Result, ident: str) -> Markup | None:
    found = [(unit, phase, parts) for unit in result["units"] for phase in WAYS
             if (parts := analysis.split(unit, phase)) and sum(parts.values())]
    longest = {phase: max((sum(parts.values()) for _, which, parts in found if which == phase),
                          default=0) for phase in WAYS}
    groups: dict[str, tuple[Unit, list[Split]]] = {}
    for unit, phase, parts in found:
        groups.setdefault(unit["id"], (unit, []))[1].append(
            Split(phase, middle(unit, phase), parts, longest[phase]))
    return filled("who.html.j2", ident=f"{ident}-who", who={who: WHO_NAMES[who] for who in WHO},
                  groups=groups.values()) if groups else None


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    ns: float  # of all CPUs
    total: float  # of all steps
    others: int  # CPUs that leave or come

    @property
    def us_each(self) -> float:
        return self.ns / self.others / 1e3

    @property
    def width(self) -> str:
        return percent(self.ns, self.total)

    @property
    def share(self) -> str:
        return summary.share_of(self.ns, self.total)


def steps_section(result: Result, ident: str) -> Markup | None:
    groups = []
    for unit in result["units"]:
        for way in WAYS:
            found = analysis.steps(unit, way)
            total, others = sum(ns for _, ns in found) or 1, max(1, unit["cpus"] - 1)
            if found:
                groups.append((unit, way, [Step(name, ns, total, others)
                                           for name, ns in found[:analysis.LONGEST]]))
    return filled("steps.html.j2", ident=f"{ident}-steps", longest=analysis.LONGEST,
                  groups=groups) if groups else None


def scaling_section(result: Result, ident: str) -> Markup | None:
    curves = {arm: units for arm, units in analysis.curves(result["units"]).items()
              if len({unit["cpus"] for unit in units}) >= CURVE_POINTS}
    panels = charts.curve_panels(curves, (*WAYS, "teardown"))
    return filled("scaling.html.j2", ident=f"{ident}-scaling", panels=panels,
                  fits=analysis.fits(result["units"])) if panels else None
