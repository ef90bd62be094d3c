# SPDX-License-Identifier: Apache-2.0
"""Kexecs kernels many times, each into itself and each into each other one and back.

    tools/bench stress KERNEL... [OPTION]... [-- COMMAND [ARGUMENT]...]

No CPU may be lost. COMMAND runs in each kernel, as of `vmm run`, with --initrd or
--rootfs for its root; without one there is a small root, and a command that does
nothing. A KERNEL is any that `vmm run` takes with CONFIG_KEXEC, or one of Debian's
by name, debian:7.3. Two kernels make three runs: A to A, B to B, and A to B to A.
In virtual time where the host is emulated, so that a failure repeats. Into
--out/NAME: results.json (tools/report), events.jsonl, and what vmm said.

Exit status: 0 all went well, 1 a run did not, 2 usage, 69 something is missing,
74 a --format could not be written, 130 interrupted.
"""

import argparse
import dataclasses
import itertools
import pathlib
import re
import subprocess
import sys

from parkvmm.bench.plan import MAX_CPUS
from parkvmm.cases import output
from parkvmm.cases.cases import Suite, suite_of_folder
from parkvmm.debian import kernels
from parkvmm.failure import DIFFERS, INTERRUPTED, OUTPUT_LOST, USAGE, Failure
from parkvmm.guest import arms
from parkvmm.guest.run import guest_deadline, host_deadline
from parkvmm.paths import GUEST, ROOT, TOOLS

EMPTY_ROOT = GUEST / "initramfs-none.cpio"
NOTHING = ["/bin/busybox", "true"]
GRACE = 120  # seconds for tools/vmm to end by itself


@dataclasses.dataclass(frozen=True)
class Way:
    """A run: the first kernel, and the one that it kexecs into by turns."""
    first: str
    other: str

    @property
    def name(self) -> str:
        words = [self.first] if self.first == self.other else [self.first, self.other]
        return "-to-".join(re.sub(r"[^\w.+-]", "-", "-".join(pathlib.Path(word).parts[-2:]))
                           for word in words)


def ways_of(given: list[str]) -> list[Way]:
    """Returns each kernel into itself, and each pair."""
    found = [Way(kernel, kernel) for kernel in given]
    found += [Way(*pair) for pair in itertools.combinations(given, 2)]
    names = [way.name for way in found]
    for name in names:
        if names.count(name) > 1:
            raise Failure(USAGE, f"two kernels would have the name {name}: give them folders of "
                          "different names")
    return found


def say(message: str) -> None:
    print(f"stress: {message}", file=sys.stderr, flush=True)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench stress", description=__doc__, allow_abbrev=False,
        usage="tools/bench stress KERNEL... [OPTION]... [-- COMMAND [ARGUMENT]...]",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", nargs="+", metavar="KERNEL")
    parser.add_argument("--kexecs", type=int, default=200, metavar="N", help="of each run (200)")
    parser.add_argument("--cpus", type=int, default=8, metavar="N", help="the guest's (8)")
    parser.add_argument("--memory", default="1G", metavar="SIZE", help="the guest's (1G)")
    parser.add_argument("-p", "--params", action="append", default=[], metavar="TEXT",
                        help="appended to the kernels' command line; repeatable")
    root = parser.add_mutually_exclusive_group()
    root.add_argument("-i", "--initrd", metavar="FILE", help="the guest's root")
    root.add_argument("--rootfs", metavar="DIR|TAR|CPIO", help="the same, from more kinds of files")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="default: out/stress")
    parser.add_argument("--wall-clock", action="store_true",
                        help="of the emulated host: counts and verdicts mean something, times do "
                        "not")
    output.add_option(parser)
    end = argv.index("--") if "--" in argv else len(argv)
    options = parser.parse_args(argv[:end])
    options.command = argv[end + 1:]
    if not 1 <= options.cpus <= MAX_CPUS:
        raise Failure(USAGE, f"--cpus {options.cpus}: 1 to {MAX_CPUS} are wanted")
    if options.kexecs < 1:
        raise Failure(USAGE, f"--kexecs {options.kexecs}: one at least is wanted")
    if options.command and not (options.initrd or options.rootfs):
        raise Failure(USAGE, "a command needs a root that has it: --initrd or --rootfs")
    return options


