# SPDX-License-Identifier: Apache-2.0
"""Computes from the samples of a result what it says: medians, curves."""

import dataclasses
import itertools
from typing import Any, Iterable

from parkvmm.bench.facts import PHASES, WHO
from parkvmm.bench.statistics import median, quadratic_fit

Unit = dict[str, Any]
MEASURES = (*PHASES, "total")
LONGEST = 8  # steps that a table has
FIT_POINTS = 4  # fewer say nothing about a curve


def values(unit: Unit, measure: str) -> list[int | None]:
    """Returns ns of every sample. The measure `change` is down and up: the CPUs' own part.
    `teardown` is missing in results of older versions."""
    if measure == "total":
        return [sample["total_ns"] for sample in unit["samples"]]
    if measure == "teardown":
        return [sample.get("teardown_ns") for sample in unit["samples"]]
    if measure == "change":
        return [None if down is None or up is None else down + up for down, up in
                zip(values(unit, "down"), values(unit, "up"))]
    return [sample["phase_ns"][measure] for sample in unit["samples"]]


def complete(unit: Unit, measure: str) -> list[int]:
    """Returns the same, or nothing if a sample was not seen."""
    found = values(unit, measure)
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def middle(unit: Unit, measure: str) -> float | None:
    return median(values(unit, measure))


def split(unit: Unit, phase: str) -> dict[str, float] | None:
    """Returns the median of each share, ns."""
    parts = [sample["split_ns"][phase] for sample in unit["samples"]]
    if not parts or None in parts:
        return None
    return {who: median([part[who] for part in parts]) or 0 for who in WHO}


def vmm_ns_per_cpu(unit: Unit) -> float | None:
    """Returns what the VMM itself spends on taking a CPU down and up again."""
    seen = [(sample["split_ns"]["down"], sample["split_ns"]["up"], max(1, sample["cpus"] - 1))
            for sample in unit["samples"]]
    return median([(down["vmm"] + up["vmm"]) / others for down, up, others in seen if down and up])


def vmm_ns_of_median_cpu(unit: Unit) -> float | None:
    """Returns the same of the median CPU. Where CPUs share a clock, a CPU's own time
    includes the work of others that ran while it was released."""
    found = [(cpu["vmm_off_ns"], cpu["vmm_on_ns"])
             for sample in unit["samples"] for cpu in sample["per_cpu"]]
    return median([sum(both) for both in found if None not in both])


def intervals(unit: Unit, way: str) -> list[int]:
    """Returns ns from one CPU to the next, of all samples together: from CPU_OFF to
    CPU_OFF, where the first counts from the kexec mark, or from CPU_ON to CPU_ON."""
    found: list[int] = []
    for sample in unit["samples"]:
        if way == "down":
            gaps = [cpu["kernel_before_off_ns"] for cpu in sample["per_cpu"]]
            found += [ns for ns in gaps if ns is not None]
        else:  # CPUs are in the order of their calls.
            called = [cpu["called_ns"] for cpu in sample["per_cpu"]
                      if cpu["called_ns"] is not None]
            found += [after - before for before, after in itertools.pairwise(called)]
    return found


def back(unit: Unit) -> str:
    if not unit["samples"]:
        return "-"
    worst = min(unit["samples"], key=lambda sample: sample["cpus_back"] - sample["cpus"])
    return f"{worst['cpus_back']} of {worst['cpus']}"


def steps(unit: Unit, way: str) -> list[tuple[str, float]]:
    """Returns ns of each step of all CPUs together, the longest first."""
    sums = []
    for sample in unit["samples"]:
        total: dict[str, int] = {}
        for own in (sample["steps_ns"] or {way: {}})[way].values():
            for name, ns in own.items():
                total[name] = total.get(name, 0) + ns
        sums.append(total)
    names = sorted({name for total in sums for name in total})
    found = [(name, median([total.get(name, 0) for total in sums]) or 0) for name in names]
    return sorted(found, key=lambda item: -item[1])


@dataclasses.dataclass(frozen=True)
class Spread:
    """Samples of one measure, in ns."""
    median: float
    least: float
    most: float
    count: int


def spread_of(unit: Unit, measure: str) -> Spread | None:
    """Returns None if none was seen."""
    known = [value for value in values(unit, measure) if value is not None]
    ns = median(known)
    return None if ns is None else Spread(ns, min(known), max(known), len(known))


def cells_of(units: Iterable[Unit]) -> list[tuple[str, dict[str, Unit]]]:
    """Groups units that differ by their arm alone, by what they have in common."""
    groups: dict[str, dict[str, Unit]] = {}
    for unit in units:
        rest = unit["id"].removeprefix(unit["arm"] + "-")
        groups.setdefault(rest, {})[unit["arm"]] = unit
    return list(groups.items())


@dataclasses.dataclass(frozen=True)
class Fit:
    arm: str
    measure: str
    coefficients: tuple[float, float, float]  # ns; N is the CPUs but the first
    largest: int

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of the constant, of N, of N^2 at the largest N."""
        a, b, c = self.coefficients
        linear, square = b * self.largest, c * self.largest ** 2
        whole = a + linear + square
        return a / whole, linear / whole, square / whole


def begins_at_mark(unit: Unit, measure: str) -> bool:
    """Tells whether `down` begins at the kexec mark: where one CPU leaves, it is the first and
    the last (vmm/measure/attribution.h). Such a time is no point of a curve with others."""
    return measure == "down" and unit["cpus"] == 2


def curves(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """Returns by arm the units that differ by the number of CPUs alone, smallest first.
    Units with one CPU are left out: they have no other to take down."""
    by_arm: dict[str, list[Unit]] = {}
    for unit in units:
        plain = unit["id"] == f"{unit['arm']}-{unit['cpus']}cpu"
        if plain and unit["host_cpus"] == unit["cpus"] and unit["cpus"] > 1:
            by_arm.setdefault(unit["arm"], []).append(unit)
    return {arm: sorted(chosen, key=lambda unit: unit["cpus"])
            for arm, chosen in by_arm.items()}


def fits(units: Iterable[Unit], measures: Iterable[str] = ("down", "up")) -> list[Fit]:
    found = []
    for arm, chosen in curves(units).items():
        for measure in measures:
            points = [(unit["cpus"] - 1, ns) for unit in chosen
                      if (ns := middle(unit, measure)) and not begins_at_mark(unit, measure)]
            if len({others for others, _ in points}) >= FIT_POINTS:
                found.append(Fit(arm, measure, quadratic_fit(*zip(*points)), points[-1][0]))
    return found
