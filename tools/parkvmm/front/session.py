# SPDX-License-Identifier: Apache-2.0
"""A call of `vmm` in the emulated host: its stdin, terminal, signals and files."""

import argparse
import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import stat
import time
from collections.abc import Iterator

from parkvmm.cpio import Tree
from parkvmm.failure import INTERRUPTED, OUTPUT_LOST
from parkvmm.front.contents import script, tree_of
from parkvmm.front.files import Files, Output
from parkvmm.front.terminal import Keys, Terminal, is_ours, size_of
from parkvmm.host.booting import connection
from parkvmm.host.messages import say
from parkvmm.host.outputs import Sink, Tail, drain, replace
from parkvmm.host.session import Session

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0  # seconds for whoever reads an output, once the run is over
HASTE = 0.5  # the same if somebody asked for the end
KEYS_GRACE = 0.3  # seconds for vmm to see ctrl-a x by itself
ASKED_GRACE = 10.0  # seconds for vmm to end once it was told to
TYPED_LIMIT = 1 << 20  # bytes of a terminal that wait for the guest; more are dropped
SIGNALLED = 128  # plus a signal's number: a shell's status of what it ended
PIPED_LIMIT = 1 << 16
TREE_MAGIC = b"\xd0\x0d\xfe\xed"


class Interrupted(BaseException):
    """A signal came before vmm ran, or a second one: nothing is waited for."""


class LateSink(Sink):
    """A file that is opened when the first byte is written to it."""

    def __init__(self, path: str, append: bool = False) -> None:
        self._path = path
        self._start = os.O_APPEND if append else os.O_TRUNC
        self._opened: int | None = None

    def write(self, data: bytes) -> int:
        if self._opened is None:
            try:
                self._opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | self._start
                                       | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
            except OSError:
                if is_pipe(self._path):  # Nobody reads it yet.
                    return 0
                raise
        try:
            return os.write(self._opened, data)
        except BlockingIOError:
            return 0


def is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def is_whole(path: pathlib.Path) -> bool:
    """Whether a file is a whole device tree blob or JSON document, whoever was ended writing it."""
    content = path.read_bytes()
    if content[:4] == TREE_MAGIC:
        return int.from_bytes(content[4:8], "big") == len(content)
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


