# SPDX-License-Identifier: Apache-2.0
"""Writes results as short Markdown, for the summary of a CI job."""

from parkvmm.bench import markdown as text
from parkvmm.bench.effects import boots_of, effects, foremost
from parkvmm.bench.figures import of_spread
from parkvmm.bench.results import Result
from parkvmm.labels import EMULATED
from parkvmm.report import history, summary
from parkvmm.report.history import Entry, History


def markdown(result: Result) -> str:
    units, timed = result["units"], result["label"] != EMULATED
    parts = [f"## {text.plain(result['name'])}\n",
             text.plain(" ".join(summary.sentences(result))) + "\n",
             f"`{result['label']}`: {summary.worth(result)}\n"]
    if failures := text.failure_list(units):
        parts += ["### Failures\n", failures]
    if not timed:
        return "\n".join([*parts, "### Units\n", text.counts_table(units)])
    parts += ["### Medians\n", text.main_table(units)]
    if found := foremost(effects(units)):
        parts += ["### Effects\n", text.effects_table(found, boots_of(result))]
    return "\n".join(parts)


def source(entry: Entry) -> str:
    return f"`{entry.commit}`, kernel `{entry.kernel}`"


def of_label(one: History) -> str:
    heading = ["unit", "result", "kexecs", "CPUs back"]
    heading += [f"{measure}, ms" for measure in history.MEASURES] if one.timed else []
    rows = [[text.code(track.name), str(row.entry.number), str(row.count), row.back,
             *(map(of_spread, row.spreads) if one.timed else [])]
            for track in one.tracks for row in history.rows_of(track)]
    return "\n".join([
        f"## {text.plain(history.title(one))}, result by result\n",
        text.plain(" ".join(history.sentences(one))) + "\n",
        f"`{one.label}`: {summary.WORTH[one.label]}\n",
        "".join(f"{entry.number}. {source(entry)}\n" for entry in one.entries),
        text.table(heading, rows)])


def of_history(results: list[Result]) -> str:
    return "\n".join(map(of_label, history.histories(results)))
