# SPDX-License-Identifier: Apache-2.0
"""Documents say what is there: links, anchors, paths, options, names and figures.

Most checks are functions of a text, so that a test can give them one that is wrong.
"""

import importlib
import json
import re
import runpy
import subprocess
from collections.abc import Iterable, Iterator

import pytest
from arm64_host import ROOT
from parkvmm.bench import micro

README_BYTES = 8192
COLUMNS = 100
DOCUMENTS = ["README.md", "CONTRIBUTING.md",
             *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# Options of other programs that these documents name.
FOREIGN = {"--device", "--rm"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")
VMM_OPTION = re.compile(r'add_(?:option|flag)\(\s*"(-[^"]+)"')


def tracked(pattern: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard", pattern], cwd=ROOT, check=True,
                            capture_output=True, text=True, timeout=60).stdout
    return sorted(filter(None, listed.split("\0")))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


# --- Markdown ----------------------------------------------------------------

def is_code(line: str) -> bool:
    return line.startswith("    ") and not line.lstrip().startswith(("|", "* ", "-> "))


def prose_of(text: str) -> str:
    """Returns the text without its code blocks."""
    return "\n".join("" if is_code(line) else line for line in text.splitlines())


def commands_of(text: str) -> list[str]:
    """Returns the lines of code blocks, each with those that continue it."""
    lines = [line.strip() if is_code(line) else "" for line in text.splitlines()]
    return re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()


def spans_of(text: str) -> list[str]:
    """Returns what is in backticks, and what links are called."""
    prose = prose_of(text)
    return re.findall(r"`([^`\n]+)`", prose) + re.findall(r"\[([^\]`]+)\]\(", prose)


def anchors_of(text: str) -> set[str]:
    """Returns the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: str, text: str) -> Iterator[str]:
    for match in LINK.finditer(re.sub(r"`[^`\n]+`", "", prose_of(text))):
        target = match[1] or match[2]
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / path).parent / name if name else ROOT / path
        if not file.exists():
            yield f"{path}: {target}: no such file"
        elif anchor and anchor not in anchors_of(
                file.read_text(encoding="utf-8") if name else text):
            yield f"{path}: {target}: no such heading"


@pytest.mark.parametrize("path", tracked("*.md"))
def test_relative_links_lead_somewhere(path: str) -> None:
    assert not list(broken_links(path, read(path)))


def test_a_link_that_leads_nowhere_is_found() -> None:
    bad = ("# One: `a` & b\n[a](LICENSE) [b](#one-a--b) [c](http://x/) `[d](e)`\n"
           "[f](no/file)\n[g](#none) [h](SECURITY.md#none)\n<img src=\"no.png\">\n    [i](code)\n")
    assert [line.split(": ")[1] for line in broken_links("README.md", bad)] == [
        "no/file", "#none", "SECURITY.md#none", "no.png"]


# --- Size --------------------------------------------------------------------

def too_wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > COLUMNS]


def test_the_readme_is_three_screens() -> None:
    assert len(read("README.md").encode()) <= README_BYTES
    assert not too_wide(read("README.md"))


@pytest.mark.parametrize("path", DOCUMENTS)
def test_lines_wrap_but_those_of_tables(path: str) -> None:
    if path == "docs/failures.md":  # What programs print is shown as it is.
        return
    assert not [line for line in too_wide(read(path)) if not line.lstrip().startswith("|")]


# --- Paths -------------------------------------------------------------------

def missing_paths(words: Iterable[str], top: set[str]) -> list[str]:
    """Returns those words that begin with a folder of the repository and are not there. A
    word may end with arguments, and may be a pattern."""
    missing = []
    for word in words:
        path = word.split()[0].rstrip("/") if word.split() else ""
        if "/" not in path or path.split("/")[0] not in top:
            continue
        if not list(ROOT.glob(path)):
            missing.append(path)
    return missing


def top_folders() -> set[str]:
    return {path.split("/")[0] for path in tracked("*/*")}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_paths_are_there(path: str) -> None:
    text = read(path)
    commands = [command.removeprefix("parkvmm/") for command in commands_of(text)]
    assert not missing_paths([*spans_of(text), *commands], top_folders())


def test_a_path_that_is_not_there_is_found() -> None:
    words = ["tools/demo --cpus 8", "tools/demos", "vmm/park/*.h", "vmm/none/*.h", "build/x",
             "and/or", "psci-emul/", ""]
    assert missing_paths(words, top_folders()) == ["tools/demos", "vmm/none/*.h"]


# --- Options -----------------------------------------------------------------

def options_in(source: str) -> set[str]:
    return {name for names in VMM_OPTION.findall(source) for name in names.split(",")}


def run_options() -> set[str]:
    return options_in(read("vmm/cli/run_options.cc")) | {"-h", "--help"}


def vmm_options() -> set[str]:
    return run_options() | options_in(read("vmm/cli/command_line.cc"))


def tool_options() -> set[str]:
    """Returns every option that the source of a tool names."""
    return {option for path in tracked("tools/*") if not path.endswith((".md", ".patch", ".json"))
            for option in OPTION.findall(read(path) if "/pictures/" not in path else "")}


def of_vmm(text: str) -> set[str]:
    """Returns the options that a document gives to vmm: in commands, and in tables that list
    them."""
    words = [command.partition("vmm " + name)[2] for command in commands_of(text)
             for name in ("run ", "doctor ")]
    # What is in quotes, or behind two hyphens, is the guest's.
    words = [re.sub(r'"[^"]*"', "", word).partition(" -- ")[0] for word in words]
    words += re.findall(r"^\| (`-(?:\\\||[^|])*) \|", text, re.MULTILINE)
    return {option for word in words for option in OPTION.findall(word.partition("#")[0])}


@pytest.mark.parametrize("path", ["README.md", "docs/guide.md", "docs/ci.md"])
def test_options_are_there(path: str) -> None:
    text = read(path)
    assert of_vmm(text) <= vmm_options()
    named = {option for span in spans_of(text) for option in OPTION.findall(span)
             if option.startswith("--")}
    assert named <= vmm_options() | tool_options() | FOREIGN


def test_the_guide_has_every_option() -> None:
    options = run_options()
    assert {"-c", "--cpus", "--park", "--skip-if-no-kvm"} <= options
    listed = read("docs/guide.md").partition("## All options of vmm run")[2]
    assert options == of_vmm(listed)


def test_an_option_that_is_not_there_is_found() -> None:
    text = ("| `-x`, `--extra on\\|off` | more |\n\n    a\n"
            "    vmm run --one \\\n      --two=3 \"--not\" X\n"
            "    vmm doctor --yaml   # --no\n")
    assert of_vmm(text) == {"-x", "--extra", "--one", "--two", "--yaml"}
    assert options_in('add_option("-i,--initrd", x);\n add_flag(\n   "--raw", y') == {
        "-i", "--initrd", "--raw"}


# --- Names -------------------------------------------------------------------

def unknown_tests(text: str, cpp: set[str], python: set[str]) -> list[str]:
    """Returns the tests that a document names and that are not there."""
    found = set(re.findall(r"\b[A-Z]\w+Test\.\w+", text)) - cpp
    called = {name for span in spans_of(text) for name in re.findall(r"^test_\w+$", span)}
    return sorted(found | (called - python))


@pytest.mark.parametrize("path", [*DOCUMENTS, *tracked("*/README.md")])
def test_tests_that_are_named_are_there(path: str) -> None:
    cpp = {f"{suite}.{name}" for source in tracked("tests/*.cc") for suite, name in re.findall(
        r"(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP)\(\s*(\w+),\s*(\w+)", read(source))}
    python = {name for source in tracked("tests/*.py")
              for name in re.findall(r"^def (test_\w+)", read(source), re.MULTILINE)}
    assert cpp and python
    assert not unknown_tests(read(path), cpp, python)


def test_a_test_that_is_not_there_is_found() -> None:
    assert unknown_tests("`OneTest.Is` `OneTest.Was` `test_is` `test_was` `psci_model_test`",
                         {"OneTest.Is"}, {"test_is"}) == ["OneTest.Was", "test_was"]


def first_column(text: str) -> list[str]:
    return [row.strip() for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)]


def section(path: str, heading: str) -> str:
    """Returns a section, without those that follow it."""
    text = read(path)
    assert f"\n## {heading}\n" in text
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_exit_codes_are_those_of_the_program() -> None:
    codes = set(re.findall(r"^  k\w+ = (\d+),", read("vmm/run/exit_code.h"), re.MULTILINE))
    assert {"0", "66", "130"} <= codes
    assert {code for code in first_column(section("README.md", "Exit codes"))
            if code.isdecimal()} == codes
    of_run = section("docs/formats.md", "Exit codes").partition("Tools end with")[0]
    assert {code for code in first_column(of_run) if code.isdecimal()} == codes
    sources = "".join(map(read, tracked("vmm/run/*.cc") + tracked("vmm/sandbox/*.cc")))
    for name in re.findall(r"^\| \d+ \| `([\w-]+)` \|", of_run, re.MULTILINE):
        assert f'"{name}"' in sources, name


def test_diagnoses_are_those_of_the_program() -> None:
    known = set(re.findall(r'return \{\s*"([a-z0-9-]+)"', read("psci-emul/park_fault.cc")))
    listed = section("docs/parking.md", "Diagnoses")
    assert "double-release" in known
    assert set(re.findall(r"^\| `([a-z0-9-]+)` ", listed, re.MULTILINE)) == known


def test_groups_are_those_of_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools/dev"))
    runner = runpy.run_path(str(ROOT / "tools/dev/run_tests.py"))
    rows = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|",
                      section("docs/testing.md", "Groups"), re.MULTILINE)
    assert {name for name, _ in rows} == set(runner["GROUPS"])
    assert {name for name, where in rows if where == "yes"} == set(runner["EVERYTHING"])


def test_fields_are_those_of_the_schemas() -> None:
    schemas = "".join(map(read, tracked("docs/schemas/*.json")))
    text = section("docs/formats.md", "Results of a run") + section("docs/formats.md", "Events")
    named = {span for span in spans_of(text) if re.fullmatch(r"[a-z]\w*", span)}
    assert {"phase_ns", "left_ns", "door", "pass"} <= named
    assert not [name for name in sorted(named) if f'"{name}"' not in schemas]


# --- Figures -----------------------------------------------------------------

def test_what_a_call_costs_is_what_was_recorded() -> None:
    figures = json.loads(micro.RECORD.read_text(encoding="utf-8"))["figures"]
    rows = [line for line in micro.table(figures).splitlines() if line.startswith("|")]
    text = section("docs/results.md", "What a call costs")
    assert rows == [line for line in text.splitlines() if line.startswith("|")]


def test_why_guests_exit_is_what_was_recorded(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools/dev"))
    exits = importlib.import_module("exits")
    page = exits.PAGE.read_text(encoding="utf-8")
    assert exits.written(page, json.loads(exits.RECORD.read_text(encoding="utf-8"))) == page


def test_what_confinement_costs_is_what_was_recorded() -> None:
    figures = json.loads(micro.CONFINED.read_text(encoding="utf-8"))["figures"]
    assert f"\n\n{micro.confined_table(figures)}\n\n" in section("docs/security.md", "Confinement")
