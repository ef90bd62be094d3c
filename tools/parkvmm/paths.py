# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a clone."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
GUEST = BUILD / "guest"
KERNELS = BUILD / "kernels"
LOCK = ROOT / "tools" / "packages.lock"
