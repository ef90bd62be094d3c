# SPDX-License-Identifier: Apache-2.0
"""Writes cpio archives that Linux takes as an initramfs.

The same tree gives the same bytes, on any machine and at any time.
"""

import dataclasses
import hashlib
import os
import pathlib
import tarfile

from parkvmm.files import digest
from parkvmm.process import run_tool

EPOCH = 1767225600  # 2026-01-01, the time of every file


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


def write_archive(tree: Tree, target: pathlib.Path) -> None:
    """Writes an archive by way of a tar archive.

    A tar archive has no inode numbers. bsdtar would copy those of the source files
    into the cpio archive, and hosts whose initramfs differs boot differently by a
    microsecond.
    """
    draft = target.with_name(target.name + ".tar")
    try:
        with tarfile.open(draft, "w", format=tarfile.GNU_FORMAT) as tar:
            for path, entry in sorted(with_parents(tree).items()):
                node = tarfile.TarInfo(path)
                node.type, node.mode, node.mtime = entry.kind, entry.mode, EPOCH
                node.linkname = entry.target
                node.devmajor, node.devminor = 5, 1  # Only the console uses them.
                if entry.content:
                    node.size = entry.content.stat().st_size
                    with open(entry.content, "rb") as file:
                        tar.addfile(node, file)
                else:
                    tar.addfile(node)
        run_tool(["bsdtar", "--format=newc", "-cf", str(target), f"@{draft}"],
                 "run tools/setup")
    finally:
        draft.unlink(missing_ok=True)
