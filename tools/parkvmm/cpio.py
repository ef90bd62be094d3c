# SPDX-License-Identifier: Apache-2.0
"""Writes cpio archives that Linux takes as an initramfs.

The same tree gives the same bytes, on any machine and at any time.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import stat
import tarfile

from parkvmm.files import digest

EPOCH = 1767225600  # 2026-01-01, the time of every file
ALIGNMENT = 4  # bytes
KINDS = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.REGTYPE: stat.S_IFREG,
         tarfile.SYMTYPE: stat.S_IFLNK, tarfile.CHRTYPE: stat.S_IFCHR}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A node of an archive."""
    kind: bytes  # one of tarfile's types
    mode: int
    content: pathlib.Path | None = None  # of a file
    target: str = ""  # of a symbolic link


# Nodes by path, without a slash at the beginning. Parents may be left out.
Tree = dict[str, Entry]


def directory() -> Entry:
    return Entry(tarfile.DIRTYPE, 0o755)


def regular(path: pathlib.Path, executable: bool | None = None) -> Entry:
    """Returns a file. It can be executed if the source can, unless the caller says."""
    if executable is None:
        executable = os.access(path, os.X_OK)
    return Entry(tarfile.REGTYPE, 0o755 if executable else 0o644, path)


def link(target: str) -> Entry:
    return Entry(tarfile.SYMTYPE, 0o777, target=target)


def console() -> Entry:
    """Returns /dev/console, which the kernel opens for PID 1 before there is a devtmpfs."""
    return Entry(tarfile.CHRTYPE, 0o600)


def key_of(tree: Tree) -> str:
    """Returns a hash of everything that the bytes of an archive depend on."""
    key = hashlib.sha256()
    for path, entry in sorted(tree.items()):
        content = digest(entry.content) if entry.content else entry.target
        key.update(f"{path} {entry.kind!r} {entry.mode} {content}\n".encode())
    return key.hexdigest()


def with_parents(tree: Tree) -> Tree:
    complete = dict(tree)
    for path in tree:
        for parent in pathlib.PurePath(path).parents[:-1]:
            complete.setdefault(str(parent), directory())
    return complete


def header(number: int, name: bytes, entry: Entry, size: int) -> bytes:
    """Returns what precedes a node's content in an archive of the kind `newc`."""
    major, minor = (5, 1) if entry.kind == tarfile.CHRTYPE else (0, 0)  # The console's.
    return fields(number, KINDS[entry.kind] | entry.mode, 0, EPOCH, size, 1, major, minor, name)


def fields(number: int, mode: int, links: int, mtime: int, size: int, device: int,
           major: int, minor: int, name: bytes) -> bytes:
    owner = 0, 0
    values = (number, mode, *owner, links, mtime, size, 0, device, major, minor, len(name) + 1, 0)
    text = b"070701" + b"".join(b"%08x" % value for value in values) + name + b"\0"
    return text + bytes(-len(text) % ALIGNMENT)


def write_archive(tree: Tree, target: pathlib.Path) -> None:
    """Writes an archive. It has the bytes that bsdtar gives it from a tar archive of the same
    tree: hosts whose initramfs differs boot differently by a microsecond."""
    with open(target, "wb") as archive:
        for number, (path, entry) in enumerate(sorted(with_parents(tree).items()), 1):
            name = os.fsencode(path) + b"/" * (entry.kind == tarfile.DIRTYPE)
            if entry.content:
                size = entry.content.stat().st_size
                archive.write(header(number, name, entry, size))
                with open(entry.content, "rb") as file:
                    shutil.copyfileobj(file, archive, 1 << 20)
            else:
                target_of_link = os.fsencode(entry.target)
                size = len(target_of_link)
                archive.write(header(number, name, entry, size) + target_of_link)
            archive.write(bytes(-size % ALIGNMENT))
        archive.write(fields(0, 0, 1, 0, 0, 0, 0, 0, b"TRAILER!!!"))
