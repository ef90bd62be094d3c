# SPDX-License-Identifier: Apache-2.0
"""Archives for the kernel depend on what is in them, and on nothing else."""

import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest
from parkvmm import cpio

needs_bsdtar = pytest.mark.skipif(not shutil.which("bsdtar"), reason="bsdtar is not installed")


def tree_in(folder: pathlib.Path) -> cpio.Tree:
    """Returns a tree whose files lie in a folder of their own."""
    folder.mkdir()
    (folder / "init").write_text("#!/bin/sh\n")
    os.chmod(folder / "init", 0o700)
    (folder / "a file").write_bytes(bytes(1000))
    return {"init": cpio.regular(folder / "init"),
            "lib/deep/a file": cpio.regular(folder / "a file"), "bin/sh": cpio.link("busybox"),
            "dev/console": cpio.console()}


def test_the_same_tree_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    trees = [tree_in(tmp_path / name) for name in ("one", "other")]
    trees[1] = dict(reversed(trees[1].items()))
    archives = [tmp_path / name for name in ("one.cpio", "other.cpio")]
    for tree, archive in zip(trees, archives):
        cpio.write_archive(tree, archive)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert cpio.key_of(trees[0]) == cpio.key_of(trees[1])


@needs_bsdtar
def test_the_bytes_are_those_of_bsdtar(tmp_path: pathlib.Path) -> None:
    """bsdtar wrote these archives before. Others boot at other virtual times."""
    tree = tree_in(tmp_path / "files")
    cpio.write_archive(tree, tmp_path / "ours")
    with tarfile.open(tmp_path / "tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in sorted(cpio.with_parents(tree).items()):
            node = tarfile.TarInfo(path)
            node.type, node.mode, node.mtime = entry.kind, entry.mode, cpio.EPOCH
            node.linkname = entry.target
            node.devmajor, node.devminor = 5, 1
            node.size = entry.content.stat().st_size if entry.content else 0
            tar.addfile(node, open(entry.content, "rb") if entry.content else None)
    subprocess.run(["bsdtar", "--format=newc", "-cf", tmp_path / "theirs",
                    f"@{tmp_path / 'tar'}"], check=True, timeout=60)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@needs_bsdtar
def test_everything_is_in_it_with_its_parents(tmp_path: pathlib.Path) -> None:
    cpio.write_archive(tree_in(tmp_path / "files"), tmp_path / "archive")
    listing = subprocess.run(["bsdtar", "-tvf", tmp_path / "archive"], capture_output=True,
                             text=True, check=True, timeout=60).stdout.splitlines()
    seen = {line.split(maxsplit=8)[8]: line.split()[0] for line in listing}
    assert seen == {"bin/": "drwxr-xr-x", "bin/sh -> busybox": "lrwxrwxrwx", "dev/": "drwxr-xr-x",
                    "dev/console": "crw-------", "init": "-rwxr-xr-x", "lib/": "drwxr-xr-x",
                    "lib/deep/": "drwxr-xr-x", "lib/deep/a file": "-rw-r--r--"}
    console, = (line.split() for line in listing if line.endswith("console"))
    assert console[4] == "5,1"


@pytest.mark.parametrize("change", [
    {"init": cpio.link("busybox")}, {"bin/sh": cpio.link("bash")}, {"tmp": cpio.directory()}])
def test_the_key_depends_on_each_node(tmp_path: pathlib.Path, change: cpio.Tree) -> None:
    tree = tree_in(tmp_path / "files")
    assert cpio.key_of(tree | change) != cpio.key_of(tree)
