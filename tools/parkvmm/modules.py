# SPDX-License-Identifier: Apache-2.0
"""Kernel modules, and what they depend on."""

import lzma
import pathlib
import re


def name_of(path: pathlib.Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def content_of(path: pathlib.Path) -> bytes:
    """Returns a module as the kernel takes it, uncompressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def dependencies_of(module: bytes) -> list[str]:
    """Returns the names in a module's `depends=`, which modpost wrote into .modinfo."""
    match = re.search(rb"\0depends=([\w,-]*)\0", module)
    words = match[1].decode().split(",") if match else []
    return [word.replace("-", "_") for word in words if word]


def closure(folder: pathlib.Path, names: list[str]) -> dict[str, bytes]:
    """Returns modules below a folder and what they need, in the order to load them in. A
    name that is no module there is built into the kernel, or missing: it is left out."""
    paths = {name_of(path): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in paths:
            return
        module = content_of(paths[name])
        for other in dependencies_of(module):
            add(other)
        found[name] = module

    for name in names:
        add(name)
    return found
