# SPDX-License-Identifier: Apache-2.0
"""What a mutant is, and how many of all are tried."""

import json
import pathlib
import random
import re
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[3]
JUDGED = pathlib.Path(__file__).with_name("judged.json")
LEAST = 30  # mutants of a room that a sample holds, if the room has as many


class Broken(Exception):
    """What keeps this program from saying anything about mutants."""


@dataclass(frozen=True)
class Edit:
    """Puts other text in the place of `start` to `end`: of an expression, a statement, or,
    where these are equal, in front of what is there."""
    start: int
    end: int
    text: str
    statement: bool = False
    condition: bool = False  # Both texts are made bool: an optional may be one.


@dataclass
class Mutant:
    file: str
    line: int
    kind: str
    source: str  # the text that is changed, on one line
    change: str
    edits: list[Edit] = field(default_factory=list)
    constant: bool = False  # in a constexpr function
    number: int = 0
    outcome: str = ""  # "killed", "timeout", "survived" or "unreached"
    by: str = ""
    judged: str = ""

    @property
    def room(self) -> str:
        return room_of(self.file)

    @property
    def killed(self) -> bool:
        return self.outcome in ("killed", "timeout")

    def key(self) -> tuple[str, str, str]:
        return self.file, self.source, self.change

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}: {self.source}"


def room_of(file: str) -> str:
    parts = file.split("/")
    if file.startswith("tools/parkvmm/"):
        return "/".join(parts[:3]) if len(parts) > 3 else "tools/parkvmm"
    if file.startswith("tools/"):
        return "/".join(parts[:3])
    return "/".join(parts[:2]) if parts[0] == "vmm" else parts[0]


def one_line(text: str) -> str:
    """Returns C++ or Python text without comments at the ends of lines, on one line."""
    text = re.sub(r'("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')|//[^\n]*',
                  lambda match: match[1] or "", text)
    return re.sub(r"\s+", " ", text).strip()


def shortened(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[:most - 3] + "..."


def sample(mutants: list[Mutant], wanted: int, seed: int) -> list[Mutant]:
    """Returns about as many mutants as are wanted: of each room by its share, LEAST or more,
    spread over its files. It is the same choice for the same mutants and seed."""
    rooms: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        rooms.setdefault(mutant.room, []).append(mutant)
    chosen = []
    for _, of_room in sorted(rooms.items()):
        share = max(LEAST, wanted * len(of_room) // max(1, len(mutants)))
        chosen += spread(of_room, share, seed)
    return sorted(chosen, key=lambda mutant: (mutant.file, mutant.line, mutant.number))


def spread(mutants: list[Mutant], wanted: int, seed: int) -> list[Mutant]:
    files: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        files.setdefault(mutant.file, []).append(mutant)
    ranked = []
    for file, of_file in files.items():
        random.Random(f"{seed} {file}").shuffle(of_file)
        # The first of each file, then the files by their length.
        ranked += [((place + 0.5) / len(of_file) if place else 0, file, place, mutant)
                   for place, mutant in enumerate(of_file)]
    ranked.sort(key=lambda entry: entry[:3])
    return [mutant for *_, mutant in ranked[:wanted]]


def judge(mutants: list[Mutant]) -> list[dict]:
    """Marks the mutants that are known to change nothing. Returns entries of the file that
    are none of these mutants'."""
    entries = json.loads(JUDGED.read_text()) if JUDGED.exists() else []
    by_key: dict[tuple[str, str, str], list[Mutant]] = {}
    for mutant in mutants:
        by_key.setdefault(mutant.key(), []).append(mutant)
    stale = []
    for entry in entries:
        found = by_key.get((entry["file"], entry["source"], entry["change"]), [])
        for mutant in found:
            mutant.judged = entry["reason"]
        if not found:
            stale.append(entry)
    return stale
