# SPDX-License-Identifier: Apache-2.0
"""Turns figures into text."""

from parkvmm.bench.analysis import Effect


def ms(ns: float | None) -> str:
    return "-" if ns is None else f"{ns / 1e6:.3f}"


def signed(ns: float) -> str:
    return f"{ns / 1e6:+.3f}"


def between(effect: Effect) -> str:
    """Returns the interval of an effect. One sample has none."""
    return "-" if effect.samples < 2 else f"{signed(effect.low)} to {signed(effect.high)}"
