# SPDX-License-Identifier: Apache-2.0
"""Says in sentences what a result says. It claims nothing that the samples do not carry."""

import dataclasses
from typing import Any, Iterable

from parkvmm.bench import analysis
from parkvmm.bench.analysis import Unit, middle
from parkvmm.bench.effects import effect
from parkvmm.labels import EMULATED, WORTH

OWNERS = {"firmware": "the firmware model's", "vmm": "the VMM's", "polling": "polling",
          "kernel": "the guest kernel's"}
INSISTED = " The user insisted on this label; the host was found to have another."
LITTLE = 0.05  # of a whole
# One by one, and all at once, by the same kernel; the first that was measured.
RIVALS = (("hotplug", "stop"), ("stock", "module"))


def is_insisted_on(result: dict[str, Any]) -> bool:
    """Tells whether the user gave the label, in place of the one that was found."""
    return any(unit["run"] and unit["run"]["label_insisted"] for unit in result["units"])


def unlocked(result: dict[str, Any]) -> str | None:
    """Returns a sentence that names the packages in place of locked ones, or None."""
    packages = {package for unit in result["units"] if unit["run"]
                for package in unit["run"]["unlocked"]}
    return ("Not with the packages of tools/packages.lock, so these are not the published "
            f"figures: {', '.join(sorted(packages))}." if packages else None)


def worth(result: dict[str, Any]) -> str:
    return WORTH[result["label"]] + INSISTED * is_insisted_on(result)


def time_of(ns: float) -> str:
    """Returns a time with three digits, in the unit that suits."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            value = ns / size
            return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f} {unit}"
    return f"{ns:.0f} ns"


def share_of(part: float, whole: float) -> str:
    """Returns a percentage. It is not rounded to all or nothing."""
    share = part / whole if whole else 0
    if 0.995 <= share < 1:
        return "more than 99 %"
    if 0 < share < 0.005:
        return "less than 1 %"
    return f"{share:.0%}".replace("%", " %")


def counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


@dataclasses.dataclass(frozen=True)
class Rivalry:
    """Two units that differ by how they take CPUs down, and by nothing else."""
    machine: str
    slow: Unit
    fast: Unit


def rivalry(units: Iterable[Unit]) -> Rivalry | None:
    """Chooses rivals of the machine with the most CPUs, a plain one if there is a choice."""
    found: list[tuple[int, bool, int, int, Rivalry]] = []
    for machine, arms in analysis.cells_of(units):
        for rank, (slow, fast) in enumerate(RIVALS):
            if slow in arms and fast in arms and middle(arms[slow], "down") and middle(
                    arms[fast], "down") and analysis.split(arms[slow], "down"):
                cpus = arms[slow]["cpus"]
                found.append((-cpus, machine != f"{cpus}cpu", rank, len(found),
                              Rivalry(machine, arms[slow], arms[fast])))
    return min(found)[-1] if found else None


def of_units(units: list[Unit]) -> str:
    """Says what came back, and what failed."""
    samples = [sample for unit in units for sample in unit["samples"]]
    good = sum(sample["cpus_back"] == sample["cpus"] for sample in samples)
    failed = sum(bool(unit["failures"]) for unit in units)
    text = (f"All CPUs came back in {good} of {counted(len(samples), 'kexec')}"
            if samples else "No kexec came up")
    return text + (f", and {failed} of {counted(len(units), 'unit')} failed." if failed else ".")


def of_rivals(rivals: Rivalry) -> str:
    slow, fast = middle(rivals.slow, "down"), middle(rivals.fast, "down")
    parts = analysis.split(rivals.slow, "down")
    assert slow and fast and parts  # rivalry() takes no others.
    cpus = rivals.slow["cpus"]
    where = "" if rivals.machine == f"{cpus}cpu" else f" (machine {rivals.machine})"
    return (f"With {cpus} CPUs{where}, taking them down takes {time_of(slow)} one by one "
            f"({rivals.slow['arm']}) and {time_of(fast)} all at once ({rivals.fast['arm']}); "
            f"{share_of(parts['kernel'], sum(parts.values()))} of the former "
            "is the guest kernel's.")


def of_page(units: list[Unit]) -> str | None:
    """Says whether a page helps where all CPUs stop at once."""
    cells = [(arms["stop"]["cpus"], rest, arms) for rest, arms in analysis.cells_of(units)
             if "stop" in arms and "park-host" in arms]
    for cpus, _, arms in sorted(cells, key=lambda cell: (-cell[0], len(cell[1]), cell[1])):
        for one in effect("", "", ("", ""), arms["stop"], arms["park-host"], "change"):
            why = {"no answer": "a single sample shows no difference",
                   "not shown": "the samples overlap, so no difference is shown"}.get(
                       one.answer, "no sample of one lies among those of the other")
            return ("With a park page in place of CPU_OFF, where all stop at once, down and up of "
                    f"{cpus} CPUs together take {time_of(one.new.median)} in place of "
                    f"{time_of(one.old.median)}; {why}.")
    return None


def of_growth(units: list[Unit], rivals: Rivalry | None) -> str | None:
    """Says how the time grows. A fit with a term far below zero is no sum, so it has no shares."""
    for fit in analysis.fits(units, ("down",)):
        constant, linear, square = fit.shares
        if (rivals and fit.arm == rivals.slow["arm"] and abs(constant) < LITTLE
                and min(linear, square) > -LITTLE):
            linear, square = max(linear, 0), max(square, 0)
            both = linear + square
            return (f"Of {fit.arm}'s time down with {fit.largest + 1} CPUs, "
                    f"{share_of(linear, both)} grows with the number of CPUs and "
                    f"{share_of(square, both)} with its square.")
    return None


def of_steps(units: list[Unit]) -> str | None:
    marked = [unit for unit in units if analysis.steps(unit, "down")]
    if not marked:
        return None
    unit = max(marked, key=lambda unit: (unit["cpus"], analysis.steps(unit, "down")[0][1]))
    found = analysis.steps(unit, "down")
    name, longest = found[0]
    return (f"Of the steps by which {unit['arm']} takes {unit['cpus']} CPUs down, {name} has the "
            f"most time: {time_of(longest)}, {share_of(longest, sum(ns for _, ns in found))} of "
            "all.")


def time_and_owner(unit: Unit, phase: str) -> str:
    parts, ns = analysis.split(unit, phase), middle(unit, phase)
    assert parts and ns is not None  # of_slowest() takes no others.
    who, part = max(parts.items(), key=lambda item: item[1])
    return (f"{time_of(ns)}, {share_of(part, sum(parts.values()))} of it "
            f"{OWNERS[who]}")


def of_slowest(units: list[Unit]) -> str | None:
    """Describes the slowest unit, for results without rivals."""
    seen = [(unit["cpus"], change, unit) for unit in units
            if (change := middle(unit, "change")) and analysis.split(unit, "down")
            and analysis.split(unit, "up")]
    if not seen:
        return None
    *_, unit = max(seen, key=lambda item: item[:2])
    total = middle(unit, "total")
    assert total is not None  # Its parts were seen.
    return (f"A kexec of {unit['id']} takes {time_of(total)}: its CPUs are down in "
            f"{time_and_owner(unit, 'down')}, and up again in {time_and_owner(unit, 'up')}.")


def sentences(result: dict[str, Any]) -> list[str]:
    units = result["units"]
    rivals = rivalry(units)
    timed = [] if result["label"] == EMULATED else [
        of_rivals(rivals) if rivals else of_slowest(units), of_page(units),
        of_growth(units, rivals), of_steps(units)]
    return [sentence for sentence in [*timed, of_units(units), unlocked(result)] if sentence]
