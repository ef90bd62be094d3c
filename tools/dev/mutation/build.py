# SPDX-License-Identifier: Apache-2.0
"""Builds the host unit tests once, with all mutants of the C++ sources in them."""

import hashlib
import json
import multiprocessing
import os
import pathlib
import pickle
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import cpp
from .mutants import ROOT, Broken, Mutant
from .rewrite import Writer, at_fault

SCRATCH = ROOT / "build/mutation"
TREE = SCRATCH / "tree"
BINARIES = TREE / "build/host/bin"
LOOKED = SCRATCH / "looked.pickle"
SWITCH = "tools/dev/mutation/switch.h"
ROOMS = ("fdt", "psci-emul", "vmm", "tools/guest/init")
BUILD_DEADLINE = 3600  # seconds
PER_FILE = 4096  # numbers that a file's mutants have
MOST = 1 << 20  # numbers that there are: kMost of the switch
TRIES = 25  # A mutant that does not compile may hide the next.


@dataclass(frozen=True)
class Job:
    file: str
    arguments: list[str]


def sources() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def write(path: pathlib.Path, content: bytes) -> None:
    """Writes a file if it differs, so that what is equal is not built anew."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def copy_sources(but: Iterable[str] = ()) -> None:
    left_out = set(but)
    for name in sources():
        if name not in left_out:
            write(TREE / name, (ROOT / name).read_bytes())
            shutil.copymode(ROOT / name, TREE / name)


def configure() -> None:
    run(["cmake", "--preset", "host", "-DCMAKE_CXX_FLAGS=-O1 -w -Wno-narrowing "
         f"-include {TREE / SWITCH}", "-DCMAKE_CXX_FLAGS_DEBUG=",
         "-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON", *launchers()], "configure")


def launchers() -> list[str]:
    if not shutil.which("ccache"):
        return []
    return [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")]


def run(command: list[str], what: str) -> str:
    """Runs a step in the tree; returns what it said if it failed."""
    with open(SCRATCH / f"{what}.log", "w+", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=TREE, stdout=log, stderr=subprocess.STDOUT,
                              env=os.environ | {"GIT_CEILING_DIRECTORIES": str(SCRATCH)},
                              timeout=BUILD_DEADLINE, check=False)
        log.seek(0)
        said = log.read()
    if done.returncode and what == "configure":
        raise Broken(f"cannot {what}; see {log.name}")
    return said if done.returncode else ""


def jobs() -> list[Job]:
    """What is looked at: sources of the rooms that the host's tests are built from, and the
    rooms' headers."""
    commands = json.loads((TREE / "build/host/compile_commands.json").read_text())
    arguments: dict[str, list[str]] = {}
    for command in commands:
        name = str(pathlib.Path(command["file"]).relative_to(TREE))
        if in_room(name) and name.endswith(".cc"):
            arguments.setdefault(name, cpp.arguments_of(shlex.split(command["command"])))
    by_folder = {str(pathlib.Path(name).parent): given for name, given in arguments.items()}
    for name in sources():
        folder = str(pathlib.Path(name).parent)
        if in_room(name) and name.endswith(".h") and folder in by_folder and has_code(name):
            arguments[name] = by_folder[folder]
    # Sources are those of the checkout; what a build has made is only in the copy.
    return [Job(name, [re.sub(rf"{re.escape(str(TREE))}(?!/build/)", str(ROOT), word)
                       for word in given])
            for name, given in sorted(arguments.items())]


def has_code(header: str) -> bool:
    return re.search(r"[;{]\s*(return|if|for|while)\b", (ROOT / header).read_text()) is not None


def in_room(name: str) -> bool:
    return name.startswith(tuple(f"{room}/" for room in ROOMS))


