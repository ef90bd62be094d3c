# SPDX-License-Identifier: Apache-2.0
"""The files of a `vmm run`: whether they can be had, and where they lie in the emulated host.

There a file has the path that it has here, so that words, messages and results are the same.
"""

import dataclasses
import difflib
import os
import stat

from parkvmm import outputs
from parkvmm.failure import USAGE, Failure, FileFailure
from parkvmm.front.folder import size_of
from parkvmm.front.table import INPUTS, KERNEL, OUTPUTS, Kind
from parkvmm.front.words import (SEE, Value, absolute, has_command, replaced, said,
                                 values_of, values_of_config)
from parkvmm.host.machine import FILES
from parkvmm.outputs import cannot, shown

LARGEST = (1 << 32) - 1  # bytes of a file that QEMU's fw_cfg device has
# What is another thing in the emulated host. A file of these folders gets another path there.
FOREIGN = ("/dev/", "/proc/", "/sys/")
# These are the same thing there, so vmm deals with them.
SAME = {"/dev/null", "/dev/full", "/dev/zero", "/dev/stdout", "/dev/stderr", "/dev/fd/1",
        "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2"}


@dataclasses.dataclass(frozen=True)
class Input:
    path: str
    inside: str

    @property
    def is_folder(self) -> bool:
        return os.path.isdir(self.path)

    @property
    def size(self) -> int:
        return size_of(self.path) if self.is_folder else os.path.getsize(self.path)


@dataclasses.dataclass(frozen=True)
class Output:
    path: str
    inside: str
    whole: bool  # a new file takes its place once the run is over
    name: str  # the option, and the file as the caller says it
    append: bool = False  # what is in the file already stays


@dataclasses.dataclass
class Files:
    words: list[str]  # with paths of the emulated host
    values: list[Value]
    inputs: list[Input]
    outputs: list[Output]
    command: bool = False  # The guest runs one,
    tty: bool = False  # and it has a terminal.


def near(path: str) -> str:
    """Returns what to do about a file that is not there."""
    folder, name = os.path.split(absolute(path))
    try:
        found = difflib.get_close_matches(name, os.listdir(folder), 1)
    except OSError:
        return f"there is no folder {shown(folder)}"
    if found:
        return f"did you mean {shown(os.path.join(os.path.dirname(path), found[0]))}?"
    return "check the path" if os.path.isabs(path) else (
        f"relative paths begin in {shown(os.getcwd())}")


def too_large(path: str) -> Failure:
    return Failure(USAGE, f"{shown(path)} is larger than 4 GiB, which the emulated host cannot "
                   "take; use a smaller one")


def check_input(path: str, may_be_folder: bool) -> None:
    """Raises Failure if a file cannot be read, or not taken along."""
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb"):
                pass
    except FileNotFoundError:
        raise cannot("open", path, "No such file or directory", near(path)) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise cannot("open", path, why or "", "check the path and its permissions") from None
    if stat.S_ISDIR(status.st_mode) and may_be_folder:
        if size_of(path) > LARGEST:
            raise too_large(path)
        return
    if stat.S_ISDIR(status.st_mode):
        raise Failure(USAGE, f"{shown(path)} is a directory, not a file; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise Failure(USAGE, f"{shown(path)} is a pipe or device, which the emulated host cannot "
                      "read; write what it holds to a file first")
    if status.st_size > LARGEST:
        raise too_large(path)


def inside_of(value: Value, words: list[str], number: int) -> str:
    """Returns a file's path in the emulated host. A folder is a file there, and others may lie
    in it."""
    path = absolute(value.text)
    if not (os.path.normpath(path).startswith(FOREIGN) or os.path.isdir(path)):
        return path
    other = f"/.host/others/{number}"
    replaced(words, value, other)
    return other


def check_differ(files: Files) -> None:
    """Raises Failure if two files have one path in the emulated host, or an output is another
    file of the run."""
    seen: dict[str, str] = {}
    for path, inside in [(file.path, file.inside) for file in files.inputs]:
        if seen.setdefault(os.path.normpath(inside), os.path.realpath(path)) != (
                os.path.realpath(path)):
            raise Failure(USAGE, f"{shown(path)}: '..' behind a link leads elsewhere in the "
                          "emulated host; say the path without it")
    taken = set(seen.values())
    for output in files.outputs:
        real = os.path.realpath(output.path)
        if real in taken or os.path.normpath(output.inside) in seen:
            raise Failure(USAGE, f"{output.name} is another file of this run; give each its own")
        taken.add(real)


def is_github(value: Value) -> bool:
    return value.option.kind is Kind.FORMAT and value.prefix.endswith(("github", "github:"))


def ask_for_the_steps_summary(words: list[str], values: list[Value]) -> None:
    """Names the file of GitHub's summary, which vmm in the emulated host would not find."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    for value in values if path else []:
        if is_github(value) and not value.text and value.word is not None:
            value.prefix += ":"
            value.text = path or ""
            replaced(words, value, value.text)


def files_of(given: list[str]) -> Files:
    """Returns the files of `vmm run`. Raises Failure if one is missing or cannot be written."""
    words = list(given)
    values = values_of(words)
    files = Files(words, values, [], [])
    if said(values, "--help"):
        return files
    dry = said(values, "--dry-run") == "true"
    for value in values:
        if value.option.kind is Kind.CONFIG and value.text:
            values = [*values, *values_of_config(value.text, values)]
    ask_for_the_steps_summary(words, values)
    files.values = values
    files.command = has_command(given)
    if not dry and not any(value.option is KERNEL for value in values):
        raise Failure(USAGE, "which kernel? vmm run [options] KERNEL [-- COMMAND]; " + SEE)
    for number, value in enumerate(values):
        if not value.text or value.text in SAME:
            continue
        if value.option.kind in INPUTS:
            if dry and value.option is KERNEL and not os.path.exists(value.text):
                continue  # Of such a kernel there is no plan.
            try:
                check_input(value.text, value.option.kind is Kind.ROOT)
            except Failure as failure:
                raise FileFailure(failure.status, str(failure)) from None
            files.inputs.append(Input(absolute(value.text), inside_of(value, words, number)))
        elif value.option.kind in OUTPUTS and not dry and value.text != "-":
            if own := outputs.own_stream(value.text):  # It is not replaced, but gets what comes.
                replaced(words, value, outputs.STREAMS[own])
                continue
            append = is_github(value)
            whole = outputs.check(value.text) and not (
                append or value.option.kind is Kind.STREAM)
            files.outputs.append(Output(absolute(value.text), inside_of(value, words, number),
                                        whole, f"{value.name} {shown(value.text)}", append))
    check_differ(files)
    if len(files.outputs) > FILES:
        raise Failure(USAGE, f"the emulated host has {FILES} outputs at most besides stdout and "
                      "stderr")
    return files
