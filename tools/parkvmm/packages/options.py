# SPDX-License-Identifier: Apache-2.0
"""The options of `vmm`, with the words that --help has for them.

They are read where the program itself has them: vmm/cli/run_options.cc for `vmm run`,
vmm/cli/command_line.cc for the rest, and front/options.py for tools/vmm. So the manual and the
completions cannot say anything else. tests/tools/test_manual.py compares them with --help.
"""

import dataclasses
import re

from parkvmm.failure import DATA, Failure
from parkvmm.front.options import HELP
from parkvmm.front.table import BY_NAME, OUTPUTS, Kind
from parkvmm.labels import WORTH
from parkvmm.paths import ROOT, VMM

CLI = ROOT / "vmm" / "cli"
# A call that defines an option: its names, and all that follows up to the semicolon.
CALL = re.compile(r'\.?add_(option|flag)\(\s*"([^"]+)",\s*([\w.]+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)'
                  r"((?:[^;\"]|\"[^\"]*\")*);")
CALLS = re.compile(r"\badd_(?:option|flag)\(")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
FIELD = re.compile(r"^  [\w:<>]+ (\w+) = ([^;]+);", re.MULTILINE)
# An entry of tools/vmm --help: names, perhaps what the value is called, and what it is for.
FRONT = re.compile(r"  ((?:-\w, )?--[\w-]+)(?: ([A-Z]+|\w+(?:\|\w+)+))?\s+(.*)", re.DOTALL)
UNITS = ((30, "G"), (20, "M"), (10, "K"))
# Values that can be listed, of options whose type does not list them.
WORDS = {"--firmware": ("none", "n1sdp", "juno", "kunpeng920", "thunderx2"),
         "--format": ("text", "json", "junit", "ktap", "tap", "github"),
         "--label": tuple(WORTH)}


@dataclasses.dataclass(frozen=True)
class Option:
    names: tuple[str, ...]  # the kernel's has no hyphen
    value: str  # what its value is called; empty: a flag
    default: str
    text: str
    repeatable: bool = False
    file: bool = False  # The value is a file, or, for --format, ends with one.

    @property
    def words(self) -> tuple[str, ...]:
        """Returns the values that there are, if they are known."""
        if re.fullmatch(r"[a-z]+(\|[a-z]+)+", self.value):
            return tuple(self.value.split("|"))
        return WORDS.get(self.names[-1], ())


def literal(text: str) -> str:
    """Returns what adjacent string literals of C++ say."""
    return "".join(re.sub(r"\\(.)", r"\1", part) for part in LITERAL.findall(text))


def default_of(text: str) -> str:
    """Returns the initial value of a field as a user would say it."""
    shift = re.fullmatch(r"uint64_t\{(\d+)\} << (\d+)", text)
    if shift:
        number = int(shift[1]) << int(shift[2])
        return next((f"{number >> bits}{unit}" for bits, unit in UNITS
                     if not number % (1 << bits)), str(number))
    return literal(text) if text.startswith('"') else "" if text == "false" else text


def options_in(source: str, header: str) -> list[Option]:
    """Returns the options that a source defines. Raises Failure if it has one that cannot be
    read: none may be missing in the manual."""
    defaults = {name: default_of(text) for name, text in FIELD.findall(header)}
    found = []
    for kind, names, variable, text, rest in CALL.findall(source):
        value = re.search(r'type_name\("([^"]+)"\)', rest)
        words = tuple(names.split(","))
        known = BY_NAME.get(words[0])
        found.append(Option(
            words, value[1] if value and kind == "option" else "",
            "" if "default_str" in rest else defaults.get(variable.rpartition(".")[2], ""),
            literal(text), "take_all()" in rest,
            known is not None and known.kind not in (Kind.FLAG, Kind.VALUE)))
    if len(found) != len(CALLS.findall(source)):
        raise Failure(DATA, f"{len(CALLS.findall(source)) - len(found)} options of vmm are defined "
                      "in a way that parkvmm/packages/options.py cannot read; mend one of the two")
    return found


HELP_OPTION = Option(("-h", "--help"), "", "", "print all options and end")


def run_options() -> list[Option]:
    """Returns those of `vmm run`; the kernel is the first."""
    return [*options_in((CLI / "run_options.cc").read_text(),
                        (CLI / "run_options.h").read_text()), HELP_OPTION]


def doctor_options() -> list[Option]:
    return [*options_in((CLI / "command_line.cc").read_text(), ""), HELP_OPTION]


def front_options(text: str = HELP) -> list[Option]:
    """Returns those of tools/vmm, which precede the command."""
    block = text.partition("options, before COMMAND:\n")[2].partition("\n\n")[0]
    found = []
    for entry in re.split(r"\n(?=  -)", block):
        match = FRONT.fullmatch(entry)
        if not match:
            raise Failure(DATA, f"{VMM} --help has {entry!r}, which cannot be read")
        names = tuple(match[1].split(", "))
        found.append(Option(names, match[2] or "", "", " ".join(match[3].split())))
    return found


def exit_codes() -> tuple[list[tuple[str, str]], str]:
    """Returns the exit codes of `vmm`, each with what it means, and what is said of a command."""
    source = (CLI / "command_line.cc").read_text()
    match = re.search(r"kExitCodes\[\] =\s*((?:\"(?:[^\"\\]|\\.)*\"\s*)+);", source)
    text = literal(match[1]) if match else ""
    codes, _, rest = text.removeprefix("Exit codes: ").partition(". ")
    pairs = re.findall(r"(\d+) ([^;]+)", codes)
    if not pairs:
        raise Failure(DATA, "command_line.cc has no kExitCodes; mend parkvmm/packages/options.py")
    return pairs, rest


def is_output(option: Option) -> bool:
    known = BY_NAME.get(option.names[0])
    return known is not None and known.kind in OUTPUTS
