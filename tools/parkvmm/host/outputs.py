# SPDX-License-Identifier: Apache-2.0
"""Passes a command's outputs on, and waits for no reader."""

import contextlib
import os
import pathlib
import select
import stat
import time
from collections.abc import Sequence

from parkvmm.failure import OUTPUT_LOST, Failure

CHUNK = 1 << 16
ROUNDS = 16  # chunks at most before somebody else has a turn
SURE = 512  # bytes that a descriptor takes at once if poll says that it takes any


class Sink:
    """A descriptor that is written to without waiting for whoever reads it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = False  # a write may wait
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            # Others share the open file, so its flags stay. This opens it once more.
            try:
                self._descriptor = os.open(
                    f"/proc/self/fd/{descriptor}",
                    os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError:  # Nobody reads it, or it belongs to another user.
                self._waits = True
        elif not stat.S_ISREG(kind):
            self._waits = True

    def write(self, data: bytes) -> int:
        """Returns how many bytes were taken, which may be none. Raises OSError."""
        if self._waits:
            ready = select.poll()
            ready.register(self._descriptor, select.POLLOUT)
            if not ready.poll(0):
                return 0
            data = data[:SURE]
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0


class Tail:
    """Passes a file on to a sink as it grows.

    Once the sink fails, `error` says how, and the rest of the file is dropped.
    """

    def __init__(self, path: pathlib.Path, sink: Sink, name: str) -> None:
        path.touch()
        self._source = open(path, "rb", buffering=0)
        self._sink = sink
        self._left = b""  # read, and not yet taken
        self.name = name
        self.error: OSError | None = None

    def pump(self) -> bool:
        """Passes on what the sink takes. Returns whether nothing is left."""
        for _ in range(ROUNDS):
            if not self._left:
                self._left = self._source.read(CHUNK)
            if not self._left:
                return True
            if self.error:
                self._left = b""
                continue
            try:
                taken = self._sink.write(self._left)
            except OSError as error:
                self.error = error
                continue
            if not taken:
                return False
            self._left = self._left[taken:]
        return False


def drain(tails: Sequence[Tail], until: float) -> list[Tail]:
    """Passes on what is left. Returns those whose sinks took too long."""
    while left := [tail for tail in tails if not tail.pump()]:
        if time.monotonic() > until:
            return left
        time.sleep(0.002)
    return []


def lost(name: str, error: OSError) -> Failure:
    return Failure(OUTPUT_LOST, f"cannot write {name}: {error.strerror}")


def replace(source: pathlib.Path, target: str) -> None:
    """Puts a copy of a file in the place of another one, whole or not at all."""
    draft = f"{target}.tmp"
    try:
        with open(source, "rb") as content, open(draft, "wb") as file:
            while data := content.read(CHUNK):
                file.write(data)
        os.rename(draft, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
