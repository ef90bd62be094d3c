# SPDX-License-Identifier: Apache-2.0
"""Writes what an installation has below share/: the manual, completions, documents, licences.

    python3 -m parkvmm.packages.share --version VERSION --kind vmm|tree FOLDER

Called when CMake installs. The pages have the date of SOURCE_DATE_EPOCH, if that is set.
"""

import argparse
import gzip
import pathlib
import platform
import shutil
import subprocess

from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure, end_with
from parkvmm.packages import completions, manual, sources
from parkvmm.paths import ROOT

DEADLINE = 60  # seconds for scdoc, which takes none
DOCUMENTS = "doc/parkvmm"
# What a user reads; the rest is for those who have the source.
COPIED = ("LICENSE", "README.md", "CHANGELOG.md", "docs/guide.md", "docs/ci.md", "docs/formats.md",
          "docs/parking.md", "docs/glossary.md", "docs/costs.md")
COPYRIGHT = """\
parkvmm: Copyright the parkvmm authors.

Licensed under the Apache License, Version 2.0. On Debian systems its text is in
/usr/share/common-licenses/Apache-2.0; elsewhere it is the file LICENSE beside
this one.

The programs are linked statically with libraries. Their authors and licences
are in the folder third-party beside this file, with those of all else that is
not parkvmm's, and with where the source of each is.
"""


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


def manual_and_completions(version: str, front: bool) -> dict[str, bytes]:
    """Returns files by their paths below share/."""
    found = {f"man/man1/{name}.gz": gzip.compress(roff_of(page), mtime=0)
             for name, page in manual.pages(version, front).items()}
    return found | {path: text.encode() for path, text in completions.files(front).items()}


def documents(front: bool, commit: str) -> dict[str, bytes]:
    """Returns the same for doc/."""
    compiler = "gcc" if platform.machine() == "aarch64" else "aarch64-linux-gnu-gcc"
    found = {f"{DOCUMENTS}/{name}": (ROOT / name).read_bytes() for name in COPIED}
    found |= {f"{DOCUMENTS}/docs/schemas/{path.name}": path.read_bytes()
              for path in (ROOT / "docs/schemas").glob("*.json")}
    found[f"{DOCUMENTS}/copyright"] = COPYRIGHT.encode()
    return found | {f"{DOCUMENTS}/third-party/{name}": data for name, data in
                    sources.contents(front, commit, compiler).items()}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--version", required=True)
    parser.add_argument("--commit", default="")
    parser.add_argument("--kind", choices=("vmm", "tree"), required=True)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args(argv)
    front = options.kind == "tree"
    found = manual_and_completions(options.version, front) | documents(front, options.commit)
    shutil.rmtree(options.folder, ignore_errors=True)
    for path, data in found.items():
        (options.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (options.folder / path).write_bytes(data)
    return 0


if __name__ == "__main__":
    end_with("share", main)
