# SPDX-License-Identifier: Apache-2.0
"""Builds one HTML page: of a result, or of a run.

The page needs nothing else: it fetches nothing, and has no date, path or host
name in it. The same results give the same bytes. Its script draws the lanes of
a chosen kexec, sorts tables, and hands out the raw data that the page carries.
"""

import base64
import hashlib
import json
import pathlib
from typing import Any

from parkvmm.bench import export
from parkvmm.bench.results import Result, of_document
from parkvmm.report import run
from parkvmm.report.environment import data_section, environment_section
from parkvmm.report.events import Events
from parkvmm.report.markup import Markup, join, tag
from parkvmm.report.sections import (factorial_section, lanes_section, main_section, opening,
                                     scaling_section, split_section, steps_section)
from parkvmm.report.templating import filled

HERE = pathlib.Path(__file__).parent


def asset(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))


def article(result: Result, number: int) -> Markup:
    ident = f"r{number + 1}"
    return tag("article", opening(result), main_section(result, ident),
               split_section(result, ident), lanes_section(result, ident, number),
               steps_section(result, ident), scaling_section(result, ident),
               factorial_section(result, ident), environment_section(result, ident),
               data_section(ident, number), id=ident)


def contents(results: list[Result]) -> Markup | None:
    if len(results) < 2:
        return None
    return tag("nav", tag("ol", *(tag("li", tag("a", result["name"], href=f"#r{number}"))
                                  for number, result in enumerate(results, 1))),
               aria_label="Results")


def data_of(documents: list[dict[str, Any]]) -> Markup:
    """Returns the documents and their samples as JSON that no text in them can end."""
    text = json.dumps({"results": documents,
                       "csv": [export.csv_text(of_document(one)) for one in documents]},
                      separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def whole(title: str, main: Markup, documents: list[dict[str, Any]],
          links: Markup | None = None) -> str:
    """Returns the text of a page."""
    script = asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return str(filled("page.html.j2", title=title, main=main, contents=links, script=script,
                      script_sha256=Markup(digest), style=asset("report.css"),
                      data=data_of(documents))) + "\n"


def render(results: list[Result]) -> str:
    return whole(", ".join(result["name"] for result in results),
                 join(map(article, results, range(len(results)))), results, contents(results))


def render_run(document: run.Run, found: Events | None = None) -> str:
    """Returns the page of one `vmm run`, with its events if they are given."""
    return whole(document["arm"] or "run", run.article(document, found), [document])
