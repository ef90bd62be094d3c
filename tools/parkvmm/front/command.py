# SPDX-License-Identifier: Apache-2.0
"""`vmm` on any machine. This is tools/vmm."""

import contextlib
import errno
import json
import os
import pathlib
import platform
import shutil
import signal
import sys
import time
from typing import NoReturn

from parkvmm.debian import kernels
from parkvmm.failure import (DIFFERS, INTERNAL, INTERRUPTED, OUTPUT_LOST, UNAVAILABLE, USAGE,
                             Failure, FileFailure)
from parkvmm.front.files import Files, files_of
from parkvmm.front.options import HELP, host_of, parse
from parkvmm.front.session import ENDING, Front, Interrupted
from parkvmm.front.terminal import is_ours
from parkvmm.front.words import settle_tty
from parkvmm.host import messages
from parkvmm.host.contents import HOST_UNPACK
from parkvmm.host.emulated import run_emulated
from parkvmm.host.machine import QEMU, no_qemu
from parkvmm.host.messages import say
from parkvmm.host.native import kvm_here, lacking_here
from parkvmm.host.words import unlocked
from parkvmm.paths import BIN, BUSYBOX, IMAGE, INSTALLED, RECORD, ROOT, remedy


# What makes a clone ready, for a vmm on this machine and in an emulated host.
HERE = "tools/setup cross && tools/build arm64 vmm"
ELSEWHERE = "tools/setup cross guest emulator && tools/build arm64 vmm host-unpack"


def require(commands: str, *paths: pathlib.Path) -> None:
    for path in paths:
        if not path.exists():
            raise Failure(UNAVAILABLE, f"{path} is missing; {remedy(commands)}")


def run_here(words: list[str]) -> NoReturn:
    """Becomes vmm."""
    require(HERE, BIN / "vmm")
    environment = os.environ | {"PARKVMM_UNLOCKED": unlocked(words)}
    os.execve(BIN / "vmm", ["vmm", *words], environment)


def on_early_signal(number: int, _frame: object) -> None:
    raise Interrupted(number)


BISECT_SKIP, BISECT_ABORT = 125, 255  # as in vmm/cli/bisect.h


def listen(handler: object) -> None:
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup has SIGHUP ignored.
            signal.signal(number, handler)  # type: ignore[arg-type]


def open_streams() -> None:
    """Has something open in the place of stdin, stdout and stderr if a caller closed them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def main(argv: list[str]) -> int:
    started = time.monotonic()
    listen(on_early_signal)
    chosen, words = parse(argv)
    if chosen.help:
        with contextlib.suppress(BrokenPipeError):
            print(HELP, end="", flush=True)
        return 0
    if INSTALLED and words[:1] == ["--version"]:  # No machine has to say it.
        with contextlib.suppress(BrokenPipeError):
            print(installed_version(), flush=True)
        return 0
    # A kernel's name stands for its file.
    end = words.index("--") if "--" in words else len(words)
    words = [str(kernels.path_of(word)) if kernels.NAME.fullmatch(word) else word
             for word in words[:end]] + words[end:]
    lacking = kvm_here() if chosen.host == "native" else lacking_here()
    if chosen.host == "native" and lacking:
        raise Failure(UNAVAILABLE, f"{lacking}; --host emulated does without")
    if not (lacking or chosen.host == "emulated" or chosen.deterministic):
        run_here(words)
    if lacking and platform.machine() == "aarch64":
        say(f"{lacking}: emulating a machine; --host native insists on this one")
    files = files_of(words[1:]) if words[0] == "run" else Files(words[1:], [], [], [])
    if files.command:
        ours = is_ours(0) and os.isatty(1) and not chosen.deterministic
        files.tty = settle_tty(files.words, files.values, ours)
    files.words.insert(0, words[0])
    require(ELSEWHERE, BIN / "vmm", HOST_UNPACK, IMAGE, BUSYBOX)
    if not shutil.which(QEMU):
        raise no_qemu(ELSEWHERE)
    taken = sum(file.size for file in files.inputs)
    options = host_of(chosen, words, files.values, taken)
    front = Front(options, files, reads=words[0] == "run")
    listen(front.on_signal)
    signal.signal(signal.SIGWINCH, front.on_resize)
    try:
        return run_emulated(options, started + options.timeout, front)
    finally:
        front.restore()


def installed_version() -> str:
    """Returns what `vmm --version` prints of the program in an installed tree."""
    record = json.loads((ROOT / RECORD).read_text())
    return f"vmm {record['version']} (commit {record['commit']})"


def bisect_status(status: int, files_are_to_blame: bool = False) -> int:
    """Returns what an end of ours is to `git bisect run`, as vmm/cli/bisect.h has it: vmm has
    said its own already."""
    if files_are_to_blame:
        return BISECT_SKIP
    if status in (USAGE, INTERRUPTED):
        return BISECT_ABORT
    return status if status in (0, DIFFERS, BISECT_ABORT) else BISECT_SKIP


def bisects(words: list[str]) -> bool:
    ours = words[:words.index("--")] if "--" in words else words
    return any(word.startswith("--bisect") for word in ours)


def run() -> NoReturn:
    messages.name = "vmm"
    open_streams()
    files_are_to_blame = False
    try:
        status = main(sys.argv[1:])
    except Failure as failure:
        say(f"error: {failure}")
        status = failure.status
        files_are_to_blame = isinstance(failure, FileFailure)
    except (Interrupted, KeyboardInterrupt):
        status = INTERRUPTED
    except OSError as error:  # A full disk, a folder that is not ours.
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}")
        status = OUTPUT_LOST if error.errno == errno.ENOSPC else INTERNAL
    if bisects(sys.argv[1:]):
        status = bisect_status(status, files_are_to_blame)
    os._exit(status)  # Python would flush a full stdout once more.
