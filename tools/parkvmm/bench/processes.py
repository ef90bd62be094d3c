# SPDX-License-Identifier: Apache-2.0
"""Starts processes from several threads, and ends them when a signal asks for that."""

import contextlib
import os
import signal
import subprocess
import threading
from typing import Any

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
TASK_DONE = 0  # No signal has this number.


class Events:
    """What the main thread waits for: signals that ask us to end, and tasks that
    are done.

    A context; call it from the main thread. Both arrive as bytes in one pipe. No
    exception is raised at a place that does not expect it, and no signal is lost:
    one that comes just before Python waits for a lock is not seen until the lock
    is free. A signal that is ignored stays ignored.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)  # As set_wakeup_fd() wants it.

    def __enter__(self) -> "Events":
        self._before = {number: signal.getsignal(number) for number in SIGNALS
                        if signal.getsignal(number) != signal.SIG_IGN}
        self._wakeup = signal.set_wakeup_fd(self._in)
        for number in self._before:
            signal.signal(number, lambda _number, _frame: None)  # The byte is what counts.
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._out)
        os.close(self._in)

    def task_done(self, _future: object) -> None:
        """Says that a task is done; any thread may."""
        os.write(self._in, bytes([TASK_DONE]))

    def wait(self) -> int:
        """Blocks until there is one: TASK_DONE, or a signal's number."""
        return os.read(self._out, 1)[0]


class Processes:
    """What runs now. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._ended = False

    def start(self, words: list[str], **keywords: Any) -> subprocess.Popen:
        """Starts a process in a session of its own. It is told to end when the
        calling thread dies, so SIGKILL to us leaves nothing behind; after end_all()
        it ends at once."""
        with self._lock:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *words],
                                       start_new_session=True, **keywords)
            self._running.add(process)
            if self._ended:
                self.end(process)
            return process

    def forget(self, process: subprocess.Popen) -> None:
        """Drops a process that was waited for: its number may be another's soon."""
        with self._lock:
            self._running.discard(process)

    def end_all(self) -> None:
        """Ends what runs, and whatever is started from now on."""
        with self._lock:
            self._ended = True
            for process in self._running:
                self.end(process)

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        """Ends a process and all of its session, so that its machine goes too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
