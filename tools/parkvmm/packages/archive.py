# SPDX-License-Identifier: Apache-2.0
"""Archives that depend on names, contents and who may execute what, and on nothing else."""

import gzip
import os
import pathlib
import stat
import tarfile

from parkvmm.files import digest_now

SUMS = "SHA256SUMS"


def node_of(path: pathlib.Path, name: str, epoch: int) -> tarfile.TarInfo:
    """Returns a file, folder or link as root has it. Of its mode only counts whether its owner
    may execute it."""
    status = os.lstat(path)
    node = tarfile.TarInfo(name)
    node.mtime = epoch
    node.uname = node.gname = "root"
    if stat.S_ISLNK(status.st_mode):
        node.type, node.mode, node.linkname = tarfile.SYMTYPE, 0o777, os.readlink(path)
    elif stat.S_ISDIR(status.st_mode):
        node.type, node.mode = tarfile.DIRTYPE, 0o755
    else:
        node.size, node.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return node


def compressed(source: pathlib.Path, target: pathlib.Path) -> None:
    """Compresses a file by gzip, which every Linux has, without a name and a time."""
    with open(source, "rb") as file, open(target, "wb") as raw, \
            gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        while data := file.read(1 << 20):
            packed.write(data)


def pack(folder: pathlib.Path, name: str, target: pathlib.Path, epoch: int) -> None:
    """Packs a folder as `name`, in an archive that is compressed by gzip."""
    draft = target.with_name(target.name + ".draft")
    with tarfile.open(draft, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in [folder, *sorted(folder.rglob("*"))]:
            inside = pathlib.PurePath(name, path.relative_to(folder))
            node = node_of(path, str(inside), epoch)
            if node.isreg():
                with open(path, "rb") as file:
                    tar.addfile(node, file)
            else:
                tar.addfile(node)
    compressed(draft, target)
    draft.unlink()


def sums(files: list[pathlib.Path]) -> str:
    """Returns lines that `sha256sum -c` takes."""
    return "".join(f"{digest_now(path)}  {path.name}\n" for path in sorted(files))