class Front(Session):
    """Has the caller's stdin and terminal, and says what signals say.

    A command that does not read gets no stdin, and leaves the terminal alone.
    """

    def __init__(self, options: argparse.Namespace, files: Files, reads: bool = True,
                 program: str = "vmm") -> None:
        super().__init__(options)
        self._program = program
        self._files = files
        self._terminal: Terminal | None = None
        self._source = ""
        if reads and not options.deterministic:
            self._source = "tty" if is_ours(0) else "" if os.isatty(0) else "pipe"
        if files.command and not files.tty:
            self._source = "pipe" if self._source else ""
        if self._source == "tty":
            self._terminal = Terminal(0)
        self._keys = Keys()
        self._stdin: socket.socket | None = None  # our end
        self._ends: list[socket.socket] = []  # QEMU's
        self._typed = b""  # read, and not yet taken
        self._open = bool(self._source)
        self._begun: float | None = None
        self._asked: float | None = None  # when somebody asked for the end
        self._told = False  # vmm was told so
        self._run = pathlib.Path()
        self._size = 0, 0  # the window's, as the script says it

    # --- what goes in ---------------------------------------------------------

    def tree(self, run: pathlib.Path) -> Tree:
        self._run = run
        self._size = size_of(0)
        text = script(self._program, self._files, self._source, self._size,
                      self.options.deterministic)
        return tree_of(text, self._files, run)

    @contextlib.contextmanager
    def connected(self) -> Iterator[dict[str, int]]:
        with connection() as (stdin, their_stdin), connection() as (tty, their_tty):
            self._stdin = tty if self._source == "tty" else stdin
            self._stdin.setblocking(False)
            self._ends = [their_stdin, their_tty]
            yield {"stdin": their_stdin.fileno(), "tty": their_tty.fileno()}

    def begin(self) -> None:
        for end in self._ends:
            end.close()

    def tails(self, run: pathlib.Path) -> list[Tail]:
        for number in range(len(self._files.outputs)):
            (run / f"file{number}").touch()
        return super().tails(run) + [
            Tail(run / f"file{number}", LateSink(output.path, output.append), output.name)
            for number, output in enumerate(self._files.outputs) if not output.whole]

    # --- while it runs --------------------------------------------------------

    def on_signal(self, number: int, _frame: object) -> None:
        """Forwards a signal to vmm, once it runs. The second one ends everything."""
        if self._begun is None or self._asked is not None:
            raise Interrupted(number)
        self.ask(signal.Signals(number).name.removeprefix("SIG"))

    def on_resize(self, _number: int, _frame: object) -> None:
        size = size_of(0)
        if self._terminal and self._begun is not None and all(size) and size != self._size:
            self._size = size
            self.order(f"size {size[0]} {size[1]}")

    def ask(self, name: str) -> None:
        self._asked = time.monotonic()
        self._told = self.order(f"signal {name}")

    def wait(self, ended: select.poll, seconds: float) -> bool:
        poll = select.poll()
        # A terminal is always read: ctrl-a x may come.
        if self._open and self._begun is not None and (
                self._terminal or len(self._typed) < PIPED_LIMIT):
            poll.register(0, select.POLLIN)
        if self._typed and self._stdin:
            poll.register(self._stdin, select.POLLOUT)
        events = dict(poll.poll(seconds * 1000))
        if 0 in events:
            self._read()
        if self._stdin and self._stdin.fileno() in events:
            self._send()
        self._output_of_tty()
        return super().wait(ended, 0)

    def _read(self) -> None:
        try:
            data = os.read(0, 1 << 14)
        except BlockingIOError:
            return
        except OSError:  # The terminal has hung up.
            data = b""
        if not data:
            self._open = False
            self._close_if_done()
            return
        if self._terminal and self._keys.quits(data) and self._asked is None:
            self._asked = time.monotonic()
        if len(self._typed) < TYPED_LIMIT:
            self._typed += data
            self._send()

    def _send(self) -> None:
        try:
            while self._typed and self._stdin:
                self._typed = self._typed[self._stdin.send(self._typed):]
        except BlockingIOError:
            return
        except OSError:  # QEMU is gone.
            self._typed = b""
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._open and not self._typed and self._stdin and not self._terminal:
            with contextlib.suppress(OSError):
                # Half of it: QEMU forgets what is unread once the whole connection is closed.
                self._stdin.shutdown(socket.SHUT_WR)
            self._stdin = None

    def _output_of_tty(self) -> None:
        """Drops what the emulated host's terminal says: vmm's stdout goes another way."""
        if self._terminal and self._stdin:
            with contextlib.suppress(OSError):
                self._stdin.recv(1 << 16)

    def look(self, tails: list[Tail], started: bool) -> None:
        now = time.monotonic()
        if started and self._begun is None:
            self._begun = now
            if self._terminal:
                self._terminal.make_raw()
            self.on_resize(signal.SIGWINCH, None)  # It may have changed meanwhile.
        if self._asked is None:
            return
        if not self._told and now > self._asked + KEYS_GRACE:
            self._told = True
            self.order("signal INT")
        if now > self._asked + ASKED_GRACE:
            raise Interrupted(signal.SIGKILL)

    # --- how it ends ------------------------------------------------------------

    def finish(self, tails: list[Tail], status: int, deadline: float) -> int:
        self.restore()
        now = time.monotonic()
        until = now + HASTE if self._asked is not None else max(
            now + PATIENCE, min(deadline, (self._begun or now) + self.options.vmm_timeout))
        slow = drain(tails, until)
        wrong = [f"cannot write {tail.name}: {tail.error.strerror}" for tail in tails
                 if tail.error]
        if self._asked is None:
            wrong += [f"cannot write {tail.name}: nobody reads it" for tail in slow]
        wrong += filter(None, map(self._deliver, enumerate(self._files.outputs)))
        for line in wrong:
            say(f"error: {line}")
        if self._asked is not None and status > SIGNALLED:
            status = INTERRUPTED  # Whoever heard it before vmm did was the shell.
        return status or (OUTPUT_LOST if wrong else 0)

    def _deliver(self, numbered: tuple[int, Output]) -> str:
        """Puts what was written in the place of a file. Returns what went wrong."""
        number, output = numbered
        content = self._run / f"file{number}"
        if not output.whole or not content.stat().st_size:
            return ""
        try:
            replace(content, os.path.realpath(output.path))
        except OSError as error:
            return f"cannot write {output.name}: {error.strerror}"
        return ""

    def give_up(self, tails: list[Tail]) -> None:
        self.restore()
        drain(tails, time.monotonic() + HASTE)
        for number, output in enumerate(self._files.outputs):
            if is_whole(self._run / f"file{number}"):
                self._deliver((number, output))

    def restore(self) -> None:
        if self._terminal:
            self._terminal.restore()

    mend = restore
