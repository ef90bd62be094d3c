# SPDX-License-Identifier: Apache-2.0
"""Runs a command on an arm64 machine that QEMU emulates."""

import argparse
import contextlib
import errno
import os
import pathlib
import re
import select
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterable
from typing import Callable

from parkvmm.debian import kernels
from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure
from parkvmm.host import saved
from parkvmm.host.booting import (BOOT, NotRestored, NotSaved, boot_and_save, connection,
                                  open_saved, restore)
from parkvmm.host.contents import HOST_UNPACK, base_archive
from parkvmm.host.machine import label, qemu_command, qemu_version
from parkvmm.host.messages import (BOOT_NOTICE, OUTPUT_LIMIT, how_qemu_ended, overdue, say,
                                   show_console)
from parkvmm.host.outputs import Tail
from parkvmm.host.payload import write_parts
from parkvmm.host.qmp import Monitor
from parkvmm.host.results import unpack
from parkvmm.host.scratch import scratch_folder
from parkvmm.host.session import Session
from parkvmm.paths import BUSYBOX, SCRATCH, remedy
from parkvmm.process import child

POLL = 0.01  # seconds between looks at the output files
GRACE = 10.0  # seconds for a command that was asked to end


def run_emulated(options: argparse.Namespace, deadline: float,
                 session: Session | None = None) -> int:
    session = session or Session(options)
    options.host_kernel = kernels.path_of(options.host_kernel)
    for path in (options.host_kernel, BUSYBOX):
        if not path.exists():
            raise Failure(UNAVAILABLE, f"{path} is missing; {remedy('tools/setup')}")
    if not HOST_UNPACK.exists():
        raise Failure(UNAVAILABLE, f"{HOST_UNPACK} is missing; "
                      f"{remedy('tools/build arm64')}")
    version = qemu_version()
    make_scratch()
    with scratch_folder(SCRATCH, "arm64-host.", session.mend) as run:
        say(f"emulated by QEMU {version}, {options.cpu_model}, {options.cpus} CPUs, "
            f"GICv{options.gic}, label {label(options)}")
        if options.cpu_model == "max":
            say("Linux 6.12's kexec panics with the 52-bit addresses of --cpu-model max; a guest's "
                "-p arm64.nolva avoids that")
        initramfs = base_archive(options, run)
        parts = write_parts(session.tree(run), run)
        (run / "console").touch()
        try:
            return run_command(options, run, initramfs, parts, deadline, session)
        except Failure:
            show_console(run / "console")
            raise
        finally:
            with contextlib.suppress(OSError):  # The status matters more.
                shutil.copyfile(run / "console",
                                (options.out or SCRATCH) / "host-console.log")
            take_results(options, run / "results")


