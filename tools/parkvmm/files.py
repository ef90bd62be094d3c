# SPDX-License-Identifier: Apache-2.0
"""Files, by content."""

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