def words_of(way: Way, options: argparse.Namespace, out: pathlib.Path) -> list[str]:
    """Returns the call of tools/vmm."""
    host = [] if options.wall_clock else ["--deterministic"]
    words = [str(TOOLS / "vmm"), *host, "--deadline",
             f"{host_deadline(options.kexecs, options.cpus)}s", "run",
             "--timeout", f"{guest_deadline(options.kexecs, options.cpus)}s",
             "--cpus", str(options.cpus), "--memory", options.memory, "--seed", "1",
             "--arm", way.name, "--kexec", str(options.kexecs),
             "--results", str(out / "results.json"), "--events", str(out / "events.jsonl")]
    for text in options.params:
        words += ["--params", text]
    if options.rootfs:
        words += ["--rootfs", options.rootfs]
    else:
        words += ["--initrd", options.initrd or str(EMPTY_ROOT)]
    if way.first != way.other:
        words += ["--next", way.other]
    return [*words, way.first, "--", *(options.command or NOTHING)]


def run(way: Way, options: argparse.Namespace, out: pathlib.Path) -> int:
    """Runs it. Returns the exit status, as a shell has it."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "events.jsonl"):
        (out / name).unlink(missing_ok=True)  # An earlier call's.
    deadline = host_deadline(options.kexecs, options.cpus) + GRACE
    with (open(out / "console.log", "wb") as console, open(out / "vmm.log", "wb") as log,
          subprocess.Popen(words_of(way, options, out), stdin=subprocess.DEVNULL, stdout=console,
                           stderr=log) as process):
        try:
            status = process.wait(deadline)
        except KeyboardInterrupt:  # It has heard ^C, too, and writes down what it knows.
            status = process.wait(GRACE)
        except BaseException:
            process.kill()
            raise
    return 128 - status if status < 0 else status


def last_line(path: pathlib.Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "nothing was said"


def prepare(options: argparse.Namespace) -> None:
    arms.build("tools/setup", "--quiet")
    arms.build("tools/build", "arm64", "vmm", "guest-init", "host-unpack")
    for kernel in filter(kernels.is_name, options.kernels):
        arms.build("tools/kernel", "fetch", kernel)
    if not (options.initrd or options.rootfs):
        arms.build("tools/guest-image", "--no-kernel", "--output", str(EMPTY_ROOT))


def main(argv: list[str]) -> int:
    options = parse(argv)
    formats = output.parse_all(options.format)
    for kernel in options.kernels:
        if kernels.is_name(kernel):
            kernels.parse_name(kernel)
        elif not pathlib.Path(kernel).is_file():
            raise Failure(USAGE, f"no kernel {kernel}")
    ways = ways_of(options.kernels)
    out = (options.out or ROOT / "out/stress").absolute()
    prepare(options)
    suites: list[Suite] = []
    status = 0
    for number, way in enumerate(ways, 1):
        say(f"{number} of {len(ways)}: {way.name}, {options.kexecs} kexecs with {options.cpus} "
            "CPUs")
        ended = run(way, options, out / way.name)
        suites.append(suite_of_folder(way.name, out / way.name, ended))
        print(f"{way.name}: {last_line(out / way.name / 'vmm.log')}", flush=True)
        status = status or ended
        if ended == INTERRUPTED:
            break
    good = sum(not suite.fails for suite in suites)
    verdict = f"{good} of {len(ways)} runs went well"
    lost = output.write_all(formats, suites, verdict)
    for line in lost:
        say(line)
    say(f"{verdict}; everything: {out}/")
    if status in (0, INTERRUPTED):
        return status or (OUTPUT_LOST if lost else 0)
    return DIFFERS
