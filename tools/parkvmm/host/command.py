# SPDX-License-Identifier: Apache-2.0
"""Runs a command on an arm64 machine with KVM. This is tools/arm64-host."""

import platform
import signal
import sys
import time
from typing import NoReturn

from parkvmm.debian import kernels
from parkvmm.failure import UNAVAILABLE, USAGE, Failure
from parkvmm.host.emulated import run_emulated
from parkvmm.host.messages import say
from parkvmm.host.native import kvm_here, lacking_here, run_natively
from parkvmm.host.options import parse


class Signalled(BaseException):
    """A signal asks this program to end. It is raised wherever the program is."""


def on_signal(number: int, _frame: object) -> None:
    raise Signalled(number)


def main(argv: list[str]) -> int:
    started = time.monotonic()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup has SIGHUP ignored.
            signal.signal(number, on_signal)
    options = parse(argv)
    # A kernel's name stands for its file.
    options.command = [str(kernels.path_of(word)) if kernels.NAME.fullmatch(word) else word
                       for word in options.command]
    if options.probe:
        lacking = lacking_here()
        if lacking:
            print(lacking)
        return UNAVAILABLE if lacking else 0
    if options.out:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(USAGE, f"--out {options.out}: {error.strerror}") from None
    # A user who insists gets the VMM's own answer to a KVM without the filter.
    lacking = kvm_here() if options.native else lacking_here()
    if options.native and lacking:
        raise Failure(UNAVAILABLE, f"{lacking}; without --native it is emulated")
    if options.native or not (lacking or options.emulated or options.deterministic):
        return run_natively(options, started + options.timeout)
    if lacking and platform.machine() == "aarch64":
        say(f"{lacking}: emulating a machine; --native insists on this one")
    return run_emulated(options, started + options.timeout)


def run() -> NoReturn:
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        say(str(failure))
        sys.exit(failure.status)
    except Signalled as signalled:
        sys.exit(128 + signalled.args[0])
    except BrokenPipeError:
        sys.exit(128 + signal.SIGPIPE)
