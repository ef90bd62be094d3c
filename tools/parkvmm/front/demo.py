# SPDX-License-Identifier: Apache-2.0
"""A real Linux guest kexecs in the real VMM, and a table says what happened to each CPU.

This is tools/vmm-demo, which runs what is there. tools/demo gets and builds it first; in an
installed tree it is there.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

from parkvmm import outputs
from parkvmm.cases import output
from parkvmm.cases.cases import suite_of_folder
from parkvmm.debian import kernels
from parkvmm.failure import OUTPUT_LOST, USAGE, Failure
from parkvmm.files import digest_now
from parkvmm.guest import image
from parkvmm.guest.run import PARAMS, SHORT_BOOT, guest_deadline
from parkvmm.host.native import lacking_here
from parkvmm.paths import BUILD, GUEST, IMAGE, INSTALLED, ROOT, TOOLS
from parkvmm.process import child

NAME = "vmm-demo" if INSTALLED else "tools/vmm-demo"
OUT = "parkvmm-demo" if INSTALLED else "out/demo"
HOST_CPUS = 4  # of an emulated host, in wall-clock time
HOST_SLACK = 60  # seconds that a host may take beyond its guest's own deadline
MADE = BUILD / "demo" if INSTALLED else GUEST  # where an initramfs that is made here lies
DESCRIPTION = f"""A Linux guest kexecs in the VMM, and a table says what happened to each CPU.

    {NAME} [OPTION]...

Where this machine's KVM cannot run AArch64 guests, an arm64 host is emulated,
and everything is in its virtual time. The guest's kernel leaves out what has
nothing to do with its CPUs and is most of its way to init: crypto self-tests
(cryptomgr.notests), bpf, certificates and jitter (initcall_blacklist).
"""
EPILOG = "Exit status: the VMM's, as vmm run --help lists them; 69 something is missing."


def number(text: str) -> int:
    if not re.fullmatch(r"0|[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"a number is wanted, not {text}")
    return int(text)


def cpus(text: str) -> int:
    if not number(text):
        raise argparse.ArgumentTypeError(f"a guest has a CPU at least, not {text}")
    return int(text)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, f"{message}; see {NAME} --help")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog=NAME, usage=f"{NAME} [OPTION]...", allow_abbrev=False,
                    description=DESCRIPTION, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", metavar="N", type=cpus, default=4, help="the guest's CPUs (4)")
    parser.add_argument("--cycles", metavar="N", type=number, default=3, help="kexecs (3)")
    parser.add_argument("--kernel", metavar="KERNEL", default="",
                        help="another one than Debian's 6.12: a plain arm64 Image, or a name such "
                        "as debian:7.3")
    parser.add_argument("--psci", choices=("vmm", "kvm"), default="vmm",
                        help="who answers PSCI: the VMM, or KVM for comparison (vmm)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--emulated", action="store_true",
                       help="in the emulated host, even on an arm64 machine with KVM")
    where.add_argument("--native", action="store_true", help="on this machine, or not at all")
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--wall-clock", action="store_true",
                       help="where the host is emulated: by the clock on the wall. Counts and "
                       "verdicts mean something then, times do not")
    clock.add_argument("--deterministic", action="store_true",
                       help="emulate a host even where KVM is usable. Two runs give the same bytes")
    parser.add_argument("--json", type=outputs.argument, metavar="FILE",
                        help="a copy of the results")
    parser.add_argument("--out", metavar="DIR", default=OUT,
                        help=f"where results, events and console go ({OUT})")
    output.add_option(parser)
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="after each kexec, where each CPU's time went")
    options = parser.parse_args(argv)
    if options.native and options.deterministic:
        parser.error("--deterministic emulates a host, --native forbids it")
    return options


def say(message: str) -> None:
    print(f"demo: {message}", file=sys.stderr, flush=True)


def files_of(options: argparse.Namespace) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the guest's kernel and initramfs. The latter holds the kernel once more, for kexec,
    and is made if it is not there."""
    if not options.kernel:
        kernel, folder = IMAGE, MADE
    elif kernels.is_name(options.kernel):
        kernel = kernels.path_of(options.kernel)
        folder = kernel.parent
    else:
        given = pathlib.Path(options.kernel).absolute()
        if not given.is_file():
            raise Failure(USAGE, f"no kernel {options.kernel}; name a plain arm64 Image")
        folder = MADE / "given" / digest_now(given)[:16]
        kernel = given if INSTALLED else folder / "Image"
        if not kernel.exists():  # An emulated host takes files of the clone only.
            folder.mkdir(parents=True, exist_ok=True)
            draft = kernel.with_name(f"Image.{os.getpid()}")
            shutil.copyfile(given, draft)
            draft.rename(kernel)
    initramfs = folder / "initramfs.cpio"
    image.main(["--kernel", str(kernel), "--output", str(initramfs)])
    return kernel, initramfs


