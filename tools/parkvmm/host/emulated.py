# SPDX-License-Identifier: Apache-2.0
"""Runs a command on an arm64 machine that QEMU emulates."""

import argparse
import contextlib
import os
import pathlib
import re
import select
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from typing import Callable

from parkvmm.debian import kernels
from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure
from parkvmm.host import saved
from parkvmm.host.booting import (BOOT, NotRestored, NotSaved, boot_and_save, connection,
                                  open_saved, restore)
from parkvmm.host.contents import HOST_UNPACK, base_archive, payload_tree
from parkvmm.host.machine import label, qemu_command, qemu_version
from parkvmm.host.messages import (BOOT_NOTICE, OUTPUT_LIMIT, how_qemu_ended, overdue, say,
                                   show_console)
from parkvmm.host.payload import write_parts
from parkvmm.host.qmp import Monitor
from parkvmm.host.results import unpack
from parkvmm.paths import BUSYBOX, SCRATCH
from parkvmm.process import child

POLL = 0.01  # seconds between looks at the output files


class Tail:
    """Passes a file on to a descriptor as it grows."""

    def __init__(self, path: pathlib.Path, target: int) -> None:
        path.touch()
        self._source = open(path, "rb", buffering=0)
        self._target = target

    def pump(self) -> None:
        while data := self._source.read(1 << 16):
            while data:
                data = data[os.write(self._target, data):]


def run_emulated(options: argparse.Namespace, deadline: float) -> int:
    options.host_kernel = kernels.path_of(options.host_kernel)
    for path in (options.host_kernel, BUSYBOX):
        if not path.exists():
            raise Failure(UNAVAILABLE, f"{path} is missing; run tools/setup")
    if not HOST_UNPACK.exists():
        raise Failure(UNAVAILABLE, f"{HOST_UNPACK} is missing; run tools/build arm64")
    version = qemu_version()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="arm64-host.", dir=SCRATCH) as name:
        run = pathlib.Path(name)
        say(f"emulated by QEMU {version}, {options.cpu_model}, {options.cpus} CPUs, "
            f"GICv{options.gic}, label {label(options)}")
        initramfs = base_archive(options, run)
        parts = write_parts(payload_tree(options, run), run)
        (run / "console").touch()
        try:
            status = run_command(options, run, initramfs, parts, deadline)
        except Failure:
            show_console(run / "console")
            raise
        finally:
            with contextlib.suppress(OSError):  # The status matters more.
                shutil.copyfile(run / "console",
                                (options.out or SCRATCH) / "host-console.log")
        if options.out:
            try:
                unpack(run / "results", options.out)
            except (tarfile.TarError, OSError) as error:
                raise Failure(INTERNAL, f"cannot unpack $RESULTS: {error}") from None
        return status


def run_command(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
                parts: list[pathlib.Path], deadline: float) -> int:
    """Runs the command in a saved host, which is made if there is none, or in one that boots."""
    try:
        if not options.cold and not options.disk:
            return run_saved(options, run, initramfs, parts, deadline)
    except (NotSaved, NotRestored) as error:
        # Virtual time would be another one than in every other run.
        if options.deterministic:
            raise Failure(INTERNAL, f"{error}; --cold does without a saved host") from None
        say(f"{error}; booting without a saved host")
    return watch(options, run, qemu_command(options, run, initramfs, parts=parts), deadline)


def run_saved(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
              parts: list[pathlib.Path], deadline: float) -> int:
    """Raises NotSaved or NotRestored before the command has begun."""
    key = saved.key_of(options, initramfs)
    host = open_saved(key)
    if host:
        with host:
            try:
                return run_restored(options, run, initramfs, parts, deadline, host)
            except NotRestored as error:
                say(f"the saved host {host.path} is not used: {error}; booting afresh")
                host.remove()
    boot_and_save(options, run, initramfs, deadline)
    try:
        host = saved.SavedHost(key)
    except (saved.Damaged, OSError) as error:
        raise NotRestored(f"{saved.path_of(key)} was written, and is gone: {error}") from None
    with host:
        return run_restored(options, run, initramfs, parts, deadline, host)


def run_restored(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path,
                 parts: list[pathlib.Path], deadline: float, host: saved.SavedHost) -> int:
    with connection() as (ours, theirs), connection() as (our_poke, their_poke):
        def prepare() -> None:
            theirs.close()
            their_poke.close()
            restore(Monitor(ours), None if options.deterministic else our_poke, host, deadline)

        command = qemu_command(options, run, initramfs, parts=parts, monitor=theirs.fileno(),
                               poke=their_poke.fileno(), restored=True)
        return watch(options, run, command, deadline, prepare,
                     [theirs.fileno(), their_poke.fileno()])


def watch(options: argparse.Namespace, run: pathlib.Path, command: list[str], deadline: float,
          prepare: Callable[[], None] | None = None, descriptors: Sequence[int] = ()) -> int:
    """Passes the command's output on as it comes. Returns its exit status.

    QEMU inherits the descriptors. `prepare` is called once it has been started.
    """
    tails = [Tail(run / "stdout", 1), Tail(run / "stderr", 2)]
    control = run / "control"
    control.touch()
    begun = time.monotonic()
    notice = begun + BOOT_NOTICE
    with open(run / "qemu.log", "wb") as log, child(
            command, file_limit=OUTPUT_LIMIT, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, pass_fds=descriptors) as qemu:
        if prepare:
            prepare()
        ended = select.poll()
        ended.register(os.pidfd_open(qemu.pid), select.POLLIN)
        while True:
            # The order matters. Output that came before QEMU was seen to be gone, or before
            # the status was read, is passed on below.
            gone = bool(ended.poll(POLL * 1000))
            said = control.read_text()
            for tail in tails:
                tail.pump()
            if match := re.search(r"^status (\d+)\n", said, re.MULTILINE):
                return int(match[1])
            started = said.startswith("started\n")
            stage = "the command to end" if started else BOOT
            if gone:
                raise Failure(INTERNAL, how_qemu_ended(qemu.wait(), stage, run))
            now = time.monotonic()
            if now > deadline:
                raise overdue(options, stage)
            if not started and now > notice:
                say(f"the host is still booting after {now - begun:.0f} s")
                notice = now + BOOT_NOTICE