def look(job: Job) -> tuple[Job, list[Mutant]]:
    """Finds a file's mutants, numbered from 0, and leaves out those that do not compile."""
    path, text = ROOT / job.file, (ROOT / job.file).read_bytes()
    arguments = [*job.arguments, "-include", str(ROOT / SWITCH)]
    unit = cpp.parse(path, arguments)
    if job.file.endswith(".h") and any(each.severity >= 3 for each in unit.diagnostics):
        return job, []  # It is for another machine.
    mutants = cpp.Finder(job.file, text).find(unit)
    for number, mutant in enumerate(mutants):
        mutant.number = number
    for _ in range(TRIES):
        writer = Writer(text)
        written = writer.write(mutants)
        unit.reparse([(str(path), written.decode())])
        errors = [place.location for each in unit.diagnostics if each.severity >= 3
                  for place in (each, *each.children)]
        if not errors:
            return job, mutants
        bad = {mutant.number for place in errors
               if place.file is not None and place.file.name == str(path)
               for mutant in at_fault(writer, place.line, place.column)}
        if not bad:  # An array may have become one whose length is not constant.
            bad = {int(number) for each in unit.diagnostics
                   for number in re.findall(r"::mutation::On\((\d+)\)", each.spelling)}
        if not bad:  # It is a constant, and one of these is in what makes it.
            bad = {mutant.number for mutant in mutants if mutant.constant}
        if not bad:
            break
        mutants = [mutant for mutant in mutants if mutant.number not in bad]
    raise Broken(f"{job.file}: does not compile: {unit.diagnostics[0]}")


def key_function() -> Callable[[Job], str]:
    """Returns a function whose result differs when a file may have other mutants."""
    names = [name for name in sources() if in_room(name) and name.endswith(".h")]
    here = pathlib.Path(__file__).parent
    common = b"".join(path.read_bytes() for path in [
        *(ROOT / name for name in names), ROOT / SWITCH, here / "cpp.py", here / "rewrite.py"])

    def key(job: Job) -> str:
        return hashlib.sha256(repr(job).encode() + (ROOT / job.file).read_bytes() +
                              common).hexdigest()
    return key


def find(wanted: Callable[[str], bool], processes: int) -> list[Mutant]:
    """Returns all C++ mutants of wanted files, which are in the tree afterwards."""
    TREE.mkdir(parents=True, exist_ok=True)
    if not (TREE / "build/host/build.ninja").exists():
        copy_sources()
        configure()
    if said := run(["cmake", "--build", "--preset", "host", "--target", "generated"], "generated"):
        raise Broken(f"cannot make the headers that are made: {said}")
    every = jobs()
    work = [job for job in every if wanted(job.file)]
    if not work:
        return []
    known = pickle.loads(LOOKED.read_bytes()) if LOOKED.exists() else {}
    keys = dict(zip((job.file for job in work), map(key_function(), work)))
    with multiprocessing.Pool(processes) as pool:
        for found in pool.imap_unordered(look, [job for job in work
                                                if keys[job.file] not in known]):
            known[keys[found[0].file]] = found[1]
            LOOKED.write_bytes(pickle.dumps(known))
    copy_sources(but=keys)
    places = {job.file: place for place, job in enumerate(every)}
    if len(places) * PER_FILE > MOST:
        raise Broken("too many files for the numbers of mutants")
    mutants: list[Mutant] = []
    for job in work:
        of_file = known[keys[job.file]][:PER_FILE]
        for mutant in of_file:
            mutant.number += places[job.file] * PER_FILE
        write(TREE / job.file, Writer((ROOT / job.file).read_bytes()).write(of_file))
        mutants += of_file
    return mutants


def build(mutants: list[Mutant]) -> list[Mutant]:
    """Builds the tests. Returns the mutants that are in them: the compiler may like fewer than
    libclang did."""
    for _ in range(TRIES):
        said = run(["cmake", "--build", "--preset", "host", "--", "-k", "0"], "build")
        if not said:
            return mutants
        bad: set[int] = set()
        for file, line, column in set(re.findall(
                rf"^(?:{re.escape(str(TREE))}/)?(\S+?):(\d+):(\d+): error", said, re.MULTILINE)):
            of_file = [mutant for mutant in mutants if mutant.file == file]
            if of_file:
                writer = Writer((ROOT / file).read_bytes())
                writer.write(of_file)
                bad |= {each.number for each in at_fault(writer, int(line), int(column))}
        if not bad:
            break
        mutants = [mutant for mutant in mutants if mutant.number not in bad]
        for file in {mutant.file for mutant in mutants}:
            writer = Writer((ROOT / file).read_bytes())
            write(TREE / file, writer.write([each for each in mutants if each.file == file]))
    raise Broken(f"the tests with mutants do not build; see {SCRATCH / 'build.log'}")
