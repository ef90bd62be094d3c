# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG, put together so that text stays text: what is not Markup is
escaped, whoever wrote it. Templates (templating.py) take Markup as it is."""

import html
from typing import Any, Iterable

from markupsafe import Markup

# Elements of HTML that have no end.
VOID = {"meta", "link", "input", "br"}


def escape(child: Any) -> Markup:
    return child if isinstance(child, Markup) else Markup(html.escape(str(child)))


def join(children: Iterable[Any]) -> Markup:
    return Markup("".join(escape(child) for child in children if child is not None))


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """class_ is class, data_unit is data-unit; False and None are left out."""
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{html.escape(str(value))}"')
    if name in VOID:
        return Markup(f"<{' '.join(words)}>")
    return Markup(f"<{' '.join(words)}>{join(children)}</{name}>")
