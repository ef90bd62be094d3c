# SPDX-License-Identifier: Apache-2.0
"""Writes the archive of a command's files, which tools/host-unpack unpacks.

QEMU hands it over as files of its fw_cfg device. A large file is one of them as it lies on the
disk, so that nothing here copies it. archive.h of tools/host-unpack has the format.
"""

import pathlib
import shutil
import tarfile

from parkvmm.cpio import Entry, Tree, with_parents
from parkvmm.failure import USAGE, Failure

LARGE = 1 << 20  # bytes from which on a file is handed over as it is
LARGE_FILES = 8  # at most: QEMU's fw_cfg has room for some 20 files
LONGEST = 4000  # bytes of a path; host-unpack takes lines of 4096


def header(path: str, entry: Entry, size: int) -> bytes:
    name = path.encode(errors="surrogateescape")
    if b"\n" in name or len(name) > LONGEST:
        raise Failure(USAGE, f"cannot take {path!r} along: its name is too long or has two lines")
    kind = b"d" if entry.kind == tarfile.DIRTYPE else b"f"
    return b"%c %o %d %s\n" % (kind, entry.mode, size, name)


def write_parts(tree: Tree, folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns files that are the archive of a tree, one after the other."""
    entries = sorted(with_parents(tree).items())
    sizes = {path: entry.content.stat().st_size for path, entry in entries if entry.content}
    large = {path for path in sorted(sizes, key=lambda path: -sizes[path])[:LARGE_FILES]
             if sizes[path] >= LARGE}
    parts = [folder / "part0"]
    file = open(parts[0], "wb")
    try:
        for path, entry in entries:
            file.write(header(path, entry, sizes.get(path, 0)))
            if entry.content and path in large:
                file.close()
                parts += [entry.content, folder / f"part{len(parts) + 1}"]
                file = open(parts[-1], "wb")
            elif entry.content:
                with open(entry.content, "rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
        file.write(b"e 0 0 .\n")
    finally:
        file.close()
    return parts
