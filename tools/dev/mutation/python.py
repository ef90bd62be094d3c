# SPDX-License-Identifier: Apache-2.0
"""Finds mutants of Python modules, and runs the tests that may notice them."""

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Iterator

from .build import SCRATCH, sources
from .mutants import ROOT, Broken, Edit, Mutant, one_line, shortened

PACKAGE = "tools/parkvmm/"
# Tests of each room that need no emulated host, in the order in which they are tried.
TESTS = {
    "tools/parkvmm": ["cpio", "output_files", "guest", "debian", "kernel_file", "commands",
                      "native_walk"],
    "tools/parkvmm/bench": ["bench_runs", "bench", "effects", "report", "commands",
                            "bench_commands", "bench_vmm", "shards", "gates", "stress",
                            "attribution"],
    "tools/parkvmm/cases": ["cases", "formats", "damaged_documents", "failure_gallery"],
    "tools/parkvmm/ci": ["action"],
    "tools/parkvmm/debian": ["debian", "debian_fetch", "debian_parts", "kernel_file", "guest",
                             "commands", "native_walk"],
    "tools/parkvmm/guest": ["guest", "kernel_file", "commands", "bench"],
    "tools/parkvmm/front": ["front_door", "front_session", "demo"],
    "tools/parkvmm/host": ["host", "saved_host", "front_session", "commands", "kernel_file",
                           "native_walk"],
    "tools/parkvmm/packages": ["packages", "manual", "installation", "layout"],
    "tools/parkvmm/report": ["report_figures", "report_lanes", "report_run", "report_history",
                             "report", "bench"],
    "tools/parkvmm/soak": ["soak", "cases"],
}
COMPARISONS: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt], ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.In: [ast.NotIn], ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot], ast.IsNot: [ast.Is]}
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}
CLOSE: list[set[type]] = [{ast.Lt, ast.LtE}, {ast.Gt, ast.GtE}]
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "median": "mean",
         "startswith": "endswith", "endswith": "startswith", "lstrip": "rstrip",
         "rstrip": "lstrip", "partition": "rpartition", "rpartition": "partition"}
# What only tells, what only waits, what a type checker needs.
UNTOLD = {"print", "say", "_say", "cast", "note", "sleep"}
CLOCKS = {"time", "monotonic"}  # No test meets an instant exactly.
# How much room there is on a page: tests/report looks at that, with a browser.
LAYOUT = {"tools/parkvmm/report/charts.py"}
BROWSER = "tools/parkvmm/report/browser.py"  # Only these tests have one.
AUTHOR = ["-c", "user.name=mutate", "-c", "user.email=mutate@localhost"]
DEADLINE = 120  # seconds for the tests of one mutant
DEADLINE_OF_ALL = 1800  # seconds for all of them without a mutant
PROGRAM = ROOT / "build/host/bin/scripted_run"  # of tests/support/scripted.py
SYSTEM = "/usr/bin/python3"  # the one with Debian's packages


