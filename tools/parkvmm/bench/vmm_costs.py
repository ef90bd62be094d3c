# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/costs.md, from the figures of tools/bench-vmm."""

import dataclasses
import re

from parkvmm.failure import DATA, Failure

Figures = dict[str, int]  # by "ROW-CPUS FIGURE"
BEGIN = "<!-- tools/bench-vmm --write-docs writes from here -->"
END = "<!-- to here -->"
GUESTS = ("small", "linux", "kexecs")
WAYS = ("", "results", "qemu", "kvmtool")  # In which a guest is run.
PEERS = ("qemu", "kvmtool")
WORDS = {"results": "`--results`", "qemu": "QEMU"}


@dataclasses.dataclass(frozen=True)
class Table:
    title: str
    figures: dict[str, str]  # What a row says besides its name.
    unit: float = 1
    digits: int = 0


TABLES = (
    Table("start to the guest's first instruction, ms", {"start_ns": ""}, 1e6, 2),
    Table("the guest's last exit to the end of the process, ms", {"end_ns": ""}, 1e6, 2),
    Table("own memory, without program text, KB", {
        "own_bytes": "", "after_5_bytes": "after 5", "after_100_bytes": "after 100"}, 1e3),
    Table("program text in memory, KB", {"text_bytes": ""}, 1e3),
    Table("threads", {"threads": ""}),
    Table("open files", {"files": ""}),
    Table("CPU time in 10 s of an idle guest, ms", {"idle_ns": ""}, 1e6, 2),
)


def cpus_of(key: str) -> int:
    return int(key.split()[0].rpartition("-")[2])


def is_peers(key: str) -> bool:
    return any(f"-{peer}-" in key for peer in PEERS)


def rows_of(table: Table) -> list[tuple[str, str, str]]:
    """Returns each row that there can be: its name, what is in its keys, the figure."""
    found = []
    for guest in GUESTS:
        for figure, more in table.figures.items():
            for way in WAYS:
                words = [word for word in (guest, way) if word]
                name = ", ".join(WORDS.get(word, word) for word in words)
                found.append((f"{name}, {more}" if more else name, "-".join(words), figure))
    return found


def markdown(table: Table, figures: Figures) -> list[str]:
    """Returns a table with a column for each number of vCPUs; nothing if no figure is there."""
    columns = sorted({cpus_of(key) for key in figures})
    lines = []
    for name, row, figure in rows_of(table):
        numbers = [figures.get(f"{row}-{cpus} {figure}") for cpus in columns]
        if any(number is not None for number in numbers):
            cells = ["" if number is None else f"{number / table.unit:.{table.digits}f}"
                     for number in numbers]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    heading = f"| {table.title} | " + " | ".join(
        f"{cpus} vCPU" + "s" * (cpus > 1) for cpus in columns) + " |"
    return [heading, "|---" + "|--:" * len(columns) + "|", *lines] if lines else []


def tables(figures: Figures) -> str:
    return "\n\n".join("\n".join(lines) for lines in (
        markdown(table, figures) for table in TABLES) if lines)


def written(document: str, record: dict) -> str:
    """Returns the document with the tables of a record."""
    parts = [BEGIN, tables(record["figures"]), END]
    if "qemu" in record:
        parts.insert(2, f"QEMU is Debian 12's, {record['qemu']}.")
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", re.DOTALL)
    if not pattern.search(document):
        raise Failure(DATA, f"the document has no lines {BEGIN} and {END}")
    return pattern.sub(lambda _: "\n\n".join(parts) + "\n", document)
