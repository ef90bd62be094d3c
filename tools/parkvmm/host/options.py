# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/arm64-host."""

import argparse
import pathlib
import re
from typing import NoReturn

from parkvmm.debian import kernels
from parkvmm.failure import USAGE, Failure
from parkvmm.host.words import inside_repository
from parkvmm.paths import IMAGE

DESCRIPTION = """Runs a command on an arm64 machine with a real /dev/kvm.

    tools/arm64-host [OPTION]... -- COMMAND...

On an arm64 machine with a usable /dev/kvm the command simply runs. Elsewhere
QEMU emulates one: Debian's arm64 kernel with KVM, busybox, build/arm64/bin and
the files that the command names. It boots once; its state is then saved below
build/cache, and later commands begin there. Either way the command starts in the
repository's root, its stdout, stderr and exit status are ours, and what it leaves
in $RESULTS comes back into --out.

Words of COMMAND that name a file of the repository (also as --option=FILE) are
taken along; --file adds what only a script knows. @RESULTS@ in a word stands
for $RESULTS, and debian:7.3 for that kernel's Image (tools/kernel).

Exit status: the command's; or 2 usage, 69 something is missing, 70 the emulated
host died, 124 deadline, 130 Ctrl-C.
"""


def duration(text: str) -> float:
    """Returns seconds of `90`, `90s`, `10m`, `1h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s or 10m")
    return float(match[1]) * {"ms": 0.001, "m": 60, "h": 3600}.get(match[2], 1)


def memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[MG]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512M or 6G")
    return text


def cpus(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 512")
    return int(text)


def repository_file(text: str) -> pathlib.Path:
    path = inside_repository(text)
    if path is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a file or directory inside the repository")
    return path


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, f"{message}; see tools/arm64-host --help")


def parse(argv: list[str]) -> argparse.Namespace:
    split = argv.index("--") if "--" in argv else len(argv)
    parser = Parser(
        prog="tools/arm64-host", allow_abbrev=False, description=DESCRIPTION,
        usage="tools/arm64-host [OPTION]... -- COMMAND...",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--emulated", action="store_true",
                       help="emulate even where /dev/kvm is usable")
    where.add_argument("--native", action="store_true",
                       help="fail rather than emulate")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path,
                        help="where to put what the command leaves in $RESULTS")
    parser.add_argument("--timeout", metavar="DURATION", type=duration, default="10m",
                        help="deadline for everything (default: 10m)")
    parser.add_argument("--file", metavar="PATH", type=repository_file, default=[],
                        action="append", help="file or directory to take along")
    machine = parser.add_argument_group("the emulated host")
    machine.add_argument("--deterministic", action="store_true",
                         help="virtual time: one instruction is one nanosecond, and "
                         "every run is the same to the last byte (implies --emulated)")
    machine.add_argument("--threads", choices=("single", "multi"), default="single",
                         help="one thread for all emulated CPUs, or one each. One takes half "
                         "the time; with more, CPUs run at the same time (default: single)")
    machine.add_argument("--cold", action="store_true",
                         help="boot the host, and neither save nor use a saved one. Virtual time "
                         "is then another one: compare --cold runs with --cold runs")
    machine.add_argument("--cpus", metavar="N", type=cpus, default="4")
    machine.add_argument("--memory", metavar="SIZE", type=memory, default="6G")
    machine.add_argument("--gic", choices=("2", "3"), default="3")
    machine.add_argument("--cpu-model", metavar="MODEL", default="neoverse-n1",
                         help="neoverse-n1 (VHE, the default), cortex-a72 (nVHE), ...")
    machine.add_argument("--host-kernel", metavar="KERNEL", default=str(IMAGE),
                         help="its kernel: a file, or a name such as debian:6.1 (default: that of "
                         "tools/packages.lock)")
    machine.add_argument("--disk", metavar="FILE", type=pathlib.Path,
                         help="a disk, /dev/vda there; what is written to it is forgotten. Takes "
                         "a --host-kernel by name, for its modules")
    machine.add_argument("--host-params", metavar="TEXT", default="",
                         help="appended to the host kernel's command line")
    parser.add_argument("--probe", action="store_true",
                        help="run nothing; print what this machine lacks to run guests natively, "
                        "and end with 69 if anything")
    parser.set_defaults(live=False, deadline_option="--timeout")
    options = parser.parse_args(argv[:split])
    options.command = argv[split + 1:]
    if options.probe:
        return options
    if not options.command:
        parser.error("no command: it stands after --")
    if options.deterministic and options.native:
        parser.error("--deterministic needs the emulated host, --native forbids it")
    if options.deterministic and options.threads == "multi":
        parser.error("--deterministic has one thread: --threads multi contradicts it")
    if options.disk and not options.disk.is_file():
        parser.error(f"--disk {options.disk}: no such file")
    if options.disk and not kernels.is_name(options.host_kernel):
        parser.error("--disk takes a --host-kernel by name, such as debian:6.12")
    if options.gic == "2" and options.cpus > 8:
        parser.error(f"a GICv2 serves 8 CPUs at most, not {options.cpus}")
    return options
