# SPDX-License-Identifier: Apache-2.0
"""How vmm was compiled and linked: what makes a mistake in it hard to use.

A program shows what it was built with; CMakeLists.txt only says what was meant.
"""

import functools
import pathlib
import platform
import re
import shutil
import subprocess

import pytest
from arm64_host import ROOT

VMM = ROOT / "build/arm64/bin/vmm"
CROSS = "" if platform.machine() == "aarch64" else "aarch64-linux-gnu-"
OURS = re.compile(r"_ZN?K?(3vmm|4psci|3fdt)|main$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")


def said(tool: str, *words: str | pathlib.Path) -> str:
    if not VMM.exists():
        pytest.skip(f"{VMM} is not there; tools/build arm64 makes it")
    if not shutil.which(CROSS + tool):
        pytest.skip(f"{CROSS}{tool} is not here; tools/setup cross installs it")
    return subprocess.run([CROSS + tool, *words], capture_output=True, text=True, check=True,
                          timeout=300).stdout


def segments() -> dict[str, str]:
    """Returns the flags of each kind of segment, those of several one after the other."""
    found: dict[str, str] = {}
    for line in said("readelf", "-lW", VMM).splitlines():
        if match := re.match(r"\s+([A-Z_]+)\s+0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", line):
            found[match[1]] = found.get(match[1], "") + f"{match[2]},"
    return found


@functools.cache
def functions() -> dict[str, list[str]]:
    """Returns our functions' instructions: mnemonics and operands."""
    found: dict[str, list[str]] = {}
    body: list[str] | None = None
    for line in said("objdump", "-d", "--no-show-raw-insn", VMM).splitlines():
        if match := FUNCTION.match(line):
            body = found.setdefault(match[1], []) if OURS.match(match[1]) else None
        elif body is not None and "\t" in line:
            body.append(" ".join(line.split("\t")[1:]).strip())
    return found


def test_it_lies_at_a_random_address_and_needs_no_loader() -> None:
    assert re.search(r"Type:\s+DYN", said("readelf", "-hW", VMM))
    dynamic = said("readelf", "-dW", VMM)
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic)
    assert "INTERP" not in segments() and "(NEEDED)" not in dynamic


def test_no_page_is_both_written_and_executed() -> None:
    found = segments()
    assert "E" in found["LOAD"]
    assert not any("W" in flags and "E" in flags for flags in found["LOAD"].split(","))
    assert "E" not in found["GNU_STACK"]


def test_what_is_relocated_is_read_only_afterwards() -> None:
    found = segments()
    assert "GNU_RELRO" in found and "W" not in found["GNU_RELRO"]
    dynamic = said("readelf", "-dW", VMM)
    assert "TEXTREL" not in dynamic
    assert re.search(r"\(FLAGS_1\).*\bNOW\b|BIND_NOW", dynamic)
    # Only its own address is added to what is there, and nothing is looked up.
    kinds = set(re.findall(r"R_AARCH64_\w+", said("readelf", "-rW", VMM)))
    assert kinds <= {"R_AARCH64_RELATIVE", "R_AARCH64_RELATIV", "R_AARCH64_IRELATIV",
                     "R_AARCH64_IRELATIVE", "R_AARCH64_NONE"}, kinds


def test_our_functions_guard_their_stacks() -> None:
    guarded = [name for name, body in functions().items()
               if any("<__stack_chk_fail" in line for line in body)]
    assert len(guarded) > len(functions()) / 20, (len(guarded), len(functions()))


def test_our_functions_sign_where_they_return_to() -> None:
    """All that store it. (Those that call nobody do not.)"""
    stores = {name: body for name, body in functions().items()
              if any(re.match(r"stp x29, x30, \[sp", line) for line in body)}
    assert len(stores) > 100
    assert [name for name, body in stores.items() if "paciasp" not in body] == []


def test_sizes_that_the_compiler_knows_are_checked() -> None:
    listed = (ROOT / "build/arm64/compile_commands.json").read_text()
    of_ours = [line for line in listed.splitlines() if '"command"' in line and "/vmm/" in line]
    assert of_ours and all("-D_FORTIFY_SOURCE=2" in line for line in of_ours)
    assert re.search(r" T __\w+_chk$", said("nm", VMM), re.M)


def has_bti(path: pathlib.Path) -> bool:
    return "BTI" in said("readelf", "-nW", path)


def test_it_says_that_it_lands_at_bti_if_its_c_library_does() -> None:
    """The linker drops the property unless every object has it. Debian's libc.a of 12 lacks it."""
    compiler = shutil.which(f"{CROSS}gcc")
    if not compiler:
        pytest.skip(f"{CROSS}gcc is not here; tools/setup cross installs it")
    start = subprocess.run([compiler, "-print-file-name=rcrt1.o"], capture_output=True, text=True,
                           check=True, timeout=60).stdout.strip()
    assert has_bti(VMM) == has_bti(pathlib.Path(start))
