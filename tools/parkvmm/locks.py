# SPDX-License-Identifier: Apache-2.0
"""Keeps two of our programs apart."""

import contextlib
import fcntl
import pathlib
import time
from collections.abc import Iterator
from typing import Callable

from parkvmm.failure import TRY_LATER, Failure

POLL = 0.2  # seconds between two tries


@contextlib.contextmanager
def held(path: pathlib.Path, deadline: float, say: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock for the block. Waits up to `deadline` seconds for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:  # Closing it frees the lock.
        end = time.monotonic() + deadline
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    say(f"waiting up to {deadline:.0f} s for another process that holds {path}")
                told = True
                if time.monotonic() > end:
                    raise Failure(TRY_LATER, f"waited {deadline:.0f} s for another process that "
                                  f"holds {path}") from None
                time.sleep(POLL)
        yield


@contextlib.contextmanager
def alone_in(folder: pathlib.Path, who: str) -> Iterator[None]:
    """Holds a folder of results for the block. Raises Failure if another one has it: what the
    two write would be mixed."""
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(TRY_LATER, f"another {who} writes to {folder}; wait for it, or say "
                          "--out for another folder") from None
        yield
