# SPDX-License-Identifier: Apache-2.0
"""Where things lie: in a clone, or in an installed tree.

An installed tree is lib/parkvmm of a bundle or of a package. Its programs, kernel and busybox
were built and fetched before it was packed. It may be read-only, so what is made and kept at run
time goes to the user's cache, $XDG_CACHE_HOME/parkvmm.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping

RECORD = "installed.json"  # In an installed tree: which version and commit it is of.


@dataclasses.dataclass(frozen=True)
class Layout:
    """What differs between a clone and an installed tree."""
    installed: bool
    build: pathlib.Path  # what is made and kept
    bin: pathlib.Path  # arm64 programs
    debian: pathlib.Path  # the kernel and busybox that tools/packages.lock names


def cache_of(environment: Mapping[str, str]) -> pathlib.Path:
    """Returns the user's cache. A relative $XDG_CACHE_HOME counts for nothing, as its
    specification says."""
    named = environment.get("XDG_CACHE_HOME", "")
    return pathlib.Path(named if os.path.isabs(named) else os.path.expanduser("~/.cache"))


def layout_of(root: pathlib.Path, environment: Mapping[str, str]) -> Layout:
    if (root / RECORD).is_file():
        return Layout(True, cache_of(environment) / "parkvmm", root / "bin", root / "guest")
    build = root / "build"
    return Layout(False, build, build / "arm64" / "bin", build / "guest" / "debian")


ROOT = pathlib.Path(__file__).resolve().parents[2]
_LAYOUT = layout_of(ROOT, os.environ)
INSTALLED = _LAYOUT.installed
TOOLS = ROOT / "tools"
LOCK = TOOLS / "packages.lock"
BUILD = _LAYOUT.build
SCRATCH = BUILD / "tmp"
BIN = _LAYOUT.bin
KERNELS = BUILD / "kernels"  # Debian's, by name

GUEST = BUILD / "guest"
DEBIAN = _LAYOUT.debian
IMAGE = DEBIAN / "Image"
BUSYBOX = DEBIAN / "busybox"
OWN_KERNELS = GUEST / "kernels"  # what tools/guest-kernel has built
KERNEL_SOURCE = GUEST / "linux"

VMM = "vmm" if INSTALLED else "tools/vmm"  # what the user types
QEMU_PACKAGE = "install qemu-system-arm, or what else your system has qemu-system-aarch64 in"


def remedy(in_a_clone: str, installed: str = "install parkvmm again, or unpack its bundle again",
           ) -> str:
    """Returns what to do about something that is missing."""
    return installed if INSTALLED else f"run {in_a_clone}"


def tool(name: str) -> str:
    """Returns a command of ours as the user has to type it."""
    return str(TOOLS / name) if INSTALLED else f"tools/{name}"


if INSTALLED:  # Python keeps what it compiles; an installed tree stays as it is.
    sys.pycache_prefix = str(BUILD / "python")
