# SPDX-License-Identifier: Apache-2.0
"""The machine that QEMU emulates."""

import argparse
import functools
import pathlib
import re
import subprocess
from collections.abc import Sequence

from parkvmm.failure import UNAVAILABLE, Failure
from parkvmm.labels import EMULATED, VIRTUAL_TIME

QEMU = "qemu-system-aarch64"


@functools.cache
def full_version() -> str:
    """Returns the first line that QEMU says of itself."""
    try:
        text = subprocess.run([QEMU, "--version"], capture_output=True, text=True,
                              check=True, timeout=30).stdout
    except FileNotFoundError:
        raise Failure(UNAVAILABLE, f"{QEMU} is missing; run tools/setup emulator") from None
    except (subprocess.SubprocessError, OSError) as error:
        raise Failure(UNAVAILABLE, f"{QEMU} does not run: {error}") from None
    return text.partition("\n")[0]


def qemu_version() -> str:
    match = re.search(r"version (\d+\.\d+)", full_version())
    return match[1] if match else "of unknown version"


def label(options: argparse.Namespace) -> str:
    return VIRTUAL_TIME if options.deterministic else EMULATED


def escaped(path: pathlib.Path) -> str:
    """Returns a path as a value in an option of QEMU, which takes two commas for one."""
    return str(path).replace(",", ",,")


def qemu_command(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path, *,
                 parts: Sequence[pathlib.Path] = (), monitor: int | None = None,
                 poke: int | None = None, restored: bool = False) -> list[str]:
    """Returns the command line of a machine that has its files in the folder `run`.

    `parts` are the archive of a command's files. With a monitor, the machine stops where it can
    be saved, and goes on when a byte comes by `poke`; both are sockets' descriptors. A restored
    machine waits for its state.
    """
    # randomize_kstack_offset=off: a random generator that is not ready yet makes
    # every system call 25 times slower.
    parameters = ["console=ttyAMA0", "quiet", "loglevel=4", "panic=-1", "oops=panic",
                  "randomize_kstack_offset=off", f"parkvmm.label={label(options)}"]
    accel = ["-accel", f"tcg,thread={options.threads}"]
    if options.deterministic:
        parameters.append("nokaslr")
        accel = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
                 "-seed", "1", "-rtc", "base=2026-01-01T00:00:00,clock=vm"]
    if options.host_params:
        parameters.append(options.host_params)
    command = [
        QEMU, "-M", f"virt,virtualization=on,gic-version={options.gic}",
        "-cpu", options.cpu_model, "-smp", str(options.cpus), "-m", options.memory,
        *accel, "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
        "-kernel", str(options.host_kernel), "-initrd", str(initramfs),
        "-append", " ".join(parameters),
        "-chardev", f"file,id=console,path={escaped(run)}/console", "-serial", "chardev:console",
        # Without ioeventfd the vCPU thread itself writes the output. It never waits,
        # because the ports end in files. So no other thread disturbs virtual time.
        "-device", "virtio-serial-pci,ioeventfd=off,max_ports=6"]
    if options.disk:
        path = escaped(options.disk.absolute())
        command += ["-drive", f"file={path},if=none,id=disk,format=raw,snapshot=on",
                    "-device", "virtio-blk-pci,drive=disk"]
    for number, name in enumerate(("stdout", "stderr", "control", "results"), 1):
        command += ["-chardev", f"file,id={name},path={escaped(run)}/{name}",
                    "-device", f"virtserialport,nr={number},chardev={name}"]
    for number, part in enumerate(parts):  # fw_cfg sorts them by name.
        command += ["-fw_cfg", f"name=opt/parkvmm/{number:02},file={escaped(part)}"]
    if monitor is not None:
        command += ["-device", "i6300esb", "-device", "i6300esb", "-action", "watchdog=pause",
                    "-chardev", f"socket,id=poke,fd={poke}",
                    "-device", "virtserialport,nr=5,chardev=poke",
                    "-chardev", f"socket,id=monitor,fd={monitor}",
                    "-mon", "chardev=monitor,mode=control"]
    if restored:
        command += ["-incoming", "defer"]
    return command
