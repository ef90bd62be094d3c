# SPDX-License-Identifier: Apache-2.0
"""Fills the templates of a page (templates/). What a result holds stays text: every value
is escaped unless it is Markup."""

import pathlib
from typing import Any

import jinja2

from parkvmm.bench.figures import moment, ms
from parkvmm.report.markup import Markup
from parkvmm.report.parts import minus, typeset

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True,
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
ENVIRONMENT.filters |= {"moment": moment, "ms": ms, "minus": minus, "typeset": typeset}


def filled(template: str, **values: Any) -> Markup:
    """Returns a template's text with these values. A name that is not given is an error."""
    return Markup(ENVIRONMENT.get_template(template).render(values))