def name_of(call: ast.Call) -> str:
    """Returns the last word of what is called."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


class Finder(ast.NodeVisitor):
    """Collects the mutants of one module."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.text = (ROOT / file).read_text()
        self.bytes = self.text.encode()
        self.starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.mutants: list[Mutant] = []

    def find(self) -> list[Mutant]:
        tree = ast.parse(self.text)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for statement in node.body:
                    self.visit(statement)
        known: set[tuple[int, int, str]] = set()
        found = []
        for mutant in self.mutants:  # Functions in functions are walked twice.
            edit = mutant.edits[0]
            if (edit.start, edit.end, edit.text) not in known:
                known.add((edit.start, edit.end, edit.text))
                found.append(mutant)
        return found

    def place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (self.starts[node.lineno - 1] + node.col_offset,
                self.starts[node.end_lineno - 1] + node.end_col_offset)

    def source(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.place(node)
        return self.bytes[start:end].decode()

    def add(self, kind: str, change: str, node: ast.expr | ast.stmt, other: ast.AST | str) -> None:
        start, end = self.place(node)
        if isinstance(other, str):
            text = other
        else:
            text = ast.unparse(ast.fix_missing_locations(other))
            text = f"({text})"
        self.mutants.append(Mutant(self.file, node.lineno, kind,
                                   shortened(one_line(self.source(node))), change,
                                   [Edit(start, end, text)]))

    def visit_Compare(self, node: ast.Compare) -> None:
        timed = any(isinstance(part, ast.Call) and name_of(part) in CLOCKS
                    for part in ast.walk(node))
        for place, symbol in enumerate(node.ops):
            for other in COMPARISONS.get(type(symbol), []):
                if timed and {type(symbol), other} in CLOSE:
                    continue
                ops = [other() if at == place else old for at, old in enumerate(node.ops)]
                self.add("operator", f"{type(symbol).__name__} is {other.__name__}", node,
                         ast.Compare(node.left, ops, node.comparators))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = ARITHMETIC.get(type(node.op))
        is_text = any(isinstance(side, (ast.Constant, ast.JoinedStr)) and
                      isinstance(getattr(side, "value", ""), str)
                      for side in (node.left, node.right))
        if other and not is_text:
            self.add("operator", f"{type(node.op).__name__} is {other.__name__}", node,
                     ast.BinOp(node.left, other(), node.right))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.add("operator", f"{type(node.op).__name__} is {type(other).__name__}", node,
                 ast.BoolOp(other, node.values))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.add("negation", "negation removed", node, ast.Call(
                ast.Name("bool"), [node.operand], []))
        elif isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            self.add("operator", "sign removed", node, node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add("constant", f"{not node.value} in its place", node, ast.Constant(
                not node.value))
        elif self.file in LAYOUT:
            return
        elif isinstance(node.value, int):
            self.add("constant", "one more", node, ast.Constant(node.value + 1))
        elif isinstance(node.value, float):
            self.add("constant", "half as much again", node, ast.Constant(node.value * 1.5))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leaves it alone: until Python 3.12 nobody knows where in it something is."""

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.add("ternary", "arms swapped", node, ast.IfExp(node.test, node.orelse, node.body))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.body[0], (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            self.add("return", "early end removed", node.test, "False")
        elif not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
            self.add("negation", "condition negated", node.test, ast.UnaryOp(ast.Not(), node.test))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = name_of(node)
        if other := NAMES.get(name):
            head, _, tail = self.source(node.func).rpartition(name)
            self.add("name", f"{name} is {other}", node.func, head + other + tail)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """Leaves alone how long a program that hangs is waited for."""
        if node.arg != "timeout" or not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call) and name_of(node.value) in UNTOLD:
            return
        if isinstance(node.value, ast.Call):
            self.add("statement", "statement removed", node, "pass")
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leaves it alone: it tells a type checker what always holds."""

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add("statement", "statement removed", node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self.add("return", "returns nothing", node, "return None")
        self.generic_visit(node)


def find(files: list[str]) -> list[Mutant]:
    mutants: list[Mutant] = []
    for file in files:
        mutants += Finder(file).find()
    return mutants


def functions(file: str) -> list[tuple[int, int, int]]:
    """Returns where the functions of a module begin (the first decorator's line, as in their
    code), the lines of their names and their last lines."""
    return [(min([node.lineno, *(word.lineno for word in node.decorator_list)]), node.lineno,
             node.end_lineno or node.lineno)
            for node in ast.walk(ast.parse((ROOT / file).read_text()))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def files() -> list[str]:
    return [name for name in sources() if name.startswith(PACKAGE) and name.endswith(".py")
            and name != BROWSER]


class Runner:
    """Has a tree of its own, in which one mutant at a time is tried. Owned by one thread."""

    def __init__(self, number: int) -> None:
        self.reach: dict[str, list[str]] = {}
        self.tree = SCRATCH / f"python-{number}"
        shutil.rmtree(self.tree, ignore_errors=True)
        for name in sources():
            target = self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            shutil.copymode(ROOT / name, target)
        # Some tests clone what they are in.
        for words in (["init"], ["add", "-A"], [*AUTHOR, "commit", "-m", "all"]):
            subprocess.run(["git", *words], cwd=self.tree, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)

    def tests(self, room: str) -> Iterator[str]:
        for name in TESTS[room]:
            path = f"tests/tools/test_{name}.py"
            if (self.tree / path).exists():
                yield path

    def reaching(self, mutant: Mutant) -> list[str]:
        """Returns the tests that call the innermost function around a mutant."""
        around = [begin for begin, name, end in functions(mutant.file)
                  if name <= mutant.line <= end]
        place = f"{mutant.file}:{max(around, default=0)}"
        return [test for path in self.tests(mutant.room) for test in self.reach.get(place, [])
                if test.startswith(path + "::")]

    def run(self, tests: list[str], *options: str,
            deadline: int = DEADLINE) -> tuple[int | None, str]:
        try:
            done = subprocess.run(
                [SYSTEM, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                 "-p", "no:xdist", *options, *tests],
                cwd=self.tree, text=True, errors="replace", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline, check=False,
                env=os.environ | {"PYTHONPATH": "tools:tools/dev", "PYTHONDONTWRITEBYTECODE": "1",
                                  "SCRIPTED_RUN": str(PROGRAM),
                                  "MUTATION_REACH": str(self.tree / "reach.json"),
                                  "GIT_CEILING_DIRECTORIES": str(SCRATCH)})
            return done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            return None, ""

    def prepare(self, rooms: set[str]) -> None:
        """Runs all tests of some rooms without a mutant, and notes what each reaches."""
        # One program of C++ serves all trees: only Python differs.
        built = subprocess.run(["tools/build", "host", PROGRAM.name], cwd=ROOT, check=False,
                               stdout=subprocess.DEVNULL)
        if built.returncode:
            raise Broken(f"{PROGRAM.name} does not build")
        paths = sorted({path for room in rooms for path in self.tests(room)})
        status, said = self.run(paths, "-p", "mutation.reach", deadline=DEADLINE_OF_ALL)
        if status != 0:
            raise Broken(f"tests fail without a mutant:\n{said[-2000:]}")
        self.reach = json.loads((self.tree / "reach.json").read_text())

    def try_out(self, mutant: Mutant) -> None:
        path = self.tree / mutant.file
        original = path.read_bytes()
        (edit,) = mutant.edits
        path.write_bytes(original[:edit.start] + edit.text.encode() + original[edit.end:])
        try:
            mutant.outcome = "survived"
            status: int | None = 0
            said = ""
            # A test may also reach it in another process, or by what an earlier test kept.
            for tests in (self.reaching(mutant), list(self.tests(mutant.room))):
                if status == 0 and tests:
                    status, said = self.run(tests, "--timeout=60")
            if status != 0:
                failed = [line for line in said.splitlines() if line.startswith(("FAILED",
                                                                                 "ERROR"))]
                mutant.outcome = "timeout" if status is None else "killed"
                mutant.by = failed[0].split()[1] if failed else "?"
        finally:
            path.write_bytes(original)
