# SPDX-License-Identifier: Apache-2.0
"""Builds one HTML page from results.

The page needs nothing else: it fetches nothing, and has no date, path or host
name in it. The same results give the same bytes. Its script draws the lanes of
a chosen kexec, sorts tables, and hands out the raw data that the page carries.
"""

import base64
import hashlib
import json
import pathlib

from parkvmm.bench import export
from parkvmm.bench.results import Result
from parkvmm.report.environment import data_section, environment_section
from parkvmm.report.markup import Markup, tag
from parkvmm.report.sections import (factorial_section, lanes_section, main_section, opening,
                                     scaling_section, split_section, steps_section)

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


def data_block(results: list[Result]) -> Markup:
    """Returns JSON in a script element, which no text in the JSON can end."""
    text = json.dumps({"results": results, "csv": [export.csv_text(result) for result in results]},
                      separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return tag("script", Markup(text), type="application/json", id="data")


def render(results: list[Result]) -> str:
    style, script = asset("report.css"), asset("report.js")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Nothing is fetched, and no script runs but this one, whatever a result holds.
    policy = (f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
              "img-src data:; base-uri 'none'; form-action 'none'")
    page = tag(
        "html",
        tag("head", tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", "parkvmm: " + ", ".join(result["name"] for result in results)),
            tag("link", rel="icon", href="data:,"), tag("style", style)),
        tag("body", contents(results), tag("main", *map(article, results, range(len(results)))),
            data_block(results), tag("script", script)), lang="en")
    return f"<!DOCTYPE html>\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n{page}\n"
