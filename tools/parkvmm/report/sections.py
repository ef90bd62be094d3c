# SPDX-License-Identifier: Apache-2.0
"""Builds the sections of a page that say what was measured."""

from typing import Iterable

from parkvmm.bench import analysis, figures
from parkvmm.bench.analysis import MEASURES, Unit, middle, spread_of
from parkvmm.bench.facts import WHO
from parkvmm.bench.figures import ms
from parkvmm.bench.results import Result
from parkvmm.guest.arms import ARMS
from parkvmm.labels import EMULATED
from parkvmm.report import charts, summary
from parkvmm.report.markup import Markup, join, tag
from parkvmm.report.parts import (cell, head, minus, name_cell, note, pairs, section, share_cell,
                                  table, typeset)
from parkvmm.report.summary import is_insisted_on, worth

CURVE_POINTS = 3  # numbers of CPUs; fewer are no curve


def is_bad(unit: Unit) -> bool:
    return bool(unit["failures"]) or any(
        sample["cpus_back"] < sample["cpus"] for sample in unit["samples"])


def opening(result: Result) -> Markup:
    found = [typeset(sentence) for sentence in summary.sentences(result)]
    question = result["plan"].get("question")
    failed = [unit for unit in result["units"] if unit["failures"]]
    return tag(
        "header",
        tag("p", "parkvmm bench", class_="eyebrow"),
        tag("h1", result["name"]),
        tag("p", question, class_="question") if question else None,
        tag("p", found[0], class_="answer"),
        tag("p", " ".join(found[1:]), class_="more") if found[1:] else None,
        tag("p", tag("strong", result["label"], class_="label"), " ", worth(result),
            class_="worth" + " warning" * (result["label"] == EMULATED or
                                           is_insisted_on(result))),
        failures(failed) if failed else None)


def failures(units: list[Unit]) -> Markup:
    return tag("div", tag("h2", "Failures"),
               tag("ul", *(tag("li", tag("b", unit["id"]), ": ", "; ".join(unit["failures"]))
                           for unit in units)), class_="failures")


def measure_cell(unit: Unit, measure: str) -> Markup:
    """Returns the median, and below it the least and the most of several samples."""
    found = spread_of(unit, measure)
    if not found:
        return cell("-", data_value=-1)
    between = [tag("br"), tag("span", f"{ms(found.least)}–{ms(found.most)}", class_="range")]
    return cell(join([ms(found.median), *(between if found.count > 1 else [])]),
                data_value=found.median)


def main_row(unit: Unit, measures: Iterable[str] = MEASURES) -> Markup:
    state = "failed" if unit["failures"] else "CPUs lost" if is_bad(unit) else ""
    return tag("tr", name_cell(unit), cell(unit["cpus"]), cell(len(unit["samples"])),
               cell(join([analysis.back(unit),
                          tag("b", f" {state}", class_="bad") if state else None]),
                    data_value=analysis.back(unit).split()[0]),
               *(measure_cell(unit, name) for name in measures),
               class_="bad" if is_bad(unit) else None)


def sorted_head(text: str, unit: str = "") -> Markup:
    return head(tag("button", text, tag("span", f" {unit}", class_="unit") if unit else None,
                    type="button"))


def main_section(result: Result, ident: str) -> Markup:
    timed = result["label"] != EMULATED
    measures = MEASURES if timed else ()
    heading = [sorted_head("unit"), sorted_head("CPUs"), sorted_head("samples"),
               sorted_head("CPUs back"), *(sorted_head(name, "ms") for name in measures)]
    used = dict.fromkeys(unit["arm"] for unit in result["units"])
    known = [(arm, ARMS[arm].what) for arm in used if arm in ARMS]
    return section(
        f"{ident}-medians", "Medians" if timed else "Units",
        table("Medians of all samples, by unit and phase" if timed else "CPUs back, by unit",
              heading, (main_row(unit, measures) for unit in result["units"]), "sortable"),
        note("A unit is one machine that kexecs again and again. CPUs back: in the worst of its "
             "kexecs. " + timed * "Below a median: the least and the most of several samples. A "
             "dash: it could not be seen. ", "The headings sort."),
        tag("details", tag("summary", "What the arms are"),
            pairs(known)) if known else None)