def make_scratch() -> None:
    """Makes the folder for what is written while a host runs. Raises Failure if nothing can be."""
    try:
        SCRATCH.mkdir(parents=True, exist_ok=True)
        if not os.access(SCRATCH, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        what = remedy("it in a clone of your own",
                      "set XDG_CACHE_HOME to a folder that you may write to")
        raise Failure(UNAVAILABLE, f"cannot write to {SCRATCH}: {error.strerror}; {what}") from None


def take_results(options: argparse.Namespace, archive: pathlib.Path) -> None:
    """Unpacks what the command left in $RESULTS, if it was asked for and has arrived."""
    if not options.out or not archive.exists() or not archive.stat().st_size:
        return
    try:
        unpack(archive, options.out)
    except (tarfile.TarError, OSError) as error:
        raise Failure(INTERNAL, f"cannot unpack $RESULTS: {error}") from None


def run_command(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
                parts: list[pathlib.Path], deadline: float, session: Session) -> int:
    """Runs the command in a saved host, which is made if there is none, or in one that boots."""
    try:
        if not options.cold and not options.disk:
            return run_saved(options, run, initramfs, parts, deadline, session)
    except (NotSaved, NotRestored) as error:
        # Virtual time would be another one than in every other run.
        if options.deterministic:
            raise Failure(INTERNAL, f"{error}; --cold does without a saved host") from None
        say(f"{error}; booting without a saved host")
    with session.connected() as sockets, connection() as (orders, theirs):
        def prepare() -> None:
            theirs.close()
            session.begin()

        if options.live or not options.deterministic:  # Virtual time is as it always was.
            sockets["poke"] = theirs.fileno()
            session.orders = orders
        command = qemu_command(options, run, initramfs, parts=parts, sockets=sockets)
        return watch(options, run, command, deadline, session, prepare, sockets.values())


def run_saved(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
              parts: list[pathlib.Path], deadline: float, session: Session) -> int:
    """Raises NotSaved or NotRestored before the command has begun."""
    key = saved.key_of(options, initramfs)
    host = open_saved(key)
    if host:
        with host:
            try:
                return run_restored(options, run, initramfs, parts, deadline, session, host)
            except NotRestored as error:
                say(f"the saved host {host.path} is not used: {error}; booting afresh")
                host.remove()
    boot_and_save(options, run, initramfs, deadline)
    try:
        host = saved.SavedHost(key)
    except (saved.Damaged, OSError) as error:
        raise NotRestored(f"{saved.path_of(key)} was written, and is gone: {error}") from None
    with host:
        return run_restored(options, run, initramfs, parts, deadline, session, host)


def run_restored(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
                 parts: list[pathlib.Path], deadline: float, session: Session,
                 host: saved.SavedHost) -> int:
    with connection() as (ours, theirs), connection() as (our_poke, their_poke), \
            session.connected() as more:
        def prepare() -> None:
            theirs.close()
            their_poke.close()
            session.begin()
            restore(Monitor(ours), None if options.deterministic else our_poke, host, deadline)
            session.orders = our_poke

        sockets = {"monitor": theirs.fileno(), "poke": their_poke.fileno(), **more}
        command = qemu_command(options, run, initramfs, parts=parts, sockets=sockets,
                               restored=True)
        return watch(options, run, command, deadline, session, prepare, sockets.values())


def watch(options: argparse.Namespace, run: pathlib.Path, command: list[str], deadline: float,
          session: Session, prepare: Callable[[], None], descriptors: Iterable[int] = ()) -> int:
    """Passes the command's output on as it comes. Returns its exit status.

    QEMU inherits the descriptors. `prepare` is called once it has been started. A command that
    does not end in time is asked to, if the session can ask, so that its results are not lost.
    """
    tails = session.tails(run)
    (run / "control").touch()
    with open(run / "qemu.log", "wb") as log, child(
            command, file_limit=OUTPUT_LIMIT, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, pass_fds=list(descriptors)) as qemu:
        prepare()
        try:
            return follow(options, run, deadline, session, tails, qemu)
        except BaseException:
            session.give_up(tails)
            raise


def follow(options: argparse.Namespace, run: pathlib.Path, deadline: float, session: Session,
           tails: list[Tail], qemu: subprocess.Popen[bytes]) -> int:
    """Is the part of `watch` that goes round and round."""
    begun = time.monotonic()
    notice = begun + BOOT_NOTICE
    late: Failure | None = None
    ended = select.poll()
    ended.register(os.pidfd_open(qemu.pid), select.POLLIN)
    while True:
        # The order matters. Output that came before QEMU was seen to be gone, or before
        # the status was read, is passed on below.
        gone = session.wait(ended, POLL)
        said = (run / "control").read_text()
        started = said.startswith("started\n")
        for tail in tails:
            tail.pump()
        session.look(tails, started)
        if match := re.search(r"^status (\d+)\n", said, re.MULTILINE):
            status = session.finish(tails, int(match[1]), deadline)
            if late:
                raise late
            return status
        stage = "the command to end" if started else BOOT
        if gone:
            raise late or Failure(INTERNAL, how_qemu_ended(qemu.wait(), stage, run))
        now = time.monotonic()
        if now > deadline:
            late, again = overdue(options, stage), late
            if again or not started or not session.order("signal TERM"):
                raise late
            deadline = now + GRACE
        if not started and now > notice:
            say(f"the host is still booting after {now - begun:.0f} s")
            notice = now + BOOT_NOTICE
