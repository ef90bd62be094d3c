# SPDX-License-Identifier: Apache-2.0
"""Writes what a result says as Markdown."""

from typing import Any, Iterable

from parkvmm.bench.analysis import (LONGEST, MEASURES, Unit, back, fits,
                                    intervals, middle, split, steps, vmm_ns_of_median_cpu,
                                    vmm_ns_per_cpu)
from parkvmm.bench.effects import Effect, boots_of, effects
from parkvmm.bench.facts import WHO
from parkvmm.bench.figures import digits, ms, of_spread
from parkvmm.bench.statistics import median
from parkvmm.labels import EMULATED


def plain(text: str) -> str:
    """Escapes text, so that it is nothing but text in a cell or a line of Markdown."""
    for char in "\\`*_[]|":
        text = text.replace(char, "\\" + char)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def code(name: str) -> str:
    return "`" + " ".join(name.split()).replace("`", "'").replace("|", "\\|") + "`"


def table(heading: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main_table(units: list[Unit]) -> str:
    return table(["unit", "samples", "CPUs back", *(f"{name}, ms" for name in MEASURES)],
                 [[code(unit["id"]), str(len(unit["samples"])), back(unit),
                   *(ms(middle(unit, name)) for name in MEASURES)] for unit in units])


def split_table(units: list[Unit]) -> str:
    rows = []
    for unit in units:
        for phase in ("down", "up"):
            parts = split(unit, phase)
            if parts is None:
                continue
            total = sum(parts.values()) or 1
            both = [f"{(ns or 0) / 1e3:.1f}" if phase == "up" else ""
                    for ns in (vmm_ns_per_cpu(unit), vmm_ns_of_median_cpu(unit))]
            rows.append([code(unit["id"]), phase,
                         *(f"{ms(parts[who])} ({parts[who] / total:.0%})" for who in WHO), *both])
    return table(["unit", "phase", *(f"{who}, ms" for who in WHO), "vmm, both ways, us a CPU",
                  "the median CPU"], rows) if rows else ""


def effects_table(found: list[Effect], boots: int) -> str:
    """Returns a row for each question that two units answer."""
    rows = [[plain(one.question), plain(one.machine),
             *(f"{code(name)}: {of_spread(found)}, n {found.count}"
               for name, found in zip(one.names, (one.old, one.new))),
             f"{one.answer}: {one.why}" + ", in one boot" * (one.way != 0 and boots == 1)]
            for one in found]
    return table(["question", "machine", "without, ms", "with, ms", "answer"],
                 rows) if rows else ""


def fit_table(units: list[Unit]) -> str:
    rows = [[code(fit.arm), fit.measure, *(digits(value / 1e3) for value in fit.coefficients),
             f"{fit.largest + 1}", *(f"{share:.0%}" for share in fit.shares)]
            for fit in fits(units)]
    return table(["arm", "phase", "constant, us", "x N, us", "x N^2, us", "at CPUs", "constant",
                  "N", "N^2"], rows) if rows else ""


def intervals_table(units: list[Unit]) -> str:
    rows = []
    for unit in units:
        for way in ("down", "up"):
            found = intervals(unit, way)
            if len(found) > 1:
                rows.append([f"`{unit['id']}`", way, ms(median(found)), ms(min(found)),
                             ms(max(found))])
    return table(["unit", "way", "median, ms", "least, ms", "most, ms"], rows) if rows else ""


def steps_table(units: list[Unit]) -> str:
    rows = []
    for unit in units:
        for way in ("down", "up"):
            found = steps(unit, way)
            total = sum(ns for _, ns in found) or 1
            others = max(1, unit["cpus"] - 1)
            rows += [[code(unit["id"]), way, code(name), ms(ns), f"{ns / others / 1e3:.1f}",
                      f"{ns / total:.0%}"] for name, ns in found[:LONGEST]]
    return table(["unit", "way", "step", "ms, all CPUs", "us a CPU", "of all steps"],
                 rows) if rows else ""


def failure_list(units: list[Unit]) -> str:
    return "".join(f"* {code(unit['id'])}: {plain('; '.join(unit['failures']))}\n"
                   for unit in units if unit["failures"])


def counts_table(units: list[Unit]) -> str:
    """Returns what is valid where times are not."""
    return table(["unit", "samples", "CPUs back"],
                 [[code(unit["id"]), str(len(unit["samples"])), back(unit)] for unit in units])


def markdown(result: dict[str, Any]) -> str:
    units = result["units"]
    if result["label"] == EMULATED:
        parts = [f"## {plain(result['name'])}: label `{EMULATED}`, whose times mean nothing\n",
                 counts_table(units)]
        failures = failure_list(units)
        return "\n".join(parts + (["### Failures\n", failures] if failures else []))
    parts = [f"## {plain(result['name'])}: medians, label `{result['label']}`\n", main_table(units)]
    for title, text in (("Who had the time", split_table(units)),
                        ("From one CPU to the next", intervals_table(units)),
                        ("Steps of CPU hotplug", steps_table(units)),
                        ("Effects", effects_table(effects(units), boots_of(result))),
                        ("How it grows: N is the CPUs but the first", fit_table(units))):
        if text:
            parts += [f"### {title}\n", text]
    if failures := failure_list(units):
        parts += ["### Failures\n", failures]
    return "\n".join(parts)
