# SPDX-License-Identifier: Apache-2.0
"""The machine that QEMU emulates."""

import argparse
import functools
import pathlib
import re
import subprocess
from collections.abc import Mapping, Sequence

from parkvmm.failure import UNAVAILABLE, Failure
from parkvmm.labels import EMULATED, VIRTUAL_TIME
from parkvmm.paths import QEMU_PACKAGE, remedy

QEMU = "qemu-system-aarch64"
# Ports of options.live; init has the others. /dev/hvc0 is the terminal.
LIVE_SOCKETS = ("stdin", "tty")
STDIN_PORT = 6
FILE_PORT = 8  # the first of FILES
FILES = 8


def no_qemu(commands: str = "tools/setup emulator") -> Failure:
    return Failure(UNAVAILABLE, f"{QEMU} is missing; {remedy(commands, QEMU_PACKAGE)}")


@functools.cache
def full_version() -> str:
    """Returns the first line that QEMU says of itself."""
    try:
        text = subprocess.run([QEMU, "--version"], capture_output=True, text=True,
                              check=True, timeout=30).stdout
    except FileNotFoundError:
        raise no_qemu() from None
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


def live_devices(run: pathlib.Path, sockets: Mapping[str, int]) -> list[str]:
    """Returns what a session has besides: a stdin, a terminal and files to write."""
    command = ["-chardev", f"socket,id=stdin,fd={sockets['stdin']}",
               "-device", f"virtserialport,nr={STDIN_PORT},chardev=stdin",
               "-chardev", f"socket,id=tty,fd={sockets['tty']}",
               "-device", "virtconsole,nr=0,chardev=tty"]
    for number in range(FILES):
        command += ["-chardev", f"file,id=file{number},path={escaped(run)}/file{number}",
                    "-device", f"virtserialport,nr={FILE_PORT + number},chardev=file{number}"]
    return command


def cpu_of(model: str) -> str:
    """Returns QEMU's -cpu. A kernel signs a pointer in almost every function, and QARMA takes QEMU
    longer than the function; QEMU 10 has its own algorithm by default."""
    if model.partition(",")[0] == "max" and "pauth" not in model:
        return f"{model},pauth-impdef=on"
    return model


def qemu_command(options: argparse.Namespace, run: pathlib.Path, initramfs: pathlib.Path, *,
                 parts: Sequence[pathlib.Path] = (), sockets: Mapping[str, int] | None = None,
                 restored: bool = False) -> list[str]:
    """Returns the command line of a machine that has its files in the folder `run`.

    `parts` are the archive of a command's files. `sockets` are descriptors by name. With a
    `monitor`, the machine stops where it can be saved, and goes on when a byte comes by `poke`,
    by which the command gets orders afterwards. With `options.live` there are `stdin` and `tty`,
    and ports for more outputs. A restored machine waits for its state.
    """
    sockets = sockets or {}
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
        "-cpu", cpu_of(options.cpu_model), "-smp", str(options.cpus), "-m", options.memory,
        *accel, "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
        "-kernel", str(options.host_kernel), "-initrd", str(initramfs),
        "-append", " ".join(parameters),
        "-chardev", f"file,id=console,path={escaped(run)}/console", "-serial", "chardev:console",
        # Without ioeventfd the vCPU thread itself writes the output. It never waits,
        # because the ports end in files. So no other thread disturbs virtual time.
        "-device", f"virtio-serial-pci,ioeventfd=off,max_ports={31 if options.live else 6}"]
    if options.disk:
        path = escaped(options.disk.absolute())
        command += ["-drive", f"file={path},if=none,id=disk,format=raw,snapshot=on",
                    "-device", "virtio-blk-pci,drive=disk"]
    for number, name in enumerate(("stdout", "stderr", "control", "results"), 1):
        command += ["-chardev", f"file,id={name},path={escaped(run)}/{name}",
                    "-device", f"virtserialport,nr={number},chardev={name}"]
    for number, part in enumerate(parts):  # fw_cfg sorts them by name.
        command += ["-fw_cfg", f"name=opt/parkvmm/{number:02},file={escaped(part)}"]
    if "monitor" in sockets:
        command += ["-device", "i6300esb", "-device", "i6300esb", "-action", "watchdog=pause"]
    if "poke" in sockets:
        command += ["-chardev", f"socket,id=poke,fd={sockets['poke']}",
                    "-device", "virtserialport,nr=5,chardev=poke"]
    if "monitor" in sockets:
        command += ["-chardev", f"socket,id=monitor,fd={sockets['monitor']}",
                    "-mon", "chardev=monitor,mode=control"]
    if options.live:
        command += live_devices(run, sockets)
    if restored:
        command += ["-incoming", "defer"]
    return command
