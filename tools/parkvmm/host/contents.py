# SPDX-License-Identifier: Apache-2.0
"""What is in the emulated host: an initramfs that all commands share, and a command's files."""

import argparse
import os
import pathlib
import shlex
import time

from parkvmm import cpio
from parkvmm.cache import cached
from parkvmm.cpio import Tree
from parkvmm.files import digest
from parkvmm.host.messages import say
from parkvmm.host.words import named_files, unlocked
from parkvmm.modules import closure
from parkvmm.paths import BIN, BUSYBOX, INSTALLED, KERNELS, ROOT
from parkvmm.process import run_tool

KIND = "arm64-host"  # of cached files
INIT = pathlib.Path(__file__).with_name("init")
HOST_UNPACK = BIN / "host-unpack"
INSIDE = "/parkvmm"  # the repository's root in the emulated host
# Lines by the port that woke a saved host. Nobody waits for this process, nor for its output.
ORDERS = """( while read -r what first second; do
  case $what in
    signal) kill -$first $$ ;;
    size) stty -F /dev/hvc0 rows $first cols $second ;;
  esac
done >/dev/null 2>&1 </dev/vport0p5 & )
"""
HOST_MODULES = ["virtio_pci", "virtio_console", "virtio_blk", "ext4"]  # Or built in.


def stripped(path: pathlib.Path) -> pathlib.Path:
    """Returns the program without its symbols, which are most of what would be loaded. An
    installed one has none."""
    if INSTALLED:
        return path
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return path
    with cached(KIND, f"strip-{digest(path)}") as (copy, draft):
        if draft:
            run_tool(["aarch64-linux-gnu-strip", "-o", str(draft), str(path)],
                     "run tools/setup emulator")
    return copy


def base_tree(options: argparse.Namespace, folder: pathlib.Path) -> Tree:
    """Returns what boots. Modules are unpacked into the folder."""
    tree: Tree = {name: cpio.directory() for name in
                  ("dev", "parkvmm", "proc", "results", "run", "sys", "tmp")}
    tree["bin/busybox"] = cpio.regular(BUSYBOX, executable=True)
    tree["bin/host-unpack"] = cpio.regular(HOST_UNPACK, executable=True)
    tree["init"] = cpio.regular(INIT, executable=True)
    tree["dev/console"] = cpio.console()
    # Beside a kernel that was fetched by name, never what lies beside a user's file.
    modules = options.host_kernel.parent / "lib" / "modules"
    if KERNELS in modules.parents and modules.is_dir():
        for number, (name, content) in enumerate(closure(modules, HOST_MODULES).items()):
            path = folder / f"{number:02}-{name}.ko"
            path.write_bytes(content)
            tree[f".host/modules/{path.name}"] = cpio.regular(path)
    return tree


def base_archive(options: argparse.Namespace, folder: pathlib.Path) -> pathlib.Path:
    """Returns the initramfs."""
    tree = base_tree(options, folder)
    with cached(KIND, f"base-{cpio.key_of(tree)}.cpio") as (archive, draft):
        if draft:
            cpio.write_archive(tree, draft)
    return archive


def add_programs(tree: Tree) -> None:
    """Adds the programs of the build, which every command gets."""
    programs = [path for path in sorted(BIN.glob("*"))
                if path.is_file() and os.access(path, os.X_OK)]
    started = time.monotonic()
    for number, path in enumerate(programs):
        if time.monotonic() - started > 1:
            say(f"preparing {path.name}, {number + 1} of {len(programs)} programs")
            started = time.monotonic()
        tree[f"parkvmm/{path.relative_to(ROOT)}"] = cpio.regular(stripped(path), True)


def add_file(tree: Tree, path: pathlib.Path) -> None:
    """Adds a file of the repository, or a folder with all that is below it."""
    source = ROOT / path
    if source.is_file():
        if source.parent != BIN or not os.access(source, os.X_OK):  # Others are there.
            tree[f"parkvmm/{path}"] = cpio.regular(source)
        return
    tree[f"parkvmm/{path}"] = cpio.directory()
    for folder, _, files in os.walk(source):
        relative = pathlib.Path(folder).relative_to(ROOT)
        tree[f"parkvmm/{relative}"] = cpio.directory()
        for name in files:
            if (ROOT / relative / name).is_file():  # No sockets, no dead links.
                add_file(tree, relative / name)


def command_script(options: argparse.Namespace) -> str:
    """Returns the command as a script for the shell of the emulated host."""
    words = [word.replace("@RESULTS@", "/results").replace(f"{ROOT}/", f"{INSIDE}/")
             for word in options.command]
    others = unlocked(options.command)
    export = f"export PARKVMM_UNLOCKED={shlex.quote(others)}\n" if others else ""
    # The date of a saved host is that of its boot.
    date = "" if options.deterministic else f"/bin/date -s @{time.time():.0f} >/dev/null\n"
    return (f"{date}cd {INSIDE}\n"
            f"export PATH={INSIDE}/{BIN.relative_to(ROOT)}:/bin RESULTS=/results\n"
            f"{export}{ORDERS if options.out else ''}exec {shlex.join(words)}\n")


def payload_tree(options: argparse.Namespace, folder: pathlib.Path) -> Tree:
    """Returns the files of a command. Its script is written into the folder."""
    tree: Tree = {}
    add_programs(tree)
    for path in [*options.file, *named_files(options.command)]:
        add_file(tree, path)
    script = folder / "command"
    script.write_text(command_script(options))
    tree[".host/command"] = cpio.regular(script)
    if options.out:
        tree[".host/wants-results"] = cpio.directory()
    return tree
