# SPDX-License-Identifier: Apache-2.0
"""Runs a command on this machine, if it is an arm64 machine with KVM."""

import argparse
import contextlib
import fcntl
import os
import pathlib
import platform
import struct
import subprocess
import tempfile
import time

from parkvmm.host.messages import overdue, say
from parkvmm.host.words import unlocked
from parkvmm.paths import BIN, ROOT
from parkvmm.process import child

# Documentation/virt/kvm/api.rst and devices/vm.rst; struct kvm_device_attr.
KVM_CREATE_VM = 0xAE01
KVM_HAS_DEVICE_ATTR = 0x4018AEE3
SMCCC_FILTER = struct.pack("=IIQQ", 0, 0, 0, 0)  # flags, group, attribute, address


def kvm_here() -> str | None:
    """Returns what this machine lacks to run guests, or None."""
    if platform.machine() != "aarch64":
        return f"this machine is {platform.machine()}, not arm64"
    try:
        with open("/dev/kvm", "r+b", buffering=0) as device:
            os.close(fcntl.ioctl(device, KVM_CREATE_VM, 0))
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return None


def psci_filter_here() -> str | None:
    """Returns what the KVM of this machine lacks to let the VMM answer PSCI, or None."""
    with open("/dev/kvm", "r+b", buffering=0) as device:
        machine = fcntl.ioctl(device, KVM_CREATE_VM, 0)
    try:
        fcntl.ioctl(machine, KVM_HAS_DEVICE_ATTR, SMCCC_FILTER)
    except OSError:
        return "this machine's KVM has no SMCCC filter, which came with Linux 6.4"
    finally:
        os.close(machine)
    return None


def lacking_here() -> str | None:
    """Returns why a machine has to be emulated, or None if this one will do."""
    return kvm_here() or psci_filter_here()


def run_natively(options: argparse.Namespace, deadline: float) -> int:
    say("native")
    with contextlib.ExitStack() as stack:
        results = options.out or pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="arm64-host.")))
        results = results.absolute()
        words = [word.replace("@RESULTS@", str(results)) for word in options.command]
        environment = os.environ | {
            "PATH": f"{BIN}:{os.environ['PATH']}", "RESULTS": str(results),
            "PARKVMM_UNLOCKED": unlocked(options.command)}
        try:
            process = stack.enter_context(child(
                words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL))
        except OSError as error:
            say(f"{words[0]}: {error.strerror}")
            return 127 if isinstance(error, FileNotFoundError) else 126
        try:
            status = process.wait(deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            raise overdue(options, "the command to end") from None
    return status if status >= 0 else 128 - status
