# SPDX-License-Identifier: Apache-2.0
"""The words of tools/vmm that precede those of `vmm`."""

import argparse
import difflib
import re

from parkvmm.failure import USAGE, Failure
from parkvmm.front.table import COMMANDS
from parkvmm.front.words import Value, said
from parkvmm.host import options as host_options
from parkvmm.paths import VMM

HELP = """usage: tools/vmm [OPTION]... COMMAND...

Runs `vmm` with the same words on any machine: on this one where its KVM can run
AArch64 guests, else in an arm64 host that QEMU emulates, which starts in about
a second once it has been saved. Files lie wherever you like, and are checked
before anything boots. Stdin, the terminal, signals and the exit status are
those of vmm.

    tools/vmm run -c 4 -i "my files/init.cpio" -p console=ttyAMA0 ~/linux/Image
    tools/vmm run -i my.cpio ~/linux/Image -- sh -c "exit 7"
    tools/vmm run --help      all options of vmm run
    tools/vmm doctor          what the host can do

options, before COMMAND:
  --host auto|native|emulated
                     where: on this machine if that is possible (auto, the
                     default), on this machine or not at all, or emulated
  --deterministic    in virtual time, for measuring: the same input gives the
                     same bytes. Implies --host emulated; stdin is empty
  --host-cpus N      CPUs of the emulated host (4; in virtual time as the guest)
  --host-memory SIZE its RAM (6G, or more if the guest takes more)
  --deadline DURATION
                     the whole call ends by then (the --timeout of vmm run and
                     3 minutes; in virtual time ten times as long)
  -h, --help         this

Without --deterministic results have the label kvm-on-tcg where the host is
emulated: counts and verdicts mean something, times do not.

Exit status: vmm's. Of tools/vmm itself: 2 usage, files; 69 something is
missing; 70 the emulated host died; 74 an output takes no more; 124 the
deadline; 130 interrupted.
""".replace("tools/vmm", VMM)
HOSTS = ("auto", "native", "emulated")
VALUED = ("--host", "--host-cpus", "--host-memory", "--deadline")
BOOT = 180.0  # seconds beyond the --timeout of vmm run
SLOWER = 10  # Virtual time may take longer than that.
TIMEOUT = 300.0  # of vmm run
MEMORY = 1 << 30  # of vmm run
HOST_MEMORY = 6 << 30
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns our options and the words of `vmm`."""
    chosen = argparse.Namespace(host="auto", deterministic=False, host_cpus=None,
                                host_memory=None, deadline=None, help=False)
    words = list(argv)
    while words and words[0].startswith("-"):
        name, equals, value = words.pop(0).partition("=")
        if name in ("-h", "--help"):
            chosen.help = True
        elif name == "--deterministic" and not equals:
            chosen.deterministic = True
        elif name in VALUED:
            if not equals and not words:
                raise Failure(USAGE, f"{name} wants a value; see {VMM} --help")
            setattr(chosen, name[2:].replace("-", "_"), value if equals else words.pop(0))
        elif name == "--version":
            return chosen, [name]
        else:
            raise Failure(USAGE, f"unknown option {name} before the command; options of vmm run "
                          f"stand behind `run`: see {VMM} --help")
    if not chosen.help:
        check(chosen, words)
    return chosen, words


def check(chosen: argparse.Namespace, words: list[str]) -> None:
    if chosen.host not in HOSTS:
        raise Failure(USAGE, f"--host wants auto, native or emulated, not {chosen.host}")
    if chosen.host == "native" and chosen.deterministic:
        raise Failure(USAGE, "--deterministic needs the emulated host, --host native forbids it")
    if not words:
        raise Failure(USAGE, f"no command: {' or '.join(COMMANDS)}; see {VMM} --help")
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {' and '.join(COMMANDS)}"
        raise Failure(USAGE, f"unknown command {words[0]}; {hint}")


def seconds_of(text: str | None) -> float:
    """Returns what a --timeout of vmm run comes to; the default if it is none."""
    if text and re.fullmatch(r"(\d+\.?\d*(ms|[smh]))+|\d+", text):
        return sum(float(number) * UNITS[unit or "s"]
                   for number, unit in re.findall(r"(\d+\.?\d*)(ms|[smh]|)", text))
    return TIMEOUT


def bytes_of(text: str | None) -> int:
    """Returns what a --memory of vmm run comes to; the default if it is none."""
    match = re.fullmatch(r"(\d+\.?\d*)\s*([kmgt]?)(?:i?b)?", (text or "").lower())
    return int(float(match[1]) * SIZES[match[2]]) if match else MEMORY


def host_of(chosen: argparse.Namespace, words: list[str], values: list[Value],
            taken: int) -> argparse.Namespace:
    """Returns the options of the emulated host. `taken` is how many bytes its files have."""
    given = []
    cpus = said(values, "--cpus") or "1"
    if chosen.host_cpus:
        given += [f"--cpus={chosen.host_cpus}"]
    elif chosen.deterministic and cpus.isdecimal() and 4 < int(cpus) <= 512:
        given += [f"--cpus={cpus}"]
    needed = bytes_of(said(values, "--memory")) + taken + (1 << 30)
    if said(values, "--rootfs"):
        needed += 3 * taken  # vmm keeps it unpacked until it is the guest's.
    if chosen.host_memory:
        given += [f"--memory={chosen.host_memory}"]
    elif needed > HOST_MEMORY:
        given += [f"--memory={-(-needed >> 30)}G"]
    timeout = seconds_of(said(values, "--timeout"))
    deadline = (timeout + BOOT) * (SLOWER if chosen.deterministic else 1)
    given += [f"--timeout={chosen.deadline or deadline}"]
    if chosen.deterministic:
        given += ["--deterministic"]
    try:
        options = host_options.parse([*given, "--", "vmm", *words])
    except Failure as failure:
        said_so = str(failure).replace("--cpus", "--host-cpus").replace(
            "--memory", "--host-memory").replace("--timeout", "--deadline")
        raise Failure(failure.status, said_so.replace("tools/arm64-host", VMM)) from None
    options.live = True
    options.deadline_option = "--deadline"
    options.vmm_timeout = timeout
    return options
