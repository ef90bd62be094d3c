# SPDX-License-Identifier: Apache-2.0
"""Writes what an installation has below share/: the manual and the completions.

    python3 -m parkvmm.packages.share --version VERSION [--front] FOLDER

Called when CMake installs. The pages have the date of SOURCE_DATE_EPOCH, if that is set.
"""

import argparse
import gzip
import pathlib
import shutil
import subprocess

from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure, end_with
from parkvmm.packages import completions, manual

DEADLINE = 60  # seconds for scdoc, which takes none


def roff_of(page: str) -> bytes:
    """Returns a page as man takes it."""
    if not shutil.which("scdoc"):
        raise Failure(UNAVAILABLE, "scdoc, which makes the manual, is missing; run tools/setup "
                      "packages")
    done = subprocess.run(["scdoc"], input=page.encode(), capture_output=True, check=False,
                          timeout=DEADLINE)
    if done.returncode:
        raise Failure(INTERNAL, f"scdoc: {done.stderr.decode().strip()}")
    return done.stdout


def contents(version: str, front: bool) -> dict[str, bytes]:
    """Returns the files by their paths below share/."""
    found = {f"man/man1/{name}.gz": gzip.compress(roff_of(page), mtime=0)
             for name, page in manual.pages(version, front).items()}
    return found | {path: text.encode() for path, text in completions.files(front).items()}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--version", required=True)
    parser.add_argument("--front", action="store_true")
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args(argv)
    found = contents(options.version, options.front)
    shutil.rmtree(options.folder, ignore_errors=True)
    for path, data in found.items():
        (options.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (options.folder / path).write_bytes(data)
    return 0


if __name__ == "__main__":
    end_with("share", main)
