# SPDX-License-Identifier: Apache-2.0
"""What goes into the emulated host for one call of `vmm`: the program, its files, a script."""

import os
import pathlib
import shlex
import time

from parkvmm import cpio
from parkvmm.cpio import Tree
from parkvmm.front.files import Files
from parkvmm.front.folder import pack
from parkvmm.host.contents import INSIDE, ORDERS, stripped
from parkvmm.host.machine import FILE_PORT, STDIN_PORT
from parkvmm.host.words import unlocked
from parkvmm.paths import BIN, ROOT

PROGRAMS = f"{INSIDE}/{BIN.relative_to(ROOT)}"
STDIN = f"""mkfifo /run/stdin
( cat </dev/vport0p{STDIN_PORT} >/run/stdin 2>/dev/null & )
exec </run/stdin
"""
# The terminal becomes that of the session whose leader the script is.
TTY = """exec </dev/hvc0
stty raw -echo
"""


def place(target: str, path: str) -> str:
    """Returns commands that make a link in a folder that need not be there."""
    return (f"mkdir -p -- {shlex.quote(os.path.dirname(path))}\n"
            f"ln -sfn {target} {shlex.quote(path)}\n")


ENVIRONMENT = "/.host/environment"


def script(program: str, files: Files, source: str, size: tuple[int, int],
           deterministic: bool) -> str:
    """Returns the shell script that runs the program with the files' words. `source` is what
    its stdin is: "tty" of so many rows and columns, "pipe", or "" for none."""
    folder = shlex.quote(os.getcwd())
    others = unlocked([file.path for file in files.inputs])
    lines = "" if deterministic else f"date -s @{time.time():.0f} >/dev/null\n"
    for number, file in enumerate(files.inputs):
        lines += place(f"/.host/files/{number}", file.inside)
    for number, output in enumerate(files.outputs):
        lines += place(f"/dev/vport0p{FILE_PORT + number}", output.inside)
    lines += f"mkdir -p -- {folder} && cd {folder} || exit 70\n"
    lines += f"export PATH={PROGRAMS}:/bin\n"
    lines += f"export PARKVMM_UNLOCKED={shlex.quote(others)}\n" if others else ""
    lines += f"export PARKVMM_ENVIRONMENT={ENVIRONMENT}\n" if files.command else ""
    lines += ORDERS
    lines += {"tty": TTY, "pipe": STDIN}.get(source, "")
    if source == "tty" and all(size):
        lines += f"stty rows {size[0]} cols {size[1]}\n"
    return lines + f"exec {shlex.join([program, *files.words])}\n"


def tree_of(text: str, files: Files, run: pathlib.Path) -> Tree:
    """Returns what is unpacked. The script is written into the folder, as is an archive of each
    that is taken along."""
    tree: Tree = {f"{PROGRAMS[1:]}/vmm": cpio.regular(stripped(BIN / "vmm"), True)}
    for number, file in enumerate(files.inputs):
        path = pathlib.Path(file.path)
        if file.is_folder:
            path = run / f"root{number}.tar"
            pack(file.path, path)
        tree[f".host/files/{number}"] = cpio.regular(path, False)
    if files.command:
        environment = run / "environment"
        environment.write_bytes(b"".join(name + b"=" + value + b"\0"
                                         for name, value in os.environb.items()))
        tree[ENVIRONMENT[1:]] = cpio.regular(environment)
    path = run / "command"
    path.write_bytes(text.encode(errors="surrogateescape"))
    tree[".host/command"] = cpio.regular(path)
    return tree
