# SPDX-License-Identifier: Apache-2.0
"""Runs a command on an arm64 machine that QEMU emulates."""

import argparse
import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

from parkvmm.debian import kernels
from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure
from parkvmm.host.contents import write_initramfs
from parkvmm.host.machine import label, qemu_command, qemu_version
from parkvmm.host.messages import overdue, say
from parkvmm.host.results import unpack
from parkvmm.paths import BUSYBOX, SCRATCH
from parkvmm.process import child

OUTPUT_LIMIT = 2 << 30  # bytes that a command may write to any one of its outputs
POLL = 0.01  # seconds between looks at the output files
BOOT_NOTICE = 10.0  # seconds of silence before we say that the host still boots


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
    version = qemu_version()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="arm64-host.", dir=SCRATCH) as name:
        run = pathlib.Path(name)
        initramfs = write_initramfs(options, run)
        say(f"emulated by QEMU {version}, {options.cpu_model}, {options.cpus} CPUs, "
            f"GICv{options.gic}, label {label(options)}")
        (run / "console").touch()
        try:
            status = watch(options, run, qemu_command(options, run, initramfs), deadline)
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


def watch(options: argparse.Namespace, run: pathlib.Path, command: list[str],
          deadline: float) -> int:
    """Passes the command's output on as it comes. Returns its exit status."""
    tails = [Tail(run / "stdout", 1), Tail(run / "stderr", 2)]
    control = run / "control"
    control.touch()
    begun = time.monotonic()
    notice = begun + BOOT_NOTICE
    with open(run / "qemu.log", "wb") as log, child(
            command, file_limit=OUTPUT_LIMIT, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log) as qemu:
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
            stage = "the command to end" if started else "the emulated host to boot"
            if gone:
                raise Failure(INTERNAL, how_qemu_ended(qemu.wait(), stage, run))
            now = time.monotonic()
            if now > deadline:
                raise overdue(options, stage)
            if not started and now > notice:
                say(f"the host is still booting after {now - begun:.0f} s")
                notice = now + BOOT_NOTICE


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
        print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
