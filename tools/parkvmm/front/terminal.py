# SPDX-License-Identifier: Apache-2.0
"""The caller's terminal."""

import fcntl
import os
import struct
import termios

ESCAPE, QUIT = b"\x01", b"x"  # ctrl-a x, as in vmm/run/terminal.h


def is_ours(descriptor: int) -> bool:
    """Whether it is a terminal, and this process is in its foreground."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def size_of(descriptor: int) -> tuple[int, int]:
    """Returns rows and columns, 0 where they are not known."""
    try:
        rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(
            descriptor, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0
    return rows, columns


class Terminal:
    """Puts a terminal into raw mode and back. Lines that we print keep their line ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def make_raw(self) -> None:
        """Does what cfmakeraw(3) does, but for the output."""
        iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(self._descriptor)
        iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
                   | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        oflag |= termios.OPOST | termios.ONLCR
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG
                   | termios.IEXTEN)
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        cc = list(cc)
        cc[termios.VMIN], cc[termios.VTIME] = 1, 0
        self._set([iflag, oflag, cflag, lflag, ispeed, ospeed, cc])

    def restore(self) -> None:
        self._set(self._before)

    def _set(self, attributes: list) -> None:
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
        except termios.error:  # It is gone.
            pass


class Keys:
    """Sees ctrl-a x in what is typed."""

    def __init__(self) -> None:
        self._escaped = False

    def quits(self, typed: bytes) -> bool:
        for key in typed:
            if self._escaped and key == QUIT[0]:
                return True
            self._escaped = not self._escaped and key == ESCAPE[0]
        return False
