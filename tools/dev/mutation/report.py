# SPDX-License-Identifier: Apache-2.0
"""Tells what became of mutants."""

import json
import pathlib
from dataclasses import asdict, dataclass

from .mutants import Mutant

# Of the mutants that are not judged to be none, at least these shares are killed.
OF_CPP = 90
OF_KVM = 75
OF_PYTHON = 85


@dataclass(frozen=True)
class Room:
    name: str
    mutants: list[Mutant]

    @property
    def killed(self) -> int:
        return sum(mutant.killed for mutant in self.mutants)

    @property
    def late(self) -> int:
        return sum(mutant.outcome == "timeout" for mutant in self.mutants)

    @property
    def judged(self) -> int:
        return sum(bool(mutant.judged) and not mutant.killed for mutant in self.mutants)

    @property
    def rate(self) -> float:
        return percent(self.killed, len(self.mutants))

    @property
    def judged_rate(self) -> float:
        return percent(self.killed, len(self.mutants) - self.judged)

    @property
    def wanted(self) -> int:
        return OF_KVM if self.name == "vmm/kvm" else OF_CPP

    def good(self) -> bool:
        return self.judged_rate >= self.wanted


def percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


def by_room(mutants: list[Mutant]) -> list[Room]:
    rooms: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        rooms.setdefault(mutant.room, []).append(mutant)
    return [Room(name, of_room) for name, of_room in sorted(rooms.items())]


def table(mutants: list[Mutant]) -> list[str]:
    lines = [f"{'room':22}{'mutants':>9}{'killed':>8}{'late':>6}{'judged':>8}{'rate':>8}"
             f"{'of the rest':>13}"]
    for room in [*by_room(mutants), Room("all", mutants)]:
        lines.append(f"{room.name:22}{len(room.mutants):9}{room.killed:8}{room.late:6}"
                     f"{room.judged:8}{room.rate:7.1f}%{room.judged_rate:12.1f}%")
    return lines


def tell(language: str, mutants: list[Mutant], stale: list[dict]) -> bool:
    """Prints the table and who survived. Returns whether enough were killed."""
    survivors = [mutant for mutant in mutants if not mutant.killed]
    for title, some in (("survived", [m for m in survivors if not m.judged]),
                        ("judged", [m for m in survivors if m.judged])):
        for mutant in some:
            reason = f"\n    {mutant.judged}" if mutant.judged else ""
            note = " (no test reaches it)" if mutant.outcome == "unreached" else ""
            print(f"{title}: {mutant}{note}{reason}")
    for mutant in mutants:
        if mutant.judged and mutant.killed:
            print(f"judged to change nothing, but killed by {mutant.by}: {mutant}")
    for entry in stale:
        print(f"judged, but no mutant: {entry['file']}: {entry['change']}: {entry['source']}")
    print(f"\n{language}: a rate of killed mutants, and one of those that are not judged")
    print("\n".join(table(mutants)))
    if language == "Python":
        return Room("all", mutants).judged_rate >= OF_PYTHON
    bad = [room for room in by_room(mutants) if not room.good()]
    for room in bad:
        print(f"too few: {room.name}: {room.judged_rate:.1f} %, not {room.wanted} %")
    return not bad


def write(path: pathlib.Path, seed: int, mutants: list[Mutant]) -> None:
    fields = ("file", "line", "kind", "source", "change", "number", "outcome", "by", "judged")
    path.write_text(json.dumps({
        "seed": seed,
        "rooms": {room.name: {"mutants": len(room.mutants), "killed": room.killed,
                              "timeouts": room.late, "judged": room.judged}
                  for room in by_room(mutants)},
        "mutants": [{name: value for name, value in asdict(mutant).items() if name in fields}
                    for mutant in mutants]}, indent=1) + "\n")
