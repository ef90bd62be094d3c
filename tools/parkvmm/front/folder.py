# SPDX-License-Identifier: Apache-2.0
"""Packs a guest's root file system, where the caller has it as a folder."""

import os
import pathlib
import tarfile

from parkvmm.failure import USAGE, Failure


def size_of(folder: str) -> int:
    """Returns roughly how large its archive is."""
    total = 0
    for parent, folders, files in os.walk(folder):
        total += tarfile.BLOCKSIZE * 2 * (len(folders) + len(files))
        for name in files:
            total += os.lstat(os.path.join(parent, name)).st_size
    return total


def pack(folder: str, archive: pathlib.Path) -> None:
    """Writes a tar archive of what is below the folder. The caller's files are root's there, as
    `vmm` has it on an arm64 machine. Raises Failure if something cannot be read."""
    def owned(node: tarfile.TarInfo) -> tarfile.TarInfo:
        if node.uid == os.geteuid():
            node.uid = node.gid = 0
        node.uname = node.gname = ""
        return node

    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(os.path.realpath(folder), arcname=".", filter=owned)
    except OSError as error:
        if not error.filename or str(error.filename).startswith(str(archive)):
            raise
        raise Failure(USAGE, f"cannot read {error.filename!r} of --rootfs: {error.strerror}; "
                      "check its permissions, or name a tar archive that has it") from None
