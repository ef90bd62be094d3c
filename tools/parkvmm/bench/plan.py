# SPDX-License-Identifier: Apache-2.0
"""Plans: what is to be measured, as a JSON file or as options.

    {"schema_version": 1, "name": "rutland", "question": "...", "seed": 1,
     "groups": [{"arms": ["stock", "stop"], "cpus": [8, 32], "cycles": 5}, ...]}

A group is a product of lists (AXES has them all, and what they are if a group
does not say). Each combination is a unit: one machine, booted once, that kexecs
`warmup` + `cycles` times. In wall-clock time a plan's `rounds` boot each unit
several times, in an order drawn anew, so that a drift of the host meets all
arms alike.
"""

import dataclasses
import itertools
import pathlib
import re
from typing import Any

from parkvmm import documents
from parkvmm.debian import kernels
from parkvmm.failure import USAGE, Failure
from parkvmm.guest.arms import ARMS
from parkvmm.paths import TOOLS

PLANS = TOOLS / "plans"
SCHEMA_VERSION = 1
MAX_CPUS = 512
AXES: dict[str, list] = {
    "arms": [], "cpus": [], "host_cpus": [0], "firmware": ["none"], "psci": ["vmm"],
    "variant": ["default"], "kernels": [""], "memory": ["1G"]}
COUNTS = {"cycles": 5, "warmup": 1}
WANTED = {str: "a text", int: "a number", list: "a list"}
KINDS: dict[str, type] = {"name": str, "question": str, "seed": int, "rounds": int,
                          "groups": list}
FIELDS = {"schema_version", "name", "question", "seed", "rounds", "groups"}


@dataclasses.dataclass(frozen=True, order=True)
class Unit:
    arm: str
    cpus: int
    host_cpus: int  # 0: as many as cpus
    firmware: str
    psci: str
    variant: str
    kernel: str  # a file of the user's or a name, in place of ours; or ""
    memory: str
    cycles: int
    warmup: int

    @property
    def id(self) -> str:
        """Its name among the units of a plan: what differs from the usual."""
        words = [self.arm, f"{self.cpus}cpu"]
        words += [f"on{self.host_cpus}"] * (self.host_cpus not in (0, self.cpus))
        words += [self.firmware.replace("=", "").replace(",", "-")] * (self.firmware != "none")
        words += [f"psci-{self.psci}"] * (self.psci != "vmm")
        words += [self.variant] * (self.variant != "default")
        if self.kernel:
            words.append(re.sub(r"[^\w.+-]", "-", "-".join(pathlib.Path(self.kernel).parts[-2:])))
        words += [self.memory] * (self.memory != "1G")
        return "-".join(words)

    @property
    def kexecs(self) -> int:
        return self.warmup + self.cycles


@dataclasses.dataclass(frozen=True)
class Plan:
    name: str
    question: str
    seed: int
    rounds: int
    units: tuple[Unit, ...]
    document: dict[str, Any]  # as it was written


def bad(what: str) -> Failure:
    return Failure(USAGE, f"plan: {what}")


def expand(group: dict[str, Any]) -> list[Unit]:
    if not isinstance(group, dict):
        raise bad(f"a group is {group!r}; an object is wanted")
    for name in group:
        if name not in AXES and name not in COUNTS:
            raise bad(f"a group has {name!r}; there are: {', '.join([*AXES, *COUNTS])}")
    axes = {name: group.get(name, usual) for name, usual in AXES.items()}
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise bad(f"{name!r} of a group wants a list, and one that is not empty")
        wrong = [value for value in values if not isinstance(value, str)]
        if wrong and name not in ("cpus", "host_cpus"):
            raise bad(f"{name!r} of a group has {str(wrong[0])[:100]!r}; a text is wanted")
    for arm in axes["arms"]:
        if arm not in ARMS:
            raise bad(f"no arm {arm!r}; there are: {', '.join(ARMS)}")
    for cpus in [*axes["cpus"], *(n for n in axes["host_cpus"] if n)]:
        if not isinstance(cpus, int) or not 1 <= cpus <= MAX_CPUS:
            raise bad(f"{cpus!r} CPUs; a number from 1 to {MAX_CPUS} is wanted")
    for kernel in axes["kernels"]:
        if kernels.is_name(kernel):
            kernels.parse_name(kernel)
        elif kernel and not pathlib.Path(kernel).is_file():
            raise bad(f"no kernel {kernel!r}")
        loads = [arm for arm in axes["arms"] if ARMS[arm].module]
        if kernel and loads:
            raise bad("our modules are built for Debian's kernel; with others there is no arm "
                      f"{loads[0]!r}")
    counts = {name: group.get(name, usual) for name, usual in COUNTS.items()}
    for name, count in counts.items():
        if not isinstance(count, int) or count < (name == "cycles"):
            raise bad(f"{name} is {count!r}; a number is wanted, and a cycle at least")
    return [Unit(arm, cpus, host_cpus, firmware, psci, variant, kernel, memory, **counts)
            for arm, cpus, host_cpus, firmware, psci, variant, kernel, memory
            in itertools.product(*axes.values())]


def parse(document: dict[str, Any]) -> Plan:
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise bad(f"schema_version {SCHEMA_VERSION} is wanted")
    if unknown := sorted(set(document) - FIELDS):
        raise bad(f"no field {unknown[0]!r}; there are: {', '.join(sorted(FIELDS))}")
    for field in ("name", "groups"):
        if not document.get(field):
            raise bad(f"{field!r} is missing")
    for field, kind in KINDS.items():
        if type(document.get(field, kind())) is not kind:
            raise bad(f"{field!r} is {str(document[field])[:100]!r}; {WANTED[kind]} is wanted")
    units = [unit for group in document["groups"] for unit in expand(group)]
    twice = {unit.id for unit in units if sum(unit.id == u.id for u in units) > 1}
    if twice:
        raise bad(f"{sorted(twice)[0]} is in it twice")
    return Plan(document["name"], document.get("question", ""), document.get("seed", 1),
                document.get("rounds", 1), tuple(units), document)


def is_plan(name: str) -> bool:
    """Not a kernel. What is neither is a plan that is missing."""
    return name.endswith(".json") or not (kernels.is_name(name) or pathlib.Path(name).is_file())


def load(name: str) -> Plan:
    """A file, or one of tools/plans by name."""
    path = pathlib.Path(name)
    if not path.exists():
        path = PLANS / f"{name}.json"
    try:
        return parse(documents.load(path, USAGE))
    except OSError:
        known = ", ".join(sorted(file.stem for file in PLANS.glob("*.json")))
        raise bad(f"no file {name}, and no plan of that name; there are: {known}") from None
