# SPDX-License-Identifier: Apache-2.0
"""Builds the parts that all sections of a page are made of."""

import re
from typing import Any, Iterable

from parkvmm.bench.analysis import Unit
from parkvmm.bench.figures import ms
from parkvmm.guest.arms import ARMS
from parkvmm.report.markup import Markup, join, tag


def section(ident: str, title: str, *content: Any) -> Markup:
    return tag("section", tag("h2", tag("a", title, href=f"#{ident}")), *content, id=ident)


def note(*text: Any) -> Markup:
    return tag("p", *text, class_="note")


def table(caption: str, heading: Iterable[Any], rows: Iterable[Markup], class_: str = "") -> Markup:
    """Scrolls by itself where it is too wide, by keyboard too."""
    return tag("div", tag("table", tag("caption", caption),
                          tag("thead", tag("tr", *heading)), tag("tbody", *rows), class_=class_),
               class_="scroll", tabindex="0", role="region", aria_label=caption)


def head(text: Any, unit: str = "", **attributes: Any) -> Markup:
    return tag("th", text, tag("span", f" {unit}", class_="unit") if unit else None, scope="col",
               **attributes)


def name_cell(unit: Unit, **attributes: Any) -> Markup:
    arm = ARMS.get(unit["arm"])
    return tag("th", unit["id"], scope="row", title=arm.what if arm else None, **attributes)


def cell(text: Any, **attributes: Any) -> Markup:
    return tag("td", text, **attributes)


def share_cell(ns: float) -> Markup:
    return cell(ms(ns)) if ns else cell("0", class_="nil")


def pairs(values_: Iterable[tuple[str, Any]]) -> Markup:
    return tag("dl", *(join([tag("dt", name), tag("dd", value)]) for name, value in values_),
               class_="pairs")


def minus(text: str) -> str:
    return text.replace("-", "−")


def typeset(text: str) -> str:
    """A number stays with its unit, and its sign is one."""
    text = re.sub(r"(?<=\d) (?=(?:ms|µs|ns|s|%|CPUs)(?!\w))", "\u00a0", text)
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