def split_section(result: Result, ident: str) -> Markup | None:
    rows = []
    longest = {phase: max((sum(parts.values()) for unit in result["units"]
                           if (parts := analysis.split(unit, phase))), default=0)
               for phase in ("down", "up")}
    for unit in result["units"]:
        seen = [(phase, parts) for phase in longest if (parts := analysis.split(unit, phase))
                and sum(parts.values())]
        for number, (phase, parts) in enumerate(seen):
            first = name_cell(unit, rowspan=len(seen)) if number == 0 else None
            bar = charts.stacked_bar(parts, longest[phase])
            rows.append(tag("tr", first, cell(phase), cell(bar, class_="drawn"),
                            cell(ms(middle(unit, phase))), *(share_cell(parts[who]) for who in WHO),
                            class_="first" if number == 0 else None))
    if not rows:
        return None
    return section(
        f"{ident}-who", "Who had the time",
        charts.legend((who, charts.WHO_NAMES[who]) for who in WHO),
        table("Who had the time down and up: medians of each share",
              [head("unit"), head("phase"), head("share, and below it the length"),
               head("all", "ms"), *(head(charts.WHO_NAMES[who], "ms") for who in WHO)],
              rows, "split"),
        note("The wide bar is the share of each; the thin line below it is the phase's time "
             "against the longest of its kind here. In each kexec the parts add up to the phase; "
             "their medians need not."))


def steps_section(result: Result, ident: str) -> Markup | None:
    rows = []
    for unit in result["units"]:
        for way in ("down", "up"):
            found = analysis.steps(unit, way)
            total = sum(ns for _, ns in found) or 1
            others = max(1, unit["cpus"] - 1)
            shown = found[:analysis.LONGEST]
            for number, (name, ns) in enumerate(shown):
                rows.append(tag(
                    "tr", name_cell(unit, rowspan=len(shown)) if number == 0 else None,
                    cell(way, rowspan=len(shown)) if number == 0 else None,
                    tag("th", name, scope="row", class_="step"),
                    cell(charts.plain_bar(ns, total), class_="drawn"),
                    cell(ms(ns)), cell(f"{ns / others / 1e3:.1f}"),
                    cell(summary.share_of(ns, total)), class_="first" if number == 0 else None))
    if not rows:
        return None
    return section(
        f"{ident}-steps", "Steps of CPU hotplug",
        table(f"The {analysis.LONGEST} longest steps of each unit, down and up",
              [head("unit"), head("way"), head("step"), head("share"), head("all CPUs", "ms"),
               head("each CPU", "µs"), head("of all steps")], rows, "steps"),
        note("By a kernel that marks its steps. Each mark costs an exit to the VMM, so these times "
             "are not compared with those of other units."))


def scaling_section(result: Result, ident: str) -> Markup | None:
    curves = {arm: units for arm, units in analysis.curves(result["units"]).items()
              if len({unit["cpus"] for unit in units}) >= CURVE_POINTS}
    panels = charts.curve_panels(curves, ("down", "up", "teardown")) if curves else ""
    if not curves or "<svg" not in panels:
        return None
    fits = analysis.fits(result["units"])
    rows = [tag("tr", tag("th", fit.arm, scope="row"), cell(fit.measure),
                *(cell(minus(figures.digits(value / 1e3))) for value in fit.coefficients),
                cell(fit.largest + 1),
                *(cell(minus(f"{share:.0%}".replace("%", " %"))) for share in fit.shares))
            for fit in fits]
    return section(
        f"{ident}-scaling", "How it grows with the number of CPUs", panels,
        note("Medians; both axes are logarithmic. A line over a point reaches from the least to "
             "the most of its samples; a hollow point is a single sample. A time of 0 has no place "
             "there. With two CPUs down begins at the kexec mark, as teardown does, and is left "
             "out."),
        table("The least squares of relative errors of constant + a N + b N², N the CPUs but the "
              "first; and what of it each term is at the most CPUs",
              [head("arm"), head("phase"), head("constant", "µs"), head("a", "µs"), head("b", "µs"),
               head("at CPUs"), head("share of constant"), head("of a N"), head("of b N²")], rows,
              "fits") if rows else None)
