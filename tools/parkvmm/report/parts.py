# SPDX-License-Identifier: Apache-2.0
"""Sets figures and text as they are read."""

import re


def minus(text: str) -> str:
    return text.replace("-", "−")


def typeset(text: str) -> str:
    """A number stays with its unit, and its sign is one."""
    text = re.sub(r"(?<=\d) (?=(?:ms|µs|ns|s|%|CPUs)(?!\w))", "\u00a0", text)
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
