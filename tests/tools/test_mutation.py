# SPDX-License-Identifier: Apache-2.0
"""What tools/dev/mutate does before it runs anything."""

import sys

from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))

from mutation import mutants, python  # noqa: E402
from mutation.mutants import Edit, Mutant  # noqa: E402
from mutation.rewrite import Writer, at_fault  # noqa: E402

TEXT = b"bool F(int a) {\n  G(a);\n  return a < 1;\n}\n"


def mutant(number: int, *edits: Edit, file: str = "vmm/base/f.cc", line: int = 1) -> Mutant:
    return Mutant(file, line, "operator", "a < 1", "< is <=", list(edits), number=number)


def replaced(number: int, old: bytes, new: str, statement: bool = False) -> Mutant:
    start = TEXT.index(old)
    return mutant(number, Edit(start, start + len(old), new, statement))


def test_each_mutant_is_behind_its_switch_and_lines_keep_their_numbers() -> None:
    some = [replaced(1, b"a < 1", "a <= 1"), replaced(2, b"1", "1 + 1"),
            replaced(3, b"G(a)", "", True), mutant(4, Edit(15, 15, "return true;"))]
    assert Writer(TEXT).write(some).decode() == (
        "bool F(int a) { if (::mutation::On(4)) return true;\n"
        "  (::mutation::On(3) ? static_cast<void>(0) : static_cast<void>(G(a)));\n"
        "  return (::mutation::On(1) ? (a <= 1) : (a < (::mutation::On(2) ? (1 + 1) : (1))));\n"
        "}\n")


def test_what_does_not_compile_is_the_innermost_mutant_there() -> None:
    some = [replaced(1, b"a < 1", "a <= 1"), replaced(2, b"1", "1 + 1")]
    writer = Writer(TEXT)
    line = writer.write(some).decode().splitlines()[2]
    for text, number in (("a <= 1", 1), ("1 + 1", 2)):
        found = at_fault(writer, 3, line.index(text) + 1)
        assert [each.number for each in found] == [number]
    assert {each.number for each in at_fault(writer, 3, 1)} == {1, 2}


def test_a_sample_is_the_same_each_time_and_has_enough_of_every_room() -> None:
    many = [mutant(number, file=f"vmm/{room}/{number % 3}.cc", line=number)
            for room, of_room in (("base", 1000), ("park", 40), ("arch", 5))
            for number in range(of_room)]
    first, again, other = (mutants.sample(many, 100, seed) for seed in (1, 1, 2))
    assert first == again != other
    rooms = [each.room for each in first]
    assert {room: rooms.count(room) for room in set(rooms)} == {
        "vmm/base": 95, "vmm/park": mutants.LEAST, "vmm/arch": 5}
    assert {each.file for each in first if each.room == "vmm/park"} == {
        f"vmm/park/{number}.cc" for number in range(3)}


def test_python_is_changed_in_functions_where_it_means_something() -> None:
    found = python.Finder("tools/parkvmm/locks.py").find()
    assert found
    text = (ROOT / "tools/parkvmm/locks.py").read_bytes()
    for each in found:
        (edit,) = each.edits
        changed = text[:edit.start] + edit.text.encode() + text[edit.end:]
        compile(changed, each.file, "exec")
        assert changed != text


def test_what_only_tells_or_waits_is_left_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(python, "ROOT", tmp_path)
    (tmp_path / "x.py").write_text(
        "def f(self):\n"
        "    self.say(1 + g())\n"
        "    time.sleep(5); assert self.x and self.y\n"
        "    run(timeout=60, tries=3)\n"
        "    if time.monotonic() > self.end:\n"
        "        self.stop()\n")
    assert [(each.line, each.change) for each in python.Finder("x.py").find()] == [
        (4, "statement removed"), (4, "one more"), (5, "Gt is LtE"), (6, "statement removed")]


def test_a_mutant_meets_the_tests_that_call_the_function_around_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(python, "ROOT", tmp_path)
    file = "tools/parkvmm/host/x.py"
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("def f():\n    @cache\n    def g():\n        pass\n    h()\n")
    runner = python.Runner.__new__(python.Runner)
    runner.tree = ROOT
    one, two = "tests/tools/test_host.py::one", "tests/tools/test_host.py::two"
    other = "tests/tools/test_report.py::three"  # not of this room
    runner.reach = {f"{file}:1": [one, other], f"{file}:2": [two]}
    found = [runner.reaching(mutant(1, file=file, line=line)) for line in (4, 5)]
    assert found == [[two], [one]]


def test_every_room_has_tests_that_are_there() -> None:
    rooms = {file.rpartition("/")[0] for file in python.files()}
    assert set(python.TESTS) == rooms
    for names in python.TESTS.values():
        assert all((ROOT / f"tests/tools/test_{name}.py").exists() for name in names), names
