# SPDX-License-Identifier: Apache-2.0
"""What the words of a command stand for."""

import os
import pathlib
from collections.abc import Iterator

from parkvmm.debian import lock
from parkvmm.paths import DEBIAN, KERNEL_SOURCE, OWN_KERNELS, ROOT


def inside_repository(text: str) -> pathlib.Path | None:
    """Returns a path relative to the repository if it exists in there. Links may lead out."""
    try:
        path = pathlib.Path(os.path.normpath(ROOT / text))
        if path.is_relative_to(ROOT) and path != ROOT and path.exists():
            return path.relative_to(ROOT)
    except (OSError, ValueError):  # Too long, or with a NUL.
        pass
    return None


def named_files(command: list[str]) -> Iterator[pathlib.Path]:
    """Yields files of the repository that words of a command name, also as --option=FILE."""
    for word in command:
        for text in (word, word.partition("=")[2]):
            path = inside_repository(text) if text else None
            if path and (ROOT / path).is_file():
                yield path


def unlocked(command: list[str]) -> str:
    """Returns what took the place of locked packages, for the results: of those that
    every run uses, and of the source if a kernel of tools/guest-kernel is named."""
    folders = [DEBIAN]
    if any((ROOT / path).is_relative_to(OWN_KERNELS) for path in named_files(command)):
        folders.append(KERNEL_SOURCE)
    return ",".join(lock.unlocked(*folders))
