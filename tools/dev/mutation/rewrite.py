# SPDX-License-Identifier: Apache-2.0
"""Writes all mutants of a C++ file into its text, each behind a switch."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .mutants import Edit, Mutant


@dataclass
class Node:
    """A place of the file with the mutants of just that place, and the places in it."""
    start: int
    end: int
    edits: list[tuple[Mutant, Edit]] = field(default_factory=list)
    inner: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Span:
    """Which bytes of what was written belong to mutants."""
    start: int
    end: int
    mutants: tuple[Mutant, ...]


class Writer:
    """Used once, for one file. Lines keep their numbers."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.out = bytearray()
        self.spans: list[Span] = []

    def write(self, mutants: Iterable[Mutant]) -> bytes:
        places: dict[tuple[int, int], Node] = {}
        for mutant in mutants:
            for edit in mutant.edits:
                node = places.setdefault((edit.start, edit.end), Node(edit.start, edit.end))
                node.edits.append((mutant, edit))
        top = Node(0, len(self.text))
        stack = [top]
        for node in sorted(places.values(), key=lambda n: (n.start, -n.end)):
            while stack[-1].end < node.end or stack[-1].end <= node.start:
                stack.pop()
            stack[-1].inner.append(node)
            stack.append(node)
        self.plain(top)
        return bytes(self.out)

    def plain(self, node: Node) -> None:
        at = node.start
        for inner in node.inner:
            self.out += self.text[at:inner.start]
            self.node(inner)
            at = inner.end
        self.out += self.text[at:node.end]

    def node(self, node: Node) -> None:
        begin = len(self.out)
        if node.start == node.end:
            for mutant, edit in node.edits:
                self.put(mutant, f" if ({switch(mutant)}) {edit.text}")
            return
        # Of one expression that is a statement, some mutants want the value.
        statement = any(edit.statement for _, edit in node.edits)
        cast = ("static_cast<void>" if statement else
                "static_cast<bool>" if any(edit.condition for _, edit in node.edits) else "")
        self.out += b"("
        for mutant, edit in node.edits:
            text = f"({edit.text})" if edit.text else "0"
            self.put(mutant, f"{switch(mutant)} ? " + (f"{cast}({text})" if cast else text) +
                     " : ")
        self.out += cast.encode() + b"("
        self.plain(node)
        self.out += b"))"
        self.spans.append(Span(begin, len(self.out), tuple(m for m, _ in node.edits)))

    def put(self, mutant: Mutant, text: str) -> None:
        begin = len(self.out)
        self.out += text.encode()
        self.spans.append(Span(begin, len(self.out), (mutant,)))


def switch(mutant: Mutant) -> str:
    name = "OnAtRunTime" if mutant.constant else "On"
    return f"::mutation::{name}({mutant.number})"


def at_fault(writer: Writer, line: int, column: int) -> tuple[Mutant, ...]:
    """Returns the mutants without which there may be no error at this place of what was
    written; all of the line, where it is none's."""
    start = 0
    for _ in range(line - 1):
        start = writer.out.index(b"\n", start) + 1
    place = start + column - 1
    around = [span for span in writer.spans if span.start <= place < span.end]
    if around:
        return min(around, key=lambda span: span.end - span.start).mutants
    end = writer.out.find(b"\n", start)
    return tuple(mutant for span in writer.spans for mutant in span.mutants
                 if span.start < end and span.end > start)
