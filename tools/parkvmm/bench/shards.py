# SPDX-License-Identifier: Apache-2.0
"""Shards of a plan: parts that several machines measure, and that become one result again.

A shard has whole units, so that every sample of a unit is of one machine: shard I of N has
the I-th unit of the plan, and every N-th one after it.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from parkvmm.bench.plan import Plan
from parkvmm.bench.results import Result, sealed
from parkvmm.failure import DIFFERS, USAGE, Failure


@dataclasses.dataclass(frozen=True)
class Shard:
    index: int  # from 1
    of: int

    def __str__(self) -> str:
        return f"{self.index} of {self.of}"


def fails(text: str) -> Failure:
    return Failure(USAGE, f"--shard {text}: say 2/4, or auto where CI_NODE_INDEX and CI_NODE_TOTAL "
                   "or Slurm's array say it, or auto/4 where JOB_COMPLETION_INDEX does")


def number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Reads "2/4"; "auto" and "auto/4" ask the environment of a GitLab job, a Slurm array's
    task, or a Kubernetes indexed Job."""
    found = re.fullmatch(r"(auto|\d+)(?:/(\d+))?", text)
    if not found:
        raise fails(text)
    said = int(found[2]) if found[2] else None
    index, of = None if found[1] == "auto" else int(found[1]), said
    if index is None:
        first = number(environment, "SLURM_ARRAY_TASK_MIN")
        task = number(environment, "SLURM_ARRAY_TASK_ID")
        if (index := number(environment, "CI_NODE_INDEX")) is not None:
            of = said or number(environment, "CI_NODE_TOTAL")
        elif task is not None and first is not None:
            index, of = task - first + 1, said or number(environment, "SLURM_ARRAY_TASK_COUNT")
        elif (completed := number(environment, "JOB_COMPLETION_INDEX")) is not None:
            index = completed + 1
    if index is None or of is None or not 1 <= index <= of:
        raise fails(text)
    return Shard(index, of)


def part_of(plan: Plan, shard: Shard) -> Plan:
    """Returns the plan with the units of a shard, perhaps none."""
    return dataclasses.replace(plan, units=plan.units[shard.index - 1::shard.of])


def marked(result: Result, plan: Plan, shard: Shard) -> Result:
    """Returns the result of a part with what it takes to put it together with the others."""
    return sealed(result | {"shard": {"index": shard.index, "of": shard.of,
                                      "units": [unit.id for unit in plan.units]}})


def common(result: Result) -> dict[str, Any]:
    """Returns what the result of a part has in common with the whole one."""
    return {name: value for name, value in result.items()
            if name not in ("units", "shard", "sha256")}


def whole_of(result: Result) -> dict[str, Any]:
    """Returns what shards of one measurement have in common."""
    return common(result) | {
        "shard": {name: result["shard"][name] for name in ("of", "units")}}


def joined(results: list[Result]) -> tuple[list[Result], list[str]]:
    """Returns results with the shards of each measurement put together, and what is missing of
    them. Raises Failure if two are the same shard."""
    done: list[Result] = []
    missing: list[str] = []
    wholes: list[dict[str, Any]] = []
    for result in results:
        if "shard" not in result:
            done.append(result)
        elif (whole := whole_of(result)) not in wholes:
            wholes.append(whole)
            parts = [other for other in results
                     if "shard" in other and whole_of(other) == whole]
            one, lacking = join(parts)
            done.append(one)
            missing += lacking
    return done, missing


def join(parts: list[Result]) -> tuple[Result, list[str]]:
    first = parts[0]
    of, ids = first["shard"]["of"], first["shard"]["units"]
    indexes = [part["shard"]["index"] for part in parts]
    for index in indexes:
        if indexes.count(index) > 1:
            raise Failure(DIFFERS, f"{first['name']}: shard {index} of {of} is there twice; "
                          "a history is of whole results, which tools/report --result writes")
    missing = [f"{first['name']}: shard {index} of {of} is missing, and with it "
               f"{', '.join(ids[index - 1::of])}"
               for index in range(1, min(of, len(ids)) + 1) if index not in indexes]
    units = {unit["id"]: unit for part in parts for unit in part["units"]}
    return sealed(common(first) | {"units": [units[id_] for id_ in ids if id_ in units]}), missing
