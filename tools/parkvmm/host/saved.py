# SPDX-License-Identifier: Apache-2.0
"""Keeps emulated hosts that are up, as QEMU's migration streams, below build/cache.

A file is a header of HEADER bytes and the stream. The header says what the stream depends on, how
long it is, and its SHA-256: a file that is not what it says it is, is not used.
"""

import argparse
import contextlib
import hashlib
import mmap
import os
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import BinaryIO

from parkvmm import cache
from parkvmm.files import digest
from parkvmm.host.machine import LIVE_SOCKETS, QEMU, full_version, qemu_command

FOLDER = "saved-hosts"  # of build/cache
HEADER = 4096  # bytes
LIMIT = 2 << 30  # bytes of all files; the newest stay
DRAFT_AGE = 3600  # seconds after which a draft belongs to nobody
CHUNK = 1 << 20
# The clock of virtual time in a stream: a subsection and its version. Before it are three numbers
# of 64 bits, which are times of this machine.
REAL_TIMES = 24  # bytes
CLOCK = b"\x05\x0ctimer/icount\x00\x00\x00\x01"


class Damaged(Exception):
    """A file is not a saved host, or not the one that was asked for."""


def key_of(options: argparse.Namespace, initramfs: pathlib.Path) -> str:
    """Returns a hash of everything that the state of a host depends on."""
    binary = shutil.which(QEMU)
    status = os.stat(binary) if binary else None
    names = ("monitor", "poke", *(LIVE_SOCKETS if options.live else ()))
    words = qemu_command(options, pathlib.Path("run"), initramfs, sockets=dict.fromkeys(names, 0))
    parts = [*words, full_version(), str(status and (status.st_size, status.st_mtime_ns)),
             digest(options.host_kernel), digest(initramfs)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def path_of(key: str) -> pathlib.Path:
    return cache.CACHE / FOLDER / key


def header(key: str, size: int, sha256: str) -> bytes:
    return f"parkvmm saved host 1\n{key}\n{size}\n{sha256}\n".encode().ljust(HEADER, b"\0")


class SavedHost:
    """A saved host whose file is open: it can be used even if another process removes it."""

    def __init__(self, key: str) -> None:
        """Raises FileNotFoundError if there is none, Damaged if it is another, or not whole."""
        self.path = path_of(key)
        self._file = open(self.path, "rb", buffering=0)
        try:
            with contextlib.suppress(OSError):
                os.utime(self.path)
            said = os.pread(self._file.fileno(), HEADER, 0)
            words = said.split(b"\n", 4)
            if len(words) < 5 or not words[2].isdigit():
                raise Damaged("it is no saved host")
            self._size, self._sha256 = int(words[2]), words[3].decode(errors="replace")
            if said != header(key, self._size, self._sha256):
                raise Damaged("it is another one")
            if os.fstat(self._file.fileno()).st_size != HEADER + self._size:
                raise Damaged("it is not whole")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "SavedHost":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def stream(self) -> int:
        """Returns a descriptor that QEMU reads the stream from."""
        os.lseek(self._file.fileno(), HEADER, os.SEEK_SET)
        return self._file.fileno()

    def check(self) -> None:
        """Raises Damaged if the stream is not as it was written. Moves no file position."""
        found = digest_of(self._file, self._size)
        if found != self._sha256:
            raise Damaged("its checksum is wrong")

    def remove(self) -> None:
        """Removes the file, unless another process has put a new one in its place."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno())):
                self.path.unlink()


def digest_of(file: BinaryIO, size: int) -> str:
    found = hashlib.sha256()
    end = HEADER + size
    for offset in range(HEADER, end, CHUNK):
        found.update(os.pread(file.fileno(), min(CHUNK, end - offset), offset))
    return found.hexdigest()


@contextlib.contextmanager
def draft_of(key: str) -> Iterator[BinaryIO]:
    """Yields a file to write a stream to, from where it stands on.

    The caller calls `keep` when the stream is there. Two processes at once do the same work at
    worst.
    """
    path = path_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{key}.{os.getpid()}")
    try:
        with open(draft, "w+b", buffering=0) as file:
            file.write(bytes(HEADER))
            yield file
    finally:
        draft.unlink(missing_ok=True)


def keep(file: BinaryIO, key: str) -> None:
    """Makes a draft the saved host of that key, and removes the oldest ones."""
    size = os.fstat(file.fileno()).st_size - HEADER
    os.pwrite(file.fileno(), header(key, size, digest_of(file, size)), 0)
    path = path_of(key)
    path.with_name(f"{key}.{os.getpid()}").rename(path)
    evict(path.parent)


def evict(folder: pathlib.Path) -> None:
    """Removes saved hosts, the longest unused first, until the others are within LIMIT."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # Another process was faster.
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    total = 0
    for number, (used, size, path) in enumerate(sorted(found, reverse=True)):
        if path.suffix:  # A draft.
            if used < time.time() - DRAFT_AGE:
                path.unlink(missing_ok=True)
            continue
        total += size
        if number and total > LIMIT:
            path.unlink(missing_ok=True)


def clear_times(file: BinaryIO) -> None:
    """Sets the times of this machine in a draft's stream to 0: virtual time does not use them, and
    two boots give the same stream. Raises Damaged if there are none."""
    with mmap.mmap(file.fileno(), 0) as stream:
        at = stream.rfind(CLOCK)  # Devices come after the memory.
        if at < REAL_TIMES:
            raise Damaged("QEMU's state has no clock of virtual time")
        stream[at - REAL_TIMES:at] = bytes(REAL_TIMES)
