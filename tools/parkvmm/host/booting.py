# SPDX-License-Identifier: Apache-2.0
"""Boots an emulated host up to where it can be saved, and lets a saved one go on."""

import argparse
import contextlib
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator

from parkvmm.failure import INTERNAL, Failure
from parkvmm.host import saved
from parkvmm.host.machine import LIVE_SOCKETS, qemu_command
from parkvmm.host.messages import BOOT_NOTICE, OUTPUT_LIMIT, how_qemu_ended, overdue, say
from parkvmm.host.qmp import Gone, Monitor, Refused
from parkvmm.process import child

BOOT = "the emulated host to boot"
STATE_DEADLINE = 120.0  # seconds for QEMU to write or read a state; it takes one


class NotSaved(Exception):
    """A host runs, but its state cannot be saved, for the reason given."""


class NotRestored(Exception):
    """A saved host does not go on, for the reason given. Its command has not begun."""


@contextlib.contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yields our end and QEMU's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def wait_until_it_stops(monitor: Monitor, options: argparse.Namespace, deadline: float) -> None:
    """Waits for a host to boot up to where it stops."""
    begun = time.monotonic()
    notice = begun + BOOT_NOTICE
    while True:
        try:
            monitor.wait_for("WATCHDOG", min(deadline, notice))
            monitor.wait_for("STOP", deadline)
            return
        except TimeoutError:
            now = time.monotonic()
            if now >= deadline:
                raise overdue(options, BOOT) from None
            say(f"the host is still booting after {now - begun:.0f} s")
            notice = now + BOOT_NOTICE


def write_state(monitor: Monitor, descriptor: int) -> None:
    deadline = time.monotonic() + STATE_DEADLINE
    try:
        monitor.call("migrate-set-capabilities", deadline,
                     capabilities=[{"capability": "events", "state": True}])
        monitor.call("migrate-set-parameters", deadline, max_bandwidth=1 << 40)
        monitor.give_file("state", descriptor, deadline)
        monitor.call("migrate", deadline, uri="fd:state")
        while (status := monitor.wait_for("MIGRATION", deadline)["status"]) != "completed":
            if status == "failed":
                why = monitor.call("query-migrate", deadline).get("error-desc", "it says not why")
                raise NotSaved(f"QEMU cannot write its state: {why}")
    except Refused as error:
        raise NotSaved(f"QEMU refuses {error}") from None
    except Gone:
        raise NotSaved("QEMU ended while it wrote its state") from None
    except TimeoutError:
        raise NotSaved(f"waited {STATE_DEADLINE:.0f} s for QEMU to write its state") from None


def boot_and_save(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
                  deadline: float) -> None:
    """Boots a host and saves it. Raises NotSaved if it is up and cannot be saved."""
    key = saved.key_of(options, initramfs)
    with contextlib.ExitStack() as stack:
        ours, theirs = stack.enter_context(connection())
        sockets = {"monitor": theirs.fileno()}
        for name in ("poke", *(LIVE_SOCKETS if options.live else ())):
            sockets[name] = stack.enter_context(connection())[1].fileno()
        log = stack.enter_context(open(run / "qemu.log", "wb"))
        qemu = stack.enter_context(child(
            qemu_command(options, run, initramfs, sockets=sockets), file_limit=OUTPUT_LIMIT,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=list(sockets.values())))
        theirs.close()
        monitor = Monitor(ours)
        try:
            monitor.start(deadline)
            wait_until_it_stops(monitor, options, deadline)
        except TimeoutError:
            raise overdue(options, BOOT) from None
        except Refused as error:
            raise NotSaved(f"QEMU refuses {error}") from None
        except Gone:
            raise Failure(INTERNAL, how_qemu_ended(qemu.wait(), BOOT, run)) from None
        try:
            with saved.draft_of(key) as draft:
                write_state(monitor, draft.fileno())
                if options.deterministic:
                    saved.clear_times(draft)
                saved.keep(draft, key)
        except saved.Damaged as error:
            raise NotSaved(str(error)) from None
        except OSError as error:
            raise NotSaved(f"{error.filename or saved.path_of(key)}: {error.strerror}") from None


def restore(monitor: Monitor, poke: socket.socket | None, host: saved.SavedHost,
            deadline: float) -> None:
    """Lets a saved host go on in a QEMU that waits for one. It waits for a byte from `poke`, or,
    in virtual time, for an alarm."""
    deadline = min(deadline, time.monotonic() + STATE_DEADLINE)
    try:
        monitor.start(deadline)
        monitor.call("migrate-set-capabilities", deadline,
                     capabilities=[{"capability": "events", "state": True}])
        # QEMU announces its network cards, which there are none of, for half a second. Each
        # time it would wake up between two instructions of the host, which can move virtual time.
        monitor.call("migrate-set-parameters", deadline, announce_rounds=1, announce_initial=1,
                     announce_max=1, announce_step=1)
        monitor.give_file("state", host.stream(), deadline)
        monitor.call("migrate-incoming", deadline, uri="fd:state")
        host.check()  # While QEMU reads.
        while (status := monitor.wait_for("MIGRATION", deadline)["status"]) != "completed":
            if status == "failed":
                raise NotRestored("QEMU does not take it")
        if poke:
            poke.sendall(b"\n")
        monitor.call("cont", deadline)
    except saved.Damaged as error:
        raise NotRestored(str(error)) from None
    except Refused as error:
        raise NotRestored(f"QEMU refuses {error}") from None
    except Gone:
        raise NotRestored("QEMU does not take it") from None
    except TimeoutError:
        raise NotRestored("it takes QEMU too long to read it") from None
    except OSError as error:
        raise NotRestored(error.strerror or str(error)) from None


def open_saved(key: str) -> saved.SavedHost | None:
    """Returns the saved host, if there is one that is good as far as can be seen at once."""
    try:
        return saved.SavedHost(key)
    except FileNotFoundError:
        return None
    except (saved.Damaged, OSError) as error:
        say(f"the saved host {saved.path_of(key)} is not used: "
            f"{error.strerror if isinstance(error, OSError) else error}; booting afresh")
        with contextlib.suppress(OSError):
            os.unlink(saved.path_of(key))
        return None
