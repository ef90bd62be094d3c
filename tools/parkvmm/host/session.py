# SPDX-License-Identifier: Apache-2.0
"""What surrounds a command in an emulated host: its files, outputs and input."""

import argparse
import contextlib
import pathlib
import select
import socket
from collections.abc import Iterator

from parkvmm.cpio import Tree
from parkvmm.failure import DEADLINE, Failure
from parkvmm.host.contents import payload_tree
from parkvmm.host.outputs import Sink, Tail, drain, lost


class Session:
    """A command of tools/arm64-host: files of the repository, two outputs, no input."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.orders: socket.socket | None = None

    def tree(self, run: pathlib.Path) -> Tree:
        """Returns the command and its files. What has to be written goes into the folder."""
        return payload_tree(self.options, run)

    @contextlib.contextmanager
    def connected(self) -> Iterator[dict[str, int]]:
        """Makes connections with QEMU, and yields descriptors of its ends."""
        yield {}

    def begin(self) -> None:
        """QEMU has been started, and has its ends."""

    def mend(self) -> None:
        """This process was killed: puts right what it has changed. Another process calls it."""

    def order(self, line: str) -> bool:
        """Tells the shell script around the command something. Returns whether it hears."""
        if not self.orders or not (self.options.out or self.options.live):
            return False
        try:
            self.orders.sendall(line.encode() + b"\n")
        except OSError:  # QEMU is gone.
            return False
        return True

    def tails(self, run: pathlib.Path) -> list[Tail]:
        """Returns the outputs."""
        return [Tail(run / "stdout", Sink(1), "stdout"), Tail(run / "stderr", Sink(2), "stderr")]

    def wait(self, ended: select.poll, seconds: float) -> bool:
        """Waits for an event, `seconds` at most. Returns whether QEMU has ended."""
        return bool(ended.poll(seconds * 1000))

    def look(self, tails: list[Tail], started: bool) -> None:
        """Is called after each wait. `started` is whether the command has begun."""
        for tail in tails:
            if isinstance(tail.error, BrokenPipeError):
                raise tail.error
            if tail.error:
                raise lost(tail.name, tail.error)

    def finish(self, tails: list[Tail], status: int, deadline: float) -> int:
        """Passes on what is left once the command has ended. Returns our exit status."""
        slow = drain(tails, deadline)
        self.look(tails, True)
        if slow:
            raise Failure(DEADLINE, f"waited {self.options.timeout:g} s for somebody to read "
                          f"{slow[0].name}")
        return status

    def give_up(self, tails: list[Tail]) -> None:
        """The command has not ended, and nobody waits for it any more."""
