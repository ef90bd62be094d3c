# SPDX-License-Identifier: Apache-2.0
"""Old kernels x next kernels, and what becomes of the CPUs in between.

    tests/support/park_matrix.py [--cycles N]

Runs guest-stub's park_matrix for each cell, N kexecs of 8 CPUs, and prints the
table of docs/parking.md. Exit status: 1 if a cell is not as it has to be.
"""

import argparse
import dataclasses
import re
import sys

from payload_runs import Boot, Outcome, Run

CPUS = 8
OTHERS = CPUS - 1
SPINNING = "cpu-on-while-spinning"
SAID = re.compile(r"^(\d+) kexecs of (\d+) CPUs, (\d+) refusals$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    params: str
    park: str = "host"


@dataclasses.dataclass(frozen=True)
class Column:
    title: str
    params: str


ROWS = [
    Row("hotplug, CPU_OFF each", "old=hotplug"),
    Row("IPI stop, CPU_OFF at once", "old=stop"),
    # Wiped late: at once, as proposed, it loses CPUs.
    Row("park page, `guest`", "old=page wipe=late", "guest"),
    Row("the same, another loop", "old=page loop=other wipe=late", "guest"),
    Row("park page, `host`", "old=page"),
    Row("the same, another loop", "old=page loop=other"),
    Row("device page", "old=device"),
    Row("crash, the others stuck", "old=crash"),
]
COLUMNS = [
    Column("PSCI", "new=psci"),
    Column("the page", "new=page"),
    Column("the device page", "new=device"),
    Column("not Linux", "new=other"),
]


@dataclasses.dataclass(frozen=True)
class Cell:
    row: Row
    column: Column
    cycles: int

    @property
    def refused(self) -> bool:
        """Whether CPU_ON has to be: the CPUs still run the old kernel."""
        same_loop = "loop=" not in self.row.params and self.column.params == "new=page"
        return "old=crash" in self.row.params or (
            self.row.park == "guest" and not same_loop)

    @property
    def run(self) -> Run:
        words = [self.row.params, self.column.params, f"cycles={self.cycles}",
                 "expect=refused" if self.refused else ""]
        return Run("park_matrix", cpus=CPUS, params=" ".join(filter(None, words)),
                   park=self.row.park, next=("park_matrix", "psci_kernel"),
                   timeout="120s")

    def complaint(self, outcome: Outcome, exact: bool = False) -> str:
        """Empty if it is as it has to be. In wall-clock time the VMM may see
        more in a guest's own loops than there is."""
        said = SAID.search(outcome.console)
        refusals = self.cycles * OTHERS if self.refused else 0
        if outcome.status or "[stub] PASS" not in outcome.console or not said:
            return outcome.evidence
        if tuple(map(int, said.groups())) != (self.cycles, CPUS, refusals):
            return said[0]
        guest = self.row.park == "guest"
        named = {SPINNING} if self.refused and guest else set()
        extra = outcome.diagnoses - named if exact or not guest else set()
        if extra or named - outcome.diagnoses:
            return f"diagnoses: {', '.join(outcome.diagnoses) or 'none'}"
        return ""

    def text(self) -> str:
        if not self.refused:
            return f"{self.cycles} x all back"
        return f"`{SPINNING}`" if self.row.park == "guest" else "alone: ALREADY_ON"


def cells(cycles: int) -> list[list[Cell]]:
    return [[Cell(row, column, cycles) for column in COLUMNS] for row in ROWS]


def boot(name: str, rows: list[list[Cell]]) -> Boot:
    return Boot(name, (), tuple(cell.run for row in rows for cell in row), deadline=850)


def main() -> int:
    parser = argparse.ArgumentParser(description="Prints the table of docs/parking.md.")
    parser.add_argument("--cycles", type=int, default=100, metavar="N")
    rows = cells(parser.parse_args().cycles)
    host = boot("park-matrix", rows)
    bad = 0
    print("| old kernel \\ next | " + " | ".join(c.title for c in COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for row in rows:
        texts = []
        for cell in row:
            complaint = cell.complaint(host.outcome(cell.run))
            texts.append("FAILED" if complaint else cell.text())
            if complaint:
                print(f"{cell.run.name}: {complaint}", file=sys.stderr)
                bad += 1
        print(f"| {row[0].row.title} | " + " | ".join(texts) + " |")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
