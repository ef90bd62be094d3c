# SPDX-License-Identifier: Apache-2.0
"""Builds one HTML page: of a result, a run, or a history.

The page needs nothing else: it fetches nothing, and has no date, path or host
name in it. The same results give the same bytes. Its script sorts tables and
hands out the raw data that the page carries; all else is there without it.
"""

import base64
import hashlib
import json
import pathlib
from typing import Any

from parkvmm.bench import export
from parkvmm.bench.results import Result, of_run
from parkvmm.labels import EMULATED
from parkvmm.report import answers, history, kexecs, run
from parkvmm.report.environment import data_section, environment_section
from parkvmm.report.events import Events
from parkvmm.report.markup import Markup, join
from parkvmm.report.sections import (main_section, opening, scaling_section, split_section,
                                     steps_section)
from parkvmm.report.templating import filled

HERE = pathlib.Path(__file__).parent


def asset(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))


def article(result: Result) -> Markup:
    """Returns what a result says. Where times are worth nothing, there are none."""
    ident = "r1"
    timed = [] if result["label"] == EMULATED else [
        split_section(result, ident), kexecs.lanes_section(result["units"], ident),
        steps_section(result, ident), scaling_section(result, ident),
        answers.effects_section(result, ident)]
    return filled("bench.html.j2", ident=ident, sections=join([
        opening(result), main_section(result, ident), *timed, environment_section(result, ident),
        data_section(ident)]))


def data_of(results: list[dict[str, Any]], tables: list[str]) -> Markup:
    """Returns what the page hands out as files: JSON that no text in it can end."""
    text = json.dumps({"results": results, "csv": tables}, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def whole(title: str, main: Markup, data: Markup) -> str:
    """Returns the text of a page."""
    script = asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = join([asset("picture.css"), asset("report.css")])
    return str(filled("page.html.j2", title=title, main=main, script=script, data=data,
                      script_sha256=Markup(digest), style=style)) + "\n"


def render(result: Result) -> str:
    """Returns the page of a result of the bench."""
    return whole(result["name"], article(result), data_of([result], [export.csv_text(result)]))


def render_run(document: run.Run, found: Events | None = None) -> str:
    """Returns the page of one `vmm run`, with its events if they are given."""
    table = export.csv_text(of_run(document))
    return whole(document["arm"] or "run", run.article(document, found),
                 data_of([document], [table]))


def render_history(results: list[Result]) -> str:
    """Returns the page of results that are to be followed. It holds no samples: each result
    has a page of its own."""
    found = history.histories(results)
    title = ", ".join(dict.fromkeys(map(history.title, found)))
    main = join(map(history.article, found, range(len(found))))
    return whole(f"history of {title}", main,
                 data_of([{"name": "history"}], [history.csv_text(found)]))
