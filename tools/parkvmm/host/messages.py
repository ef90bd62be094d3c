# SPDX-License-Identifier: Apache-2.0
"""Messages of tools/arm64-host."""

import argparse
import contextlib
import pathlib
import re
import select
import shlex
import signal
import sys

from parkvmm.failure import DEADLINE, Failure

OUTPUT_LIMIT = 2 << 30  # bytes that QEMU may write to any one file
PATIENCE = 1.0  # seconds for whoever reads stderr
BOOT_NOTICE = 10.0  # seconds of silence before we say that the host still boots


name = "arm64-host"  # of the command that speaks


def say(message: str) -> None:
    tell(f"{name}: {message}")


def tell(text: str) -> None:
    """Writes a line to stderr. Drops it if stderr is full, or nobody reads it: the exit status
    matters more."""
    ready = select.poll()
    ready.register(2, select.POLLOUT)
    with contextlib.suppress(OSError):
        if ready.poll(PATIENCE * 1000):
            print(text, file=sys.stderr, flush=True)


def overdue(options: argparse.Namespace, what: str) -> Failure:
    starved = ("; in virtual time a CPU that never idles starves another: see docs/guide.md"
               if options.deterministic else "")
    return Failure(DEADLINE, f"waited {options.timeout:g} s for {what} "
                   f"({shlex.join(options.command)}); {options.deadline_option} allows more"
                   f"{starved}")


def how_qemu_ended(status: int, stage: str, run: pathlib.Path) -> str:
    """Returns the reason in words. `stage` says what was awaited."""
    if status == -signal.SIGXFSZ:
        return f"an output grew beyond {OUTPUT_LIMIT >> 30} GiB"
    if status == 0:
        console = (run / "console").read_text(errors="replace")
        panic = re.search(r"Kernel panic.*", console)
        why = f": {panic[0]}" if panic else ""
        return f"the emulated host went down while we waited for {stage}{why}"
    how = f"status {status}" if status > 0 else signal.Signals(-status).name
    log = (run / "qemu.log").read_text(errors="replace")
    reason = log.strip().splitlines()[-1:] or ["it said nothing"]
    return f"QEMU ended with {how} while we waited for {stage}: {reason[0]}"


def show_console(path: pathlib.Path) -> None:
    lines = path.read_text(errors="replace").splitlines()[-20:]
    if lines:
        say("the emulated host's console ended with")
        for line in lines:
            tell(f"  {line}")
