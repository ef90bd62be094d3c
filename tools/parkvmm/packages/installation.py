# SPDX-License-Identifier: Apache-2.0
"""What CMake installs of the arm64 build, and what CPack makes a Debian package of.

tools/dev/cmake/install.cmake says what there is. The environment has SOURCE_DATE_EPOCH.
"""

import os
import pathlib
import subprocess

from parkvmm.failure import DIFFERS, Failure
from parkvmm.paths import BUILD, ROOT

BUILT = BUILD / "arm64"
DEADLINE = 3600  # seconds to install or to pack, on a machine that is busy
# What the package for other machines holds, and takes; cpack's variables.
FRONT_DOOR = {"CPACK_INSTALL_CMAKE_PROJECTS": f"{BUILT};parkvmm;tree;/",
              "CPACK_DEBIAN_PACKAGE_ARCHITECTURE": "amd64",
              "CPACK_DEBIAN_PACKAGE_DEPENDS": "python3 (>= 3.11), qemu-system-arm"}


def quietly(words: list[str], log: pathlib.Path, environment: dict[str, str]) -> None:
    """Runs a step that says much. A failure shows the end of it."""
    with open(log, "ab") as file:
        done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                              env=os.environ | environment, timeout=DEADLINE, check=False)
    if done.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise Failure(DIFFERS, f"{' '.join(words[:2])}: {lines[-1] if lines else 'no word'}; the "
                      f"whole log: {log}")


def install(prefix: pathlib.Path, log: pathlib.Path, environment: dict[str, str]) -> None:
    """Installs the front door with all that it takes."""
    quietly(["cmake", "--install", str(BUILT), "--strip", "--component", "tree", "--prefix",
             str(prefix)], log, environment)


def make_package(variables: dict[str, str], folder: pathlib.Path, log: pathlib.Path,
                 environment: dict[str, str]) -> pathlib.Path:
    """Makes a Debian package in a folder of its own. Returns it."""
    defined = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
    quietly(["cpack", "-G", "DEB", "--config", str(BUILT / "CPackConfig.cmake"), "-B", str(folder),
             *defined], log, environment)
    found, = folder.glob("*.deb")
    return found
