# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a clone."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
LOCK = TOOLS / "packages.lock"
BUILD = ROOT / "build"
SCRATCH = BUILD / "tmp"
BIN = BUILD / "arm64" / "bin"
KERNELS = BUILD / "kernels"  # Debian's, by name

GUEST = BUILD / "guest"
DEBIAN = GUEST / "debian"  # what tools/packages.lock names
IMAGE = DEBIAN / "Image"
BUSYBOX = DEBIAN / "busybox"
OWN_KERNELS = GUEST / "kernels"  # what tools/guest-kernel has built
KERNEL_SOURCE = GUEST / "linux"
