# SPDX-License-Identifier: Apache-2.0
"""Turns figures into text."""

from parkvmm.bench.analysis import Effect


# A time below each of these, in ns, has so many digits behind the point, as in the table of
# vmm run (Milliseconds in vmm/measure/report.cc): five digits in all.
DIGITS = ((99_999_500, 3), (999_995_000, 2), (9_999_950_000, 1))


def ms(ns: float | None) -> str:
    if ns is None:
        return "-"
    digits = next((digits for below, digits in DIGITS if abs(ns) < below), 0)
    return f"{ns / 1e6:.{digits}f}"


def moment(ns: int | None) -> str:
    """Returns when something was, in ms: with all digits that order moments."""
    return "-" if ns is None else f"{ns / 1e6:.3f}"


def signed(ns: float) -> str:
    return f"{ns / 1e6:+.3f}"


def between(effect: Effect) -> str:
    """Returns the interval of an effect. One sample has none."""
    return "-" if effect.samples < 2 else f"{signed(effect.low)} to {signed(effect.high)}"
