# SPDX-License-Identifier: Apache-2.0
"""The statistics that the tools need. All draws are seeded: the same samples
give the same figures."""

import random
import statistics
from typing import Callable, Sequence

SEED = 1
RESAMPLES = 2000
PERMUTATIONS = 10_000

Numbers = Sequence[float]


def median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def interval(cells: Sequence[Numbers],
             statistic: Callable[[Sequence[Numbers]], float]) -> tuple[float, float]:
    """95 % bootstrap interval of a statistic of several independent samples."""
    draw = random.Random(SEED)
    found = sorted(statistic([draw.choices(cell, k=len(cell)) for cell in cells])
                   for _ in range(RESAMPLES))
    return found[int(RESAMPLES * 0.025)], found[int(RESAMPLES * 0.975) - 1]


def permutation_p(a: Numbers, b: Numbers) -> float:
    """How often chance alone sets the medians at least that far apart."""
    draw = random.Random(SEED)
    pool = [*a, *b]
    distance = abs(statistics.median(a) - statistics.median(b))
    hits = 0
    for _ in range(PERMUTATIONS):
        draw.shuffle(pool)
        hits += abs(statistics.median(pool[:len(a)])
                    - statistics.median(pool[len(a):])) >= distance
    return (hits + 1) / (PERMUTATIONS + 1)


def cliffs_delta(a: Numbers, b: Numbers) -> float:
    """-1: every b is below every a; 0: neither; 1: above."""
    return sum((y > x) - (y < x) for x in a for y in b) / (len(a) * len(b))


def quadratic_fit(xs: Numbers, ys: Numbers) -> tuple[float, float, float]:
    """a, b, c of y = a + b x + c x^2 with the least squares of relative errors;
    x and y are above 0."""
    rows = [([1 / y, x / y, x * x / y], 1.0) for x, y in zip(xs, ys)]
    matrix = [[sum(row[i] * row[j] for row, _ in rows) for j in range(3)]
              + [sum(row[i] * value for row, value in rows)] for i in range(3)]
    for i in range(3):
        pivot = max(range(i, 3), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        for k in range(3):
            if k != i:
                factor = matrix[k][i] / matrix[i][i]
                matrix[k] = [u - factor * v for u, v in zip(matrix[k], matrix[i])]
    a, b, c = (matrix[i][3] / matrix[i][i] for i in range(3))
    return a, b, c
