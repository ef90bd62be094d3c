# SPDX-License-Identifier: Apache-2.0
"""Keeps files that take time to make."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator

from parkvmm.paths import BUILD

CACHE = BUILD / "cache"
AGE = 24 * 3600  # seconds that a file is kept after its last use


@contextlib.contextmanager
def cached(kind: str, name: str) -> Iterator[tuple[pathlib.Path, pathlib.Path | None]]:
    """Yields a path, and a draft if the file is not there yet.

    The block makes the draft, which then becomes the file. The name holds a hash of
    everything that the content depends on, so a file that exists is right. Two
    processes at once do the same work at worst.
    """
    folder = CACHE / kind
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        os.utime(path)
        yield path, None
        return
    draft = path.with_name(f"{name}.{os.getpid()}")
    try:
        yield path, draft
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    for other in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # Another process was faster.
            if other.stat().st_mtime < time.time() - AGE:
                other.unlink()
