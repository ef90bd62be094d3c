# SPDX-License-Identifier: Apache-2.0
"""The statistics that the tools need, by scipy and numpy. All draws are seeded:
the same samples give the same figures."""

import statistics
from typing import Sequence

import numpy
from scipy import stats

SEED = 1
PERMUTATIONS = 9999  # or every one, where there are fewer

Numbers = Sequence[float]


def median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def permutation_p(a: Numbers, b: Numbers) -> float:
    """How often chance alone sets the medians at least that far apart."""
    return float(stats.permutation_test(
        (a, b), lambda x, y, axis: abs(numpy.median(x, axis=axis) - numpy.median(y, axis=axis)),
        vectorized=True, n_resamples=PERMUTATIONS, alternative="greater",
        random_state=SEED).pvalue)


def cliffs_delta(a: Numbers, b: Numbers) -> float:
    """-1: every b is below every a; 0: neither; 1: above."""
    return float(numpy.sign(numpy.subtract.outer(b, a)).mean())


def quadratic_fit(xs: Numbers, ys: Numbers) -> tuple[float, float, float]:
    """a, b, c of y = a + b x + c x^2 with the least squares of relative errors;
    x and y are above 0."""
    c, b, a = numpy.polyfit(xs, ys, 2, w=1 / numpy.asarray(ys, dtype=float))
    return float(a), float(b), float(c)
