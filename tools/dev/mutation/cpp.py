# SPDX-License-Identifier: Apache-2.0
"""Finds mutants of C++ sources with libclang."""

import bisect
import pathlib
import re
from dataclasses import replace

from clang import cindex
from clang.cindex import Cursor, CursorKind

from .mutants import ROOT, Edit, Mutant, one_line, shortened

FUNCTIONS = {CursorKind.FUNCTION_DECL, CursorKind.CXX_METHOD, CursorKind.CONSTRUCTOR,
             CursorKind.DESTRUCTOR, CursorKind.CONVERSION_FUNCTION, CursorKind.FUNCTION_TEMPLATE}
SKIPPED = {CursorKind.STATIC_ASSERT, CursorKind.ENUM_DECL, CursorKind.FIELD_DECL,
           CursorKind.PARM_DECL}
OPERATORS = {
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
    "==": ["!="], "!=": ["=="], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "&&": ["||"], "||": ["&&"], "&": ["|"], "|": ["&"], "^": ["|"], "<<": [">>"], ">>": ["<<"],
    "+=": ["-="], "-=": ["+="], "|=": ["&="], "&=": ["|="], "<<=": [">>="], ">>=": ["<<="],
    "*=": ["/="], "/=": ["*="]}
# No test meets the nanosecond at which these differ, where a clock is compared.
AT_THE_EDGE = {("<", "<="), ("<=", "<"), (">", ">="), (">=", ">")}
CLOCK = re.compile(r"\bNow\(\)|steady_clock::now\(\)|\bMonotonicNs\(\)")
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
NAMES = {"min": "max", "max": "min", "Seconds": "Milliseconds", "Milliseconds": "Microseconds",
         "Microseconds": "Milliseconds", "Nanoseconds": "Microseconds",
         "ToDoubleMilliseconds": "ToDoubleMicroseconds",
         "ToDoubleMicroseconds": "ToDoubleMilliseconds",
         "ToInt64Nanoseconds": "ToInt64Microseconds",
         "ToInt64Microseconds": "ToInt64Milliseconds", "ToInt64Milliseconds": "ToInt64Seconds",
         "all_of": "any_of", "any_of": "all_of", "none_of": "any_of",
         "fetch_add": "fetch_sub", "fetch_sub": "fetch_add", "front": "back", "back": "front",
         "lower_bound": "upper_bound", "upper_bound": "lower_bound"}
# Their arguments may come in any order.
SYMMETRIC = {"min", "max", "swap", "memcmp"}
# The order of what these write means nothing: a devicetree's properties and nodes.
UNORDERED = re.compile(r"tree\.|Write\w*\(tree|fdt::WritePlace")
# What only tells, or tells a compiler or a test something.
UNTOLD = re.compile(r"static_cast<void>|\w+\.reserve\(|hook_\.|log::|LOG|Log[A-Z]|"
                    r"std::fputs|fmt::print")
# What tests/model is told of a step: the code under test does not see it.
SCAFFOLD = re.compile(r"hook_\.")
SCAFFOLDS = {"HashOf"}
# A statement that changes one variable and calls nothing.
PLAIN = re.compile(r"(?P<assigned>[\w.]+) [-+|&]?= [^()]*|(?:\+\+|--)(?P<counted>[\w.]+)")
SIGNED = {cindex.TypeKind.INT, cindex.TypeKind.SHORT, cindex.TypeKind.SCHAR}
UNSIGNED = {cindex.TypeKind.UINT, cindex.TypeKind.USHORT, cindex.TypeKind.UCHAR,
            cindex.TypeKind.BOOL}
BUILT_IN = {CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR,
            CursorKind.UNARY_OPERATOR}


