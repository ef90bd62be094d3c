# SPDX-License-Identifier: Apache-2.0
"""Turns figures into text."""

import math

from parkvmm.bench.analysis import Spread


# A time below each of these, in ns, has so many digits behind the point, as in the table of
# vmm run (Milliseconds in vmm/measure/report.cc): five digits in all.
DIGITS = ((99_999_500, 3), (999_995_000, 2), (9_999_950_000, 1))


def ms(ns: float | None) -> str:
    if ns is None:
        return "-"
    digits = next((digits for below, digits in DIGITS if abs(ns) < below), 0)
    return f"{ns / 1e6:.{digits}f}"


def digits(value: float) -> str:
    """Returns a figure of a fit with four digits, at most three of them behind the point."""
    behind = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(3, max(0, behind))}f}"


def moment(ns: int | None) -> str:
    """Returns when something was, in ms: with all digits that order moments."""
    return "-" if ns is None else f"{ns / 1e6:.3f}"


def of_spread(found: Spread | None) -> str:
    """Returns a median with the least and the most. One sample has no spread."""
    if found is None:
        return "-"
    between = f" ({ms(found.least)} to {ms(found.most)})" if found.count > 1 else ""
    return ms(found.median) + between
