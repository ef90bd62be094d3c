# SPDX-License-Identifier: Apache-2.0
"""Files that the user names to be written, as vmm/base/file.h deals with them."""

import argparse
import contextlib
import errno
import os
import pathlib
import select
import stat
import time

from parkvmm.failure import OUTPUT_LOST, USAGE, Failure

PATIENCE = 5  # seconds for the reader of a pipe
AGAIN = 0.02  # seconds until it is looked for again
STREAMS = {1: "/dev/stdout", 2: "/dev/stderr"}


def shown(text: str) -> str:
    """Returns a path on one line and without control characters."""
    return text if text.isprintable() else repr(text)


def cannot(verb: str, path: str, why: str, remedy: str) -> Failure:
    return Failure(USAGE, f"cannot {verb} {shown(path)}: {why}; {remedy}")


def own_stream(path: str) -> int | None:
    """Returns the descriptor of stdout or stderr if that is what a path leads to. Such a file is
    not replaced: this process goes on writing to it."""
    with contextlib.suppress(OSError, ValueError):
        named = os.stat(path)
        for descriptor in STREAMS:
            if os.path.samestat(named, os.fstat(descriptor)):
                return descriptor
    return None


def is_replaceable(path: str) -> bool:
    """Returns whether a new file may take the place of what is there, if anything is."""
    folder = os.path.dirname(os.path.realpath(path))
    return ((os.path.isfile(path) or not os.path.exists(path))
            and os.access(folder, os.W_OK | os.X_OK))


def check(path: str) -> bool:
    """Raises Failure if nothing can be written there. Returns is_replaceable()."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise cannot("write", path, "No such file or directory",
                         f"make the folder {shown(folder)} first") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise cannot("write", path, "Permission denied",
                         f"choose another folder than {shown(folder)}") from None
        return True
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise cannot("write", path, why or "", "choose another path") from None
    if stat.S_ISDIR(kind):
        raise cannot("write", path, "Is a directory", "name a file in it")
    if not os.access(path, os.W_OK):
        raise cannot("write", path, "Permission denied", "choose another path")
    return is_replaceable(path)


def write(path: str, content: bytes) -> None:
    """Writes a file: whole or not at all, if a new one may take its place. OSError if it cannot,
    also if nobody reads a pipe within PATIENCE seconds."""
    own = own_stream(path)
    if own is not None:
        pour(own, content)
    elif is_replaceable(path):
        replace(path, content)
    else:
        descriptor = open_for_writing(path)
        try:
            pour(descriptor, content)
        finally:
            os.close(descriptor)


def argument(text: str) -> pathlib.Path:
    """A type of argparse's: what cannot be written is refused before there is anything to lose."""
    try:
        check(text)
    except Failure as failure:
        raise argparse.ArgumentTypeError(str(failure)) from None
    return pathlib.Path(text)


def save(path: pathlib.Path, content: str) -> None:
    """Writes what a command has found out. Failure says in one line what is lost."""
    lines = lost(path, content)
    if lines:
        raise Failure(OUTPUT_LOST, lines[0])


def lost(path: pathlib.Path, content: str) -> list[str]:
    """Writes it, and returns a line if it could not: for a command that has more to write."""
    try:
        write(str(path), content.encode())
    except OSError as error:
        return [f"cannot write {shown(str(path))}: {error.strerror or error}"]
    return []


def replace(path: str, content: bytes) -> None:
    draft = f"{path}.{os.getpid()}"
    try:
        with open(draft, "wb") as file:
            file.write(content)
        os.replace(draft, os.path.realpath(path))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def open_for_writing(path: str) -> int:
    """Opens what is there already. A pipe has PATIENCE seconds to get its reader."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                raise
            if time.monotonic() >= deadline:
                raise unread() from None
        time.sleep(AGAIN)


def pour(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    reader = select.poll()
    reader.register(descriptor, select.POLLOUT)
    while rest:
        if not reader.poll(PATIENCE * 1000):
            raise unread()
        # A pipe that polls writable takes so much without blocking.
        rest = rest[os.write(descriptor, rest[:select.PIPE_BUF]):]


def unread() -> OSError:
    return OSError(errno.ETIMEDOUT, f"waited {PATIENCE} s for its reader")
