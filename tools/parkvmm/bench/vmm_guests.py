# SPDX-License-Identifier: Apache-2.0
"""What tools/bench-vmm measures: guests, run by vmm and by its peers.

A row is a guest and how it is run: small, linux-results, linux-qemu.
"""

import pathlib
import shlex
import struct
from typing import Protocol

from parkvmm.failure import USAGE, Failure
from parkvmm.guest.run import PARAMS
from parkvmm.paths import BUILD, GUEST, IMAGE, ROOT

PROBE = str(pathlib.Path(__file__).with_name("vmm-probe.sh").relative_to(ROOT))
SMALL = "build/arm64/stub/system_off.bin"
KEXECS = "build/arm64/stub/kexec_again.bin"
LINUX = str(IMAGE.relative_to(ROOT))
INITRAMFS = str((GUEST / "initramfs.cpio").relative_to(ROOT))
GUESTS = [SMALL, KEXECS, LINUX, INITRAMFS]
PEER = BUILD / "peer"  # tools/setup peer
QEMU = f"{PEER.relative_to(ROOT)}/bin/qemu-system-aarch64"
# Its libraries are put where it looks for them. Who first asks the host's kernel for random
# numbers waits for them, which is not what is measured.
PREPARE_QEMU = [f'ln -s "$PWD/{PEER.relative_to(ROOT)}/lib" /lib', f"{QEMU} --version >/dev/null"]
SMALL_MIB, LINUX_MIB = 64, 1024
SMALL_RUNS = 5  # The median counts.
TIMEOUT = "600s"  # of virtual time
RESULTS = ("--results", "/tmp/results.json")
ARM64, INTERPRETER = 183, 3  # e_machine and p_type of ELF


class Program(Protocol):
    """Returns the command that runs a guest."""
    def __call__(self, cpus: int, mib: int, kernel: str, params: str = "",
                 initramfs: str = "") -> list[str]: ...


class Vmm:
    def __init__(self, *words: str) -> None:
        self._words = words

    def __call__(self, cpus: int, mib: int, kernel: str, params: str = "",
                 initramfs: str = "") -> list[str]:
        return ["vmm", "run", "--cpus", str(cpus), "--memory", f"{mib}M", "--seed", "1",
                "--timeout", TIMEOUT, "--params", params,
                *(["--initrd", initramfs] if initramfs else []), *self._words,
                # Parking as Linux has it, which for a flat binary has to be asked for.
                *([] if kernel == LINUX else ["--park", "host", "--raw"]), kernel]


def qemu(cpus: int, mib: int, kernel: str, params: str = "", initramfs: str = "") -> list[str]:
    """Debian's, without the devices that it adds by itself."""
    return [QEMU, "-accel", "kvm", "-cpu", "host", "-M", "virt,gic-version=3", "-nodefaults",
            "-display", "none", "-serial", "stdio", "-smp", str(cpus), "-m", f"{mib}M",
            "-append", params, *(["-initrd", initramfs] if initramfs else []), "-kernel", kernel]


class Kvmtool:
    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, cpus: int, mib: int, kernel: str, params: str = "",
                 initramfs: str = "") -> list[str]:
        # Its UART is another one.
        return [self._program, "run", "--cpus", str(cpus), "--mem", str(mib), "--console",
                "serial", "--params", params.replace("ttyAMA0", "ttyS0"),
                *(["--initrd", initramfs] if initramfs else []), "--kernel", kernel]


def probe(mode: str, row: str, cpus: int, mib: int, command: list[str]) -> str:
    """Returns a line of a script."""
    return shlex.join(["sh", PROBE, mode, f"{row}-{cpus}", str(mib), *command])


def starts(program: Program, suffix: str, cpus: int) -> list[str]:
    return [probe("start", f"small{suffix}", cpus, SMALL_MIB, [
                str(SMALL_RUNS), *program(cpus, SMALL_MIB, SMALL)]),
            probe("start", f"linux{suffix}", cpus, LINUX_MIB, ["1", *program(
                cpus, LINUX_MIB, LINUX, f"{PARAMS} park.end=poweroff", INITRAMFS)])]


def idles(program: Program, suffix: str, cpus: int) -> list[str]:
    return [probe("idle", f"linux{suffix}", cpus, LINUX_MIB, program(
        cpus, LINUX_MIB, LINUX, f"{PARAMS} park.end=idle", INITRAMFS))]


def kexecs(program: Program, suffix: str, cpus: int) -> list[str]:
    return [probe("kexecs", f"kexecs{suffix}", cpus, SMALL_MIB, program(
        cpus, SMALL_MIB, KEXECS, "ms=1000", KEXECS))]


def of_vmm(cpus: int) -> list[str]:
    """Returns a script's lines, which measure all rows of vmm."""
    plain, results = Vmm(), Vmm(*RESULTS)
    return [*starts(plain, "", cpus), *starts(results, "-results", cpus), *idles(plain, "", cpus),
            *kexecs(plain, "", cpus), *kexecs(results, "-results", cpus)]


def of_peer(name: str, program: Program, cpus: int) -> list[str]:
    return [*starts(program, f"-{name}", cpus), *idles(program, f"-{name}", cpus)]


def require_static_arm64(path: pathlib.Path) -> None:
    """Fails unless a program runs in the emulated host, which has no libraries."""
    with open(path, "rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:5] != b"\x7fELF\x02" or header[18] != ARM64:
            raise Failure(USAGE, f"{path} is no program for arm64")
        start, = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(start)
        table = file.read(size * count)
    if any(table[i:i + 4] == INTERPRETER.to_bytes(4, "little") for i in range(0, len(table), size)):
        raise Failure(USAGE, f"{path} is not linked statically")
