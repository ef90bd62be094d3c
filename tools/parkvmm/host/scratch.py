# SPDX-License-Identifier: Apache-2.0
"""A folder for one run, which is gone after it even if this process is killed."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Callable

DONE = b"x"


def nothing() -> None:
    pass


@contextlib.contextmanager
def scratch_folder(parent: pathlib.Path, prefix: str,
                   mend: Callable[[], None] = nothing) -> Iterator[pathlib.Path]:
    """Yields a new folder.

    Another process waits for this one to end. If it is killed, that process calls `mend` and
    removes the folder.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as name:
        reader, writer = os.pipe()
        janitor = os.fork()
        if not janitor:
            os.close(writer)
            wait_and_mend(reader, name, mend)
        os.close(reader)
        try:
            yield pathlib.Path(name)
        finally:
            with contextlib.suppress(OSError):
                os.write(writer, DONE)
            os.close(writer)
            os.waitpid(janitor, 0)


def wait_and_mend(reader: int, folder: str, mend: Callable[[], None]) -> None:
    """Is the other process. It holds no output of ours open, and hears no ^C."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
        while True:
            try:
                said = os.read(reader, 1)
                break
            except InterruptedError:
                continue
        if said != DONE:
            mend()
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)