class Finder:
    """Walks one source file, itself parsed as the main file. Owned by one process."""

    def __init__(self, file: str, text: bytes) -> None:
        self.file = file
        self.bytes = text
        self.lines = [0] + [match.end() for match in re.finditer(rb"\n", text)]
        self.mutants: list[Mutant] = []
        self.macros: list[tuple[int, int]] = []
        self.constant = False
        self.twins: set[int] = set()  # Where literals are whose mutants others are.

    def find(self, unit: cindex.TranslationUnit) -> list[Mutant]:
        for cursor in unit.cursor.get_children():
            if not self.is_here(cursor):
                continue
            if cursor.kind == CursorKind.MACRO_INSTANTIATION:
                self.macro(cursor)
        for cursor in unit.cursor.get_children():
            if self.is_here(cursor) and not cursor.kind.is_preprocessing():
                self.walk(cursor)
        return self.mutants

    def is_here(self, cursor: Cursor) -> bool:
        file = cursor.location.file
        return file is not None and file.name == str(ROOT / self.file)

    def text(self, start: int, end: int) -> str:
        return self.bytes[start:end].decode()

    def text_of(self, cursor: Cursor) -> str:
        return self.text(cursor.extent.start.offset, cursor.extent.end.offset)

    def add(self, kind: str, change: str, start: int, end: int, edits: list[Edit]) -> None:
        source = self.text(start, end)
        if any("\n#" in part or 'R"' in part for part in (source, *(e.text for e in edits))):
            return
        line = bisect.bisect_right(self.lines, start)
        edits = [replace(e, text=one_line(e.text)) for e in edits]
        self.mutants.append(Mutant(self.file, line, kind, shortened(one_line(source)), change,
                                   edits, self.constant))

    def replace(self, kind: str, change: str, cursor: Cursor, text: str,
                condition: bool = False) -> None:
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        self.add(kind, change, start, end, [Edit(start, end, text, condition=condition)])

    def macro(self, cursor: Cursor) -> None:
        """Takes a macro's use: what is in it is not looked at, but for a status that is returned
        if it is an error."""
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        text = self.text(start, end)
        if "(" not in text:
            return
        self.macros.append((start, end))
        if match := re.fullmatch(r"RETURN_IF_ERROR\((.*)\)", text, re.DOTALL):
            begin, stop = start + match.start(1), start + match.end(1)
            self.add("statement", "statement removed", start, end,
                     [Edit(begin, stop, "::absl::OkStatus()")])
            self.add("error", "error swallowed", start, end,
                     [Edit(begin, stop, f"(static_cast<void>({match[1]}), ::absl::OkStatus())")])

    def in_macro(self, cursor: Cursor) -> bool:
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        return start >= end or any(start < m_end and end > m_start and
                                   not (start < m_start and end > m_end)
                                   for m_start, m_end in self.macros)

    def walk(self, cursor: Cursor) -> None:
        kind = cursor.kind
        if kind in SKIPPED or kind.is_attribute():
            return
        if kind == CursorKind.CALL_EXPR and SCAFFOLD.match(self.text_of(cursor)):
            return
        if kind in FUNCTIONS:
            self.function(cursor)
            return
        children = list(cursor.get_children())
        if kind == CursorKind.VAR_DECL:
            head = self.text(cursor.extent.start.offset, cursor.location.offset)
            if "constexpr" in head:
                return
            children = [c for c in children if c.kind.is_expression() and
                        c.extent.start.offset >= cursor.location.offset]
            if self.is_filled(cursor):
                return
            if cursor.type.kind == cindex.TypeKind.CONSTANTARRAY:
                children = [c for c in children if c.kind == CursorKind.INIT_LIST_EXPR]
        elif kind == CursorKind.CASE_STMT:
            children = children[1:]
        elif kind in (CursorKind.DECL_REF_EXPR, CursorKind.MEMBER_REF_EXPR):
            children = [c for c in children if c.kind != CursorKind.INTEGER_LITERAL]
        if not self.in_macro(cursor):
            self.node(cursor, children)
        for child in children:
            self.walk(child)

    def is_filled(self, variable: Cursor) -> bool:
        """Returns whether a variable begins with a 0 that means nothing: the next thing that is
        done with it is to assign to it, or to hand out its address."""
        name, end = variable.spelling, variable.extent.end.offset
        if not re.fullmatch(rf"{name} = 0", self.text(variable.location.offset, end)):
            return False
        rest = self.bytes[end:].decode()
        use = re.search(rf"\b{name}\b", rest)
        if not use:
            return False
        before, after = rest[:use.start()], rest[use.end():]
        filled = re.search(r"([(,]\s*&|\bfdt_for_each_\w+\()$", before)
        at_once = re.fullmatch(r";\s*(do \{\s*)?", before) and re.match(r"\s=\s", after)
        return filled is not None or at_once is not None

    def function(self, cursor: Cursor) -> None:
        children = list(cursor.get_children())
        body = next((c for c in children if c.kind == CursorKind.COMPOUND_STMT), None)
        if body is None or cursor.spelling in SCAFFOLDS:
            return
        start = body.extent.start.offset
        before, head = self.constant, self.text(cursor.extent.start.offset, start)
        if "consteval" in head:
            return
        self.constant = "constexpr" in head
        inside = list(body.get_children())
        result = cursor.result_type.spelling
        if inside and cursor.kind != CursorKind.CONSTRUCTOR:
            returns = {"void": [""], "bool": ["true", "false"]}.get(result, [])
            if cursor.kind == CursorKind.DESTRUCTOR:
                returns = []
            for value in returns:
                self.add("return", f"returns {value} at once" if value else "returns at once",
                         cursor.extent.start.offset, start,
                         [Edit(start + 1, start + 1, f"return {value};")])
        for child in children:
            if child.kind not in SKIPPED and not child.kind.is_attribute():
                self.walk(child)
        self.constant = before

    def node(self, cursor: Cursor, children: list[Cursor]) -> None:
        kind = cursor.kind
        if kind in (CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR):
            if len(children) == 2:
                self.operator(cursor, *children)
        elif kind == CursorKind.CALL_EXPR:
            self.call(cursor)
        elif kind == CursorKind.UNARY_OPERATOR:
            text = self.text_of(cursor)
            if text.startswith("!"):
                self.replace("negation", "negation removed", cursor,
                             f"static_cast<bool>({text[1:]})")
        elif kind == CursorKind.CONDITIONAL_OPERATOR and len(children) == 3:
            condition, yes, no = (self.text_of(child) for child in children)
            self.replace("ternary", "arms swapped", cursor, f"{condition} ? {no} : {yes}")
        elif kind == CursorKind.INTEGER_LITERAL:
            text = self.text_of(cursor)
            if cursor.extent.start.offset in self.twins:
                return
            if re.fullmatch(r"[0-9][0-9a-fA-FxXbuUlL']*", text):
                self.replace("constant", "one more", cursor, f"{text} + 1")
        elif kind == CursorKind.CXX_BOOL_LITERAL_EXPR:
            text = self.text_of(cursor)
            other = {"true": "false", "false": "true"}.get(text)
            if other:
                self.replace("constant", f"{other} in its place", cursor, other)
        elif kind == CursorKind.CXX_STATIC_CAST_EXPR:
            text = self.text_of(cursor)
            match = re.match(r"static_cast<(u?)int64_t>", text)
            if match and not fits_32_bits(children[-1], signed=not match[1]):
                self.replace("cast", "through 32 bits", cursor,
                             f"static_cast<{match[1]}int64_t>(static_cast<{match[1]}int32_t>"
                             f"({text}))")
        elif kind == CursorKind.IF_STMT:
            self.condition(cursor, children)
        elif kind == CursorKind.COMPOUND_STMT:
            self.statements(children)

    def operator(self, cursor: Cursor, left: Cursor, right: Cursor) -> None:
        between = self.text(left.extent.end.offset, right.extent.start.offset)
        symbol = one_line(between)
        if symbol in ("<", ">="):  # One more here is what another operator is.
            self.twins.add(right.extent.start.offset)
        clock = CLOCK.search(self.text_of(cursor)) is not None
        for other in OPERATORS.get(symbol, []):
            if clock and (symbol, other) in AT_THE_EDGE:
                continue
            self.replace("operator", f"{symbol} is {other}", cursor,
                         f"{self.text_of(left)} {other} {self.text_of(right)}")

    def call(self, cursor: Cursor) -> None:
        arguments = list(cursor.get_arguments())
        name = cursor.spelling
        if name.startswith("operator") and len(arguments) == 2:
            self.operator(cursor, *arguments)
            return
        text = self.text_of(cursor)
        if other := NAMES.get(name):
            head = text.partition("(")[0]
            changed, times = re.subn(rf"\b{name}\b(?=[^:.]*$)", other, head, count=1)
            if times:
                self.replace("name", f"{name} is {other}", cursor,
                             changed + text[len(head):])
        start = cursor.extent.start.offset
        if name in SYMMETRIC:
            return
        pairs = list(zip(arguments, arguments[1:]))
        if name == "clamp":  # min(max(value, low), high)
            pairs = pairs[1:]
        for first, second in pairs:
            if "memory_order" in first.type.spelling:
                continue
            if first.type.get_canonical().spelling != second.type.get_canonical().spelling:
                continue
            places = [first.extent.start.offset, first.extent.end.offset,
                      second.extent.start.offset, second.extent.end.offset]
            if not start < places[0] < places[1] < places[2] < places[3]:
                continue
            one, two = self.text_of(first), self.text_of(second)
            if one_line(one) != one_line(two):
                text = (self.text(start, places[0]) + two + self.text(places[1], places[2]) + one +
                        self.text(places[3], cursor.extent.end.offset))
                self.replace("arguments", f"{shortened(one_line(one), 30)} and "
                             f"{shortened(one_line(two), 30)} swapped", cursor, text)

    def condition(self, cursor: Cursor, children: list[Cursor]) -> None:
        condition = next((c for c in children if c.kind.is_expression()), None)
        head = self.text(cursor.extent.start.offset,
                         condition.extent.start.offset if condition else 0)
        if condition is None or not re.fullmatch(r"if\s*\(\s*", head) or self.in_macro(condition):
            return  # `if constexpr`, or a declaration
        text = self.text_of(condition)
        then = children[1] if len(children) > 1 else None
        if then is not None and re.match(r"(\{\s*)?(return|continue|break)\b", self.text_of(then)):
            self.replace("return", "early end removed", condition, "false", True)
        elif not any(f" {symbol} " in text for symbol in COMPARISONS) and not text.startswith("!"):
            self.replace("negation", "condition negated", condition, f"!({text})", True)

    def statements(self, children: list[Cursor]) -> None:
        before: Cursor | None = None
        for child in children:
            text = self.text_of(child)
            here = (child.kind.is_expression() and not self.in_macro(child) and
                    not UNTOLD.match(text))
            if here:
                start, end = child.extent.start.offset, child.extent.end.offset
                self.add("statement", "statement removed", start, end, [Edit(start, end, "", True)])
                if before is not None and not (UNORDERED.match(text) or
                                               self.are_independent(before, child)):
                    self.swap(before, child)
            before = child if here else None

    def are_independent(self, first: Cursor, second: Cursor) -> bool:
        """Returns whether both change a variable that the other does not mention, none of them
        atomic, and call nothing: no thread can tell which came first."""
        if first.kind not in BUILT_IN or second.kind not in BUILT_IN:
            return False
        texts = [one_line(self.text_of(cursor)) for cursor in (first, second)]
        plain = [PLAIN.fullmatch(text) for text in texts]
        return all(match is not None and
                   not re.search(rf"\b{re.escape(match['assigned'] or match['counted'])}\b", other)
                   for match, other in zip(plain, reversed(texts)))

    def swap(self, first: Cursor, second: Cursor) -> None:
        places = [(c.extent.start.offset, c.extent.end.offset) for c in (first, second)]
        (one, one_end), (two, two_end) = places
        self.add("order", "swapped with the next statement", one, one_end,
                 [Edit(one, one_end, self.text(two, two_end), True),
                  Edit(two, two_end, self.text(one, one_end), True)])


