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
import pathlib
import sys

from parkvmm.bench import results
from parkvmm.bench.analysis import MEASURES
from parkvmm.bench.differences import compare, measures_of
from parkvmm.bench.figures import ms
from parkvmm.bench.markdown import table
from parkvmm.failure import DIFFERS, Failure, end_with
from parkvmm.labels import EMULATED, VIRTUAL_TIME
from parkvmm.report.summary import is_insisted_on, unlocked


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
    if old["label"] == EMULATED:
        raise Failure(DIFFERS, f"times mean nothing under label {EMULATED}; measure in virtual "
                      "time or on an arm64 machine")
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
