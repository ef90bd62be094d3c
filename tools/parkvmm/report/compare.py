# SPDX-License-Identifier: Apache-2.0
"""Compares two results of tools/bench or of vmm run, unit by unit.

    tools/compare OLD.json NEW.json [--threshold PERCENT] [--measures LIST]

In virtual time every difference is shown: the same inputs give the same
figures, so it is a change; whether it is an effect, only more boots can say
(docs/results.md). In wall-clock time a difference
counts if chance alone would bring it about less than once in a hundred times
(permutation test of the medians); Cliff's delta says how far the samples are
apart (1: no overlap). Results of different labels are never compared.

Exit status: 0 no regression; 1 a median is past the threshold, or the files
cannot be compared; 2 usage.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
from typing import Any

from parkvmm.bench import results
from parkvmm.bench.analysis import MEASURES, complete
from parkvmm.bench.figures import ms
from parkvmm.bench.markdown import table
from parkvmm.bench.statistics import cliffs_delta, permutation_p
from parkvmm.failure import DIFFERS, USAGE, Failure, end_with
from parkvmm.labels import VIRTUAL_TIME
from parkvmm.report.summary import is_insisted_on, unlocked

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


def compare(old: results.Result, new: results.Result,
            measures: list[str]) -> list[Difference]:
    if old["label"] != new["label"]:
        raise Failure(DIFFERS, f"labels differ, {old['label']} and {new['label']}: times of "
                      "different clocks are never compared")
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


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/compare", description=__doc__, allow_abbrev=False,
        usage="tools/compare OLD.json NEW.json [OPTION]...",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, metavar="OLD.json")
    parser.add_argument("new", type=pathlib.Path, metavar="NEW.json")
    parser.add_argument("--threshold", type=float, default=5, metavar="PERCENT",
                        help="a median that grew by more is a regression (5)")
    parser.add_argument("--measures", default="down,up,total", metavar="LIST",
                        help=f"of {', '.join(MEASURES)} (down,up,total)")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    measures = measures_of(options.measures)
    old, new = results.load(options.old), results.load(options.new)
    for path, result in ((options.old, old), (options.new, new)):
        if is_insisted_on(result):
            say(f"{path}: the user insisted on the label {result['label']}; the host was found "
                "to have another")
        if others := unlocked(result):
            say(f"{path}: {others}")
    found = compare(old, new, measures)
    if not found:
        exact = ", to the ns" if old["label"] == VIRTUAL_TIME else ""
        print(f"no difference{exact}: {len(old['units'])} units, label {old['label']}")
        return 0
    print(table(["unit", "measure", "old, ms", "new, ms", "change", "p", "Cliff's delta"],
                [[f"`{one.unit}`", one.measure, ms(one.old), ms(one.new),
                  f"{one.percent:+.1f} %", "exact" if one.p is None else f"{one.p:.4f}",
                  f"{one.delta:+.2f}"] for one in found]), end="")
    worse = [one for one in found if one.is_real and one.percent > options.threshold]
    for one in worse:
        say(f"{one.unit}: {one.measure} is {one.percent:.1f} % longer; at most "
            f"{options.threshold:g} % is allowed")
    return DIFFERS if worse else 0


def say(message: str) -> None:
    print(f"compare: {message}", file=sys.stderr)


if __name__ == "__main__":
    end_with("compare", main)
