# SPDX-License-Identifier: Apache-2.0
"""Terminals for programs that a test looks at as a person would."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from arm64_host import ROOT

DEADLINE = 120  # seconds for what is waited for


class Terminal:
    """A terminal of 33 rows and 101 columns, and a program that it belongs to."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 101, 0, 0))
        self._theirs = theirs
        self.before = self.modes()
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def modes(self) -> list:
        return termios.tcgetattr(self._theirs)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def shows(self, what: bytes) -> bytes:
        """Waits for something to be shown. Returns that and all before it."""
        text, end = b"", time.monotonic() + DEADLINE
        while what not in text:
            assert time.monotonic() < end, f"waited {DEADLINE} s for {what!r}: {text!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                text += os.read(self._ours, 1 << 12)
        return text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


class Terminals:
    """All that a test opens."""

    def __init__(self) -> None:
        self._opened: list[Terminal] = []

    def open(self, *words: str) -> Terminal:
        self._opened.append(Terminal(*words))
        return self._opened[-1]

    def close(self) -> None:
        for terminal in self._opened:
            terminal.close()
