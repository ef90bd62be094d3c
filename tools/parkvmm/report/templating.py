# SPDX-License-Identifier: Apache-2.0
"""Fills the templates of a page (templates/). What a result holds stays text: every value
is escaped unless it is Markup."""

import pathlib
from typing import Any

import jinja2

from parkvmm.bench.figures import digits, moment, ms
from parkvmm.guest.arms import ARMS
from parkvmm.report.markup import Markup
from parkvmm.report.parts import minus, typeset
from parkvmm.report.summary import time_of

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True,
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
ENVIRONMENT.filters |= {"digits": digits, "minus": minus, "moment": moment, "ms": ms,
                        "time": time_of, "typeset": typeset,
                        "what": lambda arm: ARMS[arm].what}
ENVIRONMENT.tests |= {"arm": lambda name: name in ARMS}


def filled(template: str, **values: Any) -> Markup:
    """Returns a template's text with these values. A name that is not given is an error."""
    return Markup(ENVIRONMENT.get_template(template).render(values))
