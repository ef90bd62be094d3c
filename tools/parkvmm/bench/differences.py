# SPDX-License-Identifier: Apache-2.0
"""How two results differ, unit by unit and measure by measure."""

import dataclasses
import statistics
from typing import Any

from parkvmm.bench import results
from parkvmm.bench.analysis import MEASURES, complete
from parkvmm.bench.statistics import cliffs_delta, permutation_p
from parkvmm.failure import DIFFERS, USAGE, Failure
from parkvmm.labels import VIRTUAL_TIME

CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Difference:
    unit: str
    measure: str
    old: float  # medians, ns
    new: float
    p: float | None  # None: exact
    delta: float

    @property
    def percent(self) -> float:
        return 100 * (self.new - self.old) / self.old if self.old else float("inf")

    @property
    def is_real(self) -> bool:
        return self.p is None or self.p < CHANCE


def difference(label: str, old: dict[str, Any], new: dict[str, Any],
               measure: str) -> Difference | None:
    """Returns None if there is none, or nothing to compare."""
    before, after = complete(old, measure), complete(new, measure)
    if not before or not after or before == after:
        return None
    exact = label == VIRTUAL_TIME
    return Difference(old["id"], measure, statistics.median(before), statistics.median(after),
                      None if exact else permutation_p(before, after),
                      cliffs_delta(before, after))


def require_one_label(old: results.Result, new: results.Result) -> None:
    if old["label"] != new["label"]:
        raise Failure(DIFFERS, f"labels differ, {old['label']} and {new['label']}: times of "
                      "different clocks are never compared")


def compare(old: results.Result, new: results.Result,
            measures: list[str]) -> list[Difference]:
    require_one_label(old, new)
    known = {unit["id"]: unit for unit in new["units"]}
    if missing := [unit["id"] for unit in old["units"] if unit["id"] not in known]:
        raise Failure(DIFFERS, f"the new result has no {', '.join(missing)}")
    found = [difference(old["label"], unit, known[unit["id"]], measure)
             for unit in old["units"] for measure in measures]
    return [one for one in found if one]


def measures_of(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in MEASURES:
            raise Failure(USAGE, f"no measure {name!r}; there are: {', '.join(MEASURES)}")
    return names
