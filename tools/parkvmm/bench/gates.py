# SPDX-License-Identifier: Apache-2.0
"""Gates: times that a kexec may take at most, and a baseline that it is held against.

`--max` reads as that of `vmm run` does, and is about every sample; a baseline is about the
median of each unit. What is not kept becomes a case of the unit, and the exit status.
"""

import argparse
import dataclasses
import decimal
import pathlib
import re
from typing import Any

from parkvmm.bench import results
from parkvmm.bench.analysis import MEASURES, Unit
from parkvmm.bench.differences import compare, measures_of, require_one_label
from parkvmm.bench.facts import PHASES, Sample
from parkvmm.bench.figures import ms
from parkvmm.bench.results import Result
from parkvmm.cases.cases import FAILED, Case, Suite
from parkvmm.failure import USAGE, Failure
from parkvmm.labels import EMULATED

NAMES = (*PHASES, "total", "teardown")
NS = {"ns": 1, "us": 10 ** 3, "ms": 10 ** 6, "s": 10 ** 9, "m": 60 * 10 ** 9,
      "h": 3600 * 10 ** 9}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|ms|s|m|h)")
TOO_SLOW, NOT_MEASURED, SLOWER = IDS = ("too-slow", "not-measured", "slower")
Found = dict[str, list[Case]]  # by unit


@dataclasses.dataclass(frozen=True)
class Limit:
    what: str
    per_cpu: bool  # divided by the CPUs beside the one that calls kexec
    ns: int

    @property
    def name(self) -> str:
        return self.what + "/cpu" * self.per_cpu

    def of(self, sample: Sample) -> float | None:
        """Returns what a sample took, ns, or None if that was not seen."""
        ns: int | None = (sample["total_ns"] if self.what == "total" else
                          sample.get("teardown_ns") if self.what == "teardown" else
                          sample["phase_ns"][self.what])
        others = sample["cpus"] - 1
        if ns is None or not self.per_cpu:
            return ns
        return ns // others if others else None


def duration(text: str) -> int | None:
    """Returns ns of "5ms" or "1h30m", or None."""
    if not text or PART.sub("", text):
        return None
    ns = sum(decimal.Decimal(number) * NS[unit] for number, unit in PART.findall(text))
    return int(ns) or None


def parse_max(text: str) -> list[Limit]:
    limits = []
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        what = name.removesuffix("/cpu")
        ns = duration(value)
        if what not in NAMES or ns is None:
            raise Failure(USAGE, f"--max: {part} is no limit; say down=5ms or up/cpu=30ms; there "
                          f"are {', '.join(NAMES[:-1])} and {NAMES[-1]}")
        limits.append(Limit(what, name != what, ns))
    return limits


def case_of_limit(limit: Limit, unit: Unit) -> Case:
    name = f"{limit.name} at most {ms(limit.ns)} ms"
    took = [limit.of(sample) for sample in unit["samples"]]
    seen = [ns for ns in took if ns is not None]
    if len(seen) < len(took) or not took:
        return Case(name, FAILED, id=NOT_MEASURED,
                    message=f"{limit.name} of {len(took) - len(seen)} of {len(took)} kexecs was "
                    "not seen, so nobody knows whether they kept --max")
    over = [ns for ns in seen if ns > limit.ns]
    if not over:
        return Case(name)
    return Case(name, FAILED, id=TOO_SLOW,
                message=f"{limit.name} took up to {ms(max(over))} ms, {ms(max(over) - limit.ns)} "
                f"ms more than --max allows; {len(over)} of {len(seen)} kexecs took too long")


def require_times(result: Result, option: str) -> None:
    if result["label"] == EMULATED:
        raise Failure(USAGE, f"{option}: times mean nothing under label {EMULATED}; measure in "
                      "virtual time or on an arm64 machine")


def held_to_limits(result: Result, limits: list[Limit]) -> Found:
    return {unit["id"]: [case_of_limit(limit, unit) for limit in limits]
            for unit in result["units"]}


def held_to_baseline(result: Result, baseline: Result, margin: float,
                     measures: list[str]) -> Found:
    """Returns a case for each measure of each unit that both have. A unit that the baseline
    lacks is new and passes."""
    require_one_label(baseline, result)
    ids = {unit["id"] for unit in result["units"]}
    known: list[dict[str, Any]] = [unit for unit in baseline["units"] if unit["id"] in ids]
    found: Found = {unit["id"]: [] for unit in known}
    worse = {(one.unit, one.measure): one
             for one in compare(baseline | {"units": known}, result, measures)
             if one.is_real and one.percent > margin}
    for unit in known:
        for measure in measures:
            name = f"{measure} within {margin:g} % of the baseline"
            one = worse.get((unit["id"], measure))
            found[unit["id"]].append(Case(name) if one is None else Case(
                name, FAILED, id=SLOWER,
                message=f"the median of {measure} is {ms(one.new)} ms, {one.percent:.1f} % more "
                f"than the baseline's {ms(one.old)} ms; {margin:g} % is allowed"))
    return found


@dataclasses.dataclass(frozen=True)
class Gates:
    """What the samples of a result are held against."""
    limits: list[Limit]
    baseline: Result | None
    margin: float  # percent
    measures: list[str]

    def held(self, result: Result, suites: list[Suite]) -> list[Suite]:
        """Returns the suites of the units, with a case for each gate of each."""
        found: list[Found] = []
        if self.limits:
            require_times(result, "--max")
            found.append(held_to_limits(result, self.limits))
        if self.baseline:
            require_times(result, "--baseline")
            found.append(held_to_baseline(result, self.baseline, self.margin, self.measures))
        return [dataclasses.replace(suite, cases=suite.cases + tuple(
            case for cases in found for case in cases.get(suite.name, []))) for suite in suites]


def missed(suites: list[Suite]) -> list[str]:
    """Returns a line for each gate that a unit missed."""
    return [f"{suite.name}: {case.message} [{case.id}]" for suite in suites
            for case in suite.cases if case.fails and case.id in IDS]


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("gates")
    group.add_argument("--max", default="", metavar="LIMITS",
                       help="what each kexec may take: down=5ms,up/cpu=2ms,teardown=1ms")
    group.add_argument("--baseline", type=pathlib.Path, metavar="RESULT",
                       help="an earlier result.json: medians may not have grown beyond --margin")
    group.add_argument("--margin", type=float, default=5, metavar="PERCENT",
                       help="how much they may grow (5)")
    group.add_argument("--measures", default="down,up,total", metavar="LIST",
                       help=f"which: of {', '.join(MEASURES)} (down,up,total)")


def parse(options: argparse.Namespace, has_times: bool) -> Gates:
    """Reads the options of add_options(), before anything is measured."""
    limits = parse_max(options.max)
    if options.baseline and not options.baseline.is_file():
        raise Failure(USAGE, f"--baseline: no file {options.baseline}; it is the result.json of "
                      "an earlier call")
    if (limits or options.baseline) and not has_times:
        raise Failure(USAGE, "--max and --baseline: times mean nothing in the wall-clock time of "
                      "an emulated host; leave out --wall-clock")
    baseline = results.load(options.baseline) if options.baseline else None
    return Gates(limits, baseline, options.margin, measures_of(options.measures))
