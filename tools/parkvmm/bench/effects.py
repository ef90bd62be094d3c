# SPDX-License-Identifier: Apache-2.0
"""Questions that pairs of units answer, one pair at a time.

Each is a simple effect: two units that differ by one thing. There is no main effect, which
would be the mean of times that are orders of magnitude apart. An answer is given only if no
sample of one unit lies among those of the other. Samples are kexecs, often of one boot, so
there is no interval: it would be that of the boot (docs/results.md).
"""

import dataclasses
import itertools
from typing import Any, Iterable, Iterator

from parkvmm.bench.analysis import Spread, Unit, cells_of, spread_of
from parkvmm.labels import VIRTUAL_TIME

PAGE = "a park page in place of CPU_OFF"
DEBIAN = "With Debian's kernel"
DEVICE = "the park device in place of CPU_OFF"


@dataclasses.dataclass(frozen=True)
class Question:
    text: str
    before: str  # arms
    after: str
    measure: str
    lengthens: bool = False


QUESTIONS = (
    Question("Does stopping all CPUs at once, with CPU_OFF, shorten down?", "hotplug", "stop",
             "down"),
    Question(f"{DEBIAN}, does stopping all CPUs at once shorten down?", "stock", "module", "down"),
    Question("Does expediting RCU shorten down?", "hotplug", "expedited", "down"),
    Question(f"{DEBIAN}, does expediting RCU shorten down?", "stock", "stock-expedited", "down"),
    Question(f"One by one, does {PAGE} shorten down?", "hotplug", "hotplug-page", "down"),
    Question(f"One by one, does {PAGE} shorten up?", "hotplug", "hotplug-page", "up"),
    Question(f"All at once, does {PAGE} shorten down?", "stop", "park-host", "down"),
    Question(f"All at once, does {PAGE} shorten up?", "stop", "park-host", "up"),
    Question(f"All at once, does {DEVICE} shorten down?", "stop", "park-device", "down"),
    Question(f"All at once, does {DEVICE} shorten up?", "stop", "park-device", "up"),
    Question("Does parking in the VMM, in place of the guest, shorten a kexec?", "park-guest",
             "park-host", "total"),
    Question("Do uncore PMUs, as before Linux 6.3, lengthen down?", "stock", "stock-uncore",
             "down", lengthens=True),
    Question("Do IPIs that do nothing lengthen down?", "stock", "stock-ipi", "down",
             lengthens=True),
)
OF_PSCI = "Does KVM's own PSCI, in place of the VMM's, shorten a kexec?"
AXES = ("arm", "cpus", "host_cpus", "firmware", "psci", "variant", "kernel", "memory")


@dataclasses.dataclass(frozen=True)
class Effect:
    question: str
    machine: str
    cpus: int
    names: tuple[str, str]  # what is compared: arms, kernels, or who answers PSCI
    old: Spread
    new: Spread
    lengthens: bool = False  # whether the question is for a longer time

    @property
    def way(self) -> int:
        """Returns 1 if it is longer, -1 if it is shorter, and 0 if neither is shown."""
        if min(self.old.count, self.new.count) < 2:
            return 0
        return (self.old.most < self.new.least) - (self.new.most < self.old.least)

    @property
    def answer(self) -> str:
        if min(self.old.count, self.new.count) < 2:
            return "no answer"
        if not self.way:
            return "not shown"
        asked = 1 if self.lengthens else -1
        return "yes" if self.way == asked else "no, longer" if self.way > 0 else "no, shorter"

    @property
    def why(self) -> str:
        """Returns by how much, or why there is no answer."""
        if min(self.old.count, self.new.count) < 2:
            return "a single sample"
        return change(self.old.median, self.new.median) if self.way else "the samples overlap"


def change(old: float, new: float) -> str:
    """Returns a change of a time: in percent, or as a factor from 2 on."""
    low, high = sorted((old, new))
    way = "longer" if new > old else "shorter"
    if low <= 0:
        return f"{way}: one is 0"
    if high / low >= 2:
        return f"{high / low:.{1 if high < 10 * low else 0}f} times {way}"
    percent = 100 * (high - low) / old
    return f"{percent:.{0 if percent >= 10 else 1}f} % {way}"


def effect(text: str, machine: str, names: tuple[str, str], before: Unit, after: Unit,
           measure: str, lengthens: bool = False) -> Iterator[Effect]:
    """Yields it if it was seen in both."""
    old, new = spread_of(before, measure), spread_of(after, measure)
    if old and new:
        yield Effect(text, machine, before["cpus"], names, old, new, lengthens)


def alike(units: Iterable[Unit], axis: str) -> Iterator[tuple[str, list[Unit]]]:
    """Yields units that differ by an axis alone, by the arm and CPUs that they have."""
    groups: dict[tuple, list[Unit]] = {}
    for unit in units:
        groups.setdefault(tuple(unit[name] for name in AXES if name != axis), []).append(unit)
    for group in groups.values():
        yield f"{group[0]['arm']}, {group[0]['cpus']} CPUs", group


def machine_of(rest: str, unit: Unit) -> str:
    """Returns what the units of a cell have in common: "32 CPUs", or what their names end with."""
    return f"{unit['cpus']} CPUs" if rest == f"{unit['cpus']}cpu" else rest


def effects(units: list[Unit]) -> list[Effect]:
    """Returns all questions that the units answer, question by question."""
    found: list[Effect] = []
    for question in QUESTIONS:
        names = question.before, question.after
        for rest, arms in cells_of(units):
            if all(name in arms for name in names):
                before, after = (arms[name] for name in names)
                found += effect(question.text, machine_of(rest, before), names, before, after,
                                question.measure, question.lengthens)
    for machine, group in alike(units, "psci"):
        by = {unit["psci"]: unit for unit in group}
        if len(by) > 1:
            found += effect(OF_PSCI, machine, ("vmm", "kvm"), by["vmm"], by["kvm"], "total")
    for machine, group in alike(units, "kernel"):
        first = group[0]
        others = [unit for unit in group if unit["kernel"] != first["kernel"]]
        for other, measure in itertools.product(others, ("down", "up")):
            found += effect(f"Does another kernel shorten {measure}?", machine,
                            (first["kernel"] or "ours", other["kernel"] or "ours"), first, other,
                            measure)
    return found


def boots_of(result: dict[str, Any]) -> int:
    """Returns how many boots that differ the samples of a unit are of. In virtual time rounds
    repeat the same bytes."""
    return 1 if result["label"] == VIRTUAL_TIME else result["plan"].get("rounds", 1)


def foremost(found: list[Effect]) -> list[Effect]:
    """Returns one for each question: that of the machine with the most CPUs, a plain one if
    there is a choice, and the first of those."""
    by_question: dict[str, list[Effect]] = {}
    for one in found:
        by_question.setdefault(one.question, []).append(one)
    return [min(alike_, key=lambda one: (-one.cpus, not one.machine.endswith(" CPUs")))
            for alike_ in by_question.values()]
