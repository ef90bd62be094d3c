# SPDX-License-Identifier: Apache-2.0
"""Unpacks what a command left in $RESULTS of the emulated host."""

import pathlib
import shutil
import tarfile

from parkvmm.failure import INTERNAL, Failure
from parkvmm.host.messages import say


def unpack(archive: pathlib.Path, target: pathlib.Path) -> None:
    """Unpacks files and directories, and only below `target`, because a guest wrote this.

    QEMU wrote the archive, so its size is within OUTPUT_LIMIT (emulated.py).
    """
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            path = pathlib.PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise Failure(INTERNAL, f"results name {member.name!r}: refused")
            if member.isdir():
                (target / path).mkdir(parents=True, exist_ok=True)
            elif (member.isreg() and not member.issparse()
                  and (source := tar.extractfile(member))):
                with open(target / path, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
            else:
                say(f"$RESULTS/{path} is neither file nor directory: left behind")