def fits_32_bits(cursor: Cursor, signed: bool) -> bool:
    """Returns whether the type of what is cast has 32 bits or fewer, and these say all."""
    while cursor.kind == CursorKind.UNEXPOSED_EXPR and len(list(cursor.get_children())) == 1:
        (cursor,) = cursor.get_children()
    of = cursor.type.get_canonical()
    if of.kind == cindex.TypeKind.ENUM:
        of = of.get_declaration().enum_type.get_canonical()
    is_signed = of.kind in SIGNED
    return (is_signed or of.kind in UNSIGNED) and of.get_size() <= 4 and (signed or not is_signed)


def arguments_of(command: list[str]) -> list[str]:
    """Returns what a compiler is told that libclang needs to know, too."""
    kept, words = [], iter(command[1:])
    for word in words:
        if word in ("-I", "-isystem"):
            kept += [word, next(words)]
        elif word.startswith(("-I", "-D", "-std=", "-isystem")):
            kept.append(word)
    return [*kept, "-xc++", "-w", "-Wno-c++11-narrowing", "-ferror-limit=0"]


def parse(path: pathlib.Path, arguments: list[str]) -> cindex.TranslationUnit:
    return cindex.Index.create().parse(
        str(path), args=arguments,
        options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD |
        cindex.TranslationUnit.PARSE_PRECOMPILED_PREAMBLE)
