# SPDX-License-Identifier: Apache-2.0
"""Builds the initramfs of a measured guest: build/guest/initramfs.cpio.

    tools/guest-image [OPTION]...

In it: guest-init as /init, busybox as /bin/sh, and as /boot/Image the kernel
that guest-init kexecs into. The same input gives the same bytes, whoever builds
it and when; nothing is done if the file is there and right.

Exit status: 2 usage, 69 something is missing.
"""

import argparse
import os
import pathlib
from typing import NoReturn

from parkvmm import cpio
from parkvmm.debian import kernels
from parkvmm.failure import UNAVAILABLE, USAGE, Failure
from parkvmm.paths import BIN, BUSYBOX, GUEST, IMAGE, remedy

INIT = BIN / "guest-init"
OUTPUT = GUEST / "initramfs.cpio"

# Source files by their path in the guest, without the first slash.
Files = dict[str, pathlib.Path]
# Can be executed even if their source cannot: an installed tree has busybox among its data.
PROGRAMS = ("init", "bin/busybox")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, f"{message}; see tools/guest-image --help")


def added_file(text: str) -> tuple[str, pathlib.Path]:
    source, separator, target = text.rpartition(":")
    path = os.path.normpath(target)
    if (not separator or not source or not target.startswith("/")
            or path == "/" and not os.path.isdir(source)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE:/PATH")
    return path.lstrip("/"), pathlib.Path(source)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="tools/guest-image", allow_abbrev=False, description=__doc__,
                    usage="tools/guest-image [OPTION]...",
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", metavar="IMAGE", default=str(IMAGE),
                        help="uncompressed Image to kexec into, or its name: debian:7.3 "
                        "(default: that of tools/packages.lock)")
    parser.add_argument("--no-kernel", action="store_true",
                        help="none: for a guest that never kexecs")
    parser.add_argument("--init", metavar="FILE", type=pathlib.Path, default=INIT,
                        help="guest-init (default: the arm64 build's)")
    parser.add_argument("--output", metavar="FILE", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--module", metavar="FILE", type=pathlib.Path, default=[],
                        action="append", help="a kernel module; it goes to /lib")
    parser.add_argument("--add", metavar="FILE:/PATH", type=added_file, default=[],
                        action="append",
                        help="one more file, or all below a directory, and where it goes")
    return parser.parse_args(argv)


def tree_of(files: Files) -> cpio.Tree:
    """Returns the nodes of the archive."""
    tree: cpio.Tree = {name: cpio.directory() for name in ("dev", "proc", "sys", "tmp")}
    tree["dev/console"] = cpio.console()
    tree["bin/sh"] = cpio.link("busybox")
    return tree | {path: cpio.regular(source, executable=True if path in PROGRAMS else None)
                   for path, source in files.items()}


def check_kernel(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        header = file.read(64)
    if header[56:60] != b"ARMd":
        raise Failure(USAGE, f"{path} is no uncompressed arm64 Image, and kexec "
                      "takes no other")


def below(folder: pathlib.Path, path: str) -> Files:
    return {str(pathlib.PurePath(path, source.relative_to(folder))): source
            for source in sorted(folder.rglob("[!.]*")) if source.is_file()}


def collect(options: argparse.Namespace) -> Files:
    files = {"init": options.init, "bin/busybox": BUSYBOX}
    remedies = {options.init: remedy("tools/build arm64"), BUSYBOX: remedy("tools/setup"),
                IMAGE: remedy("tools/setup")}
    if not options.no_kernel:
        files["boot/Image"] = kernels.path_of(options.kernel)
    files |= {f"lib/{module.name}": module for module in options.module}
    for path, source in options.add:
        files |= below(source, path) if source.is_dir() else {path: source}
    for source in files.values():
        if not source.is_file():
            what = remedies.get(source, "name a file")
            raise Failure(UNAVAILABLE, f"{source} is missing; {what}")
    if "boot/Image" in files:
        check_kernel(files["boot/Image"])
    return files


def stamp_of(archive: pathlib.Path, key: str) -> str:
    """Returns a stamp that fits this very file, and no copy of it."""
    status = archive.stat()
    return f"{key} {status.st_ino} {status.st_size} {status.st_mtime_ns}\n"


def is_current(output: pathlib.Path, stamp: pathlib.Path, key: str) -> bool:
    return (output.exists() and stamp.exists()
            and stamp.read_text() == stamp_of(output, key))


def publish(tree: cpio.Tree, output: pathlib.Path, stamp: pathlib.Path, key: str) -> None:
    """Replaces the archive. Readers see the old one or the new one, never half of one."""
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f"{output.name}.{os.getpid()}")
    try:
        cpio.write_archive(tree, draft)
        text = stamp_of(draft, key)
        draft.rename(output)
        stamp.write_text(text)
    finally:
        draft.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    options = parse(argv)
    tree = tree_of(collect(options))
    key = cpio.key_of(tree)
    stamp = options.output.with_name(options.output.name + ".stamp")
    if not is_current(options.output, stamp, key):
        publish(tree, options.output, stamp, key)
    return 0
