# SPDX-License-Identifier: Apache-2.0
"""What came of one target, and how it is told."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Outcome:
    target: str
    runs: int
    seconds: float
    edges: int | None = None  # that were covered
    all_edges: int | None = None  # of the program, its libraries' headers included
    new: int = 0  # inputs that reach something that none before did
    peak_mb: int | None = None
    finding: str = ""  # what is wrong, in a line
    repeat: str = ""  # the command that shows it again


def row(outcome: Outcome) -> list[str]:
    per_second = outcome.runs / outcome.seconds if outcome.seconds else 0
    edges = "-" if outcome.edges is None else f"{outcome.edges:,} of {outcome.all_edges:,}"
    return [outcome.target, f"{outcome.runs:,}", f"{per_second:,.0f}", edges, str(outcome.new),
            "-" if outcome.peak_mb is None else str(outcome.peak_mb), outcome.finding or "nothing"]


HEADING = ["target", "executions", "a second", "edges", "new inputs", "peak, MB", "found"]


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as docs/testing.md has them."""
    lines = [HEADING, ["---"] * len(HEADING), *map(row, outcomes)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