def vmm_words(options: argparse.Namespace, results: str, kernel: str, initramfs: str) -> list[str]:
    """Returns what vmm is told."""
    return ["run", *["-v"] * options.verbose, "--cpus", str(options.cpus), "--memory", "1G",
            "--psci", options.psci, "--seed", "1",
            "--timeout", f"{guest_deadline(options.cycles, options.cpus)}s", "--params", PARAMS,
            "--params", f"{SHORT_BOOT} park.cycles={options.cycles}",
            "--expect-kexecs", str(options.cycles), "--results", f"{results}/results.json",
            "--events", f"{results}/events.jsonl", "--initrd", initramfs, kernel]


def command_of(options: argparse.Namespace, out: pathlib.Path, kernel: pathlib.Path,
               initramfs: pathlib.Path, emulated: bool) -> list[str]:
    """Returns the command that runs it. A clone has arm64-host, as for all that it measures; an
    installed tree has the front door."""
    virtual = emulated and not options.wall_clock
    # Virtual time measures the guest only if every vCPU has a CPU of its own; in wall-clock time
    # more emulated CPUs than real ones only get in each other's way.
    host_cpus = str(options.cpus if virtual else HOST_CPUS)
    deadline = f"{guest_deadline(options.cycles, options.cpus) + HOST_SLACK}s"
    if INSTALLED:
        host = (["--deterministic"] if virtual else
                ["--host", "emulated" if options.emulated else "native" if options.native
                 else "auto"])
        if emulated:
            host += ["--host-cpus", host_cpus, "--deadline", deadline]
        return [sys.executable, str(TOOLS / "vmm"), *host,
                *vmm_words(options, str(out), str(kernel), str(initramfs))]
    given = [f"--{name}" for name in ("emulated", "native") if getattr(options, name)]
    return [str(TOOLS / "arm64-host"), *given, *["--deterministic"] * virtual,
            "--cpus", host_cpus, "--out", str(out), "--timeout", deadline, "--",
            "vmm", *vmm_words(options, "@RESULTS@", str(kernel.relative_to(ROOT)),
                              str(initramfs.relative_to(ROOT)))]


def run(command: list[str], console: pathlib.Path) -> int:
    """Runs a command, to which signals are passed on. Returns its status."""
    early: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(which: int, _frame: object) -> None:
        for process in started:
            process.send_signal(which)
        if not started:
            early.append(which)

    for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(name) != signal.SIG_IGN:  # nohup has SIGHUP ignored.
            signal.signal(name, pass_on)
    with open(console, "wb") as file, child(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                                            stdout=file) as process:
        started.append(process)
        for which in early:
            process.send_signal(which)
        status = process.wait()
    return status if status >= 0 else 128 - status


def main(argv: list[str]) -> int:
    options = parse(argv)
    formats = output.parse_all(options.format)
    kernel, initramfs = files_of(options)
    shown = options.out.rstrip("/")
    out = pathlib.Path(options.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    emulated = options.emulated or options.deterministic or (
        not options.native and lacking_here() is not None)
    what = options.kernel or "Debian's kernel"
    say(f"{options.cycles} kexecs of {what} with {options.cpus} CPUs, its boot cut short; the "
        f"guest's console goes to {shown}/console.log")
    for name in ("results.json", "events.jsonl"):  # An older run's would be taken for this one's.
        with contextlib.suppress(FileNotFoundError):
            (out / name).unlink()
    status = run(command_of(options, out, kernel, initramfs, emulated), out / "console.log")
    lost = []
    if options.json and (out / "results.json").exists():
        lost = outputs.lost(options.json, (out / "results.json").read_text())
    say(f"results, events and console: {shown}/results.json {shown}/events.jsonl "
        f"{shown}/console.log")
    if status:
        say(f"FAILED with exit status {status}; the lines above say why")
    suite = suite_of_folder(options.kernel or "stock", out, status)
    good = sum(not case.fails for case in suite.cases)
    lost += output.write_all(formats, [suite], f"{good} of {len(suite.cases)} cases went well")
    for line in lost:
        say(line)
    return status or (OUTPUT_LOST if lost else 0)
