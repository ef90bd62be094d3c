# SPDX-License-Identifier: Apache-2.0
"""Files, by content or by name."""

import functools
import hashlib
import pathlib


def digest_now(path: pathlib.Path) -> str:
    """SHA-256, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def digest(path: pathlib.Path) -> str:
    """The same, of a file that does not change while we run."""
    return digest_now(path)


def first(folder: pathlib.Path, *patterns: str) -> pathlib.Path | None:
    """Returns the first file below a folder that fits one of the patterns."""
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)
