# SPDX-License-Identifier: Apache-2.0
"""What others have written and is handed out with parkvmm: licences, and where the source is.

The programs are linked statically, so they hold parts of the libraries that they were built with.
An installed tree holds a kernel and busybox as well.
"""

import dataclasses
import json
import pathlib
import re
import subprocess

from parkvmm.debian import lock
from parkvmm.failure import DATA, UNAVAILABLE, Failure
from parkvmm.paths import BUILD, DEBIAN

SYSROOT = BUILD / "sysroot"
LICENCES = DEBIAN / "licences"  # what parkvmm/debian/parts.py keeps of packages
COMMON = pathlib.Path("/usr/share/common-licenses")
# Packages that hold what the programs are linked with, besides those of the compiler.
LIBRARIES = ("libabsl-dev", "libacl1-dev", "libarchive-dev", "libattr1-dev", "libbz2-dev",
             "libcli11-dev", "libfdt-dev", "liblzma-dev", "libzstd-dev", "nettle-dev",
             "nlohmann-json3-dev", "zlib1g-dev")
ARCHIVES = ("libc.a", "libstdc++.a", "libgcc.a")  # the compiler's
DEADLINE = 60  # seconds for dpkg, which takes none


@dataclasses.dataclass(frozen=True)
class Part:
    """A package of which something is handed out."""
    name: str
    version: str
    sources: tuple[str, ...]  # source packages with their versions; empty: as the package
    use: str
    licence: pathlib.Path  # Debian's copyright file

    def record(self) -> dict[str, str | list[str]]:
        return {"name": self.name, "version": self.version, "sources": list(self.sources),
                "use": self.use}


def output_of(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=DEADLINE)
    if done.returncode:
        raise Failure(UNAVAILABLE, f"{' '.join(words)}: {done.stderr.strip()}; run tools/setup")
    return done.stdout.strip()


def installed(name: str) -> str:
    """Returns the version of a package of this machine."""
    return output_of("dpkg-query", "-W", "-f", "${Version}", name)


def linked(compiler: str) -> list[Part]:
    """Returns what the programs are linked with: from build/sysroot where they were built for
    another machine, else from this one."""
    if SYSROOT.is_dir():
        versions = dict(line.split() for line in (SYSROOT / "packages").read_text().splitlines())
        documents = SYSROOT / "usr/share/doc"
    else:
        versions = {name: installed(name) for name in LIBRARIES}
        documents = pathlib.Path("/usr/share/doc")
    found = [Part(name, versions[name], (), "linked into the programs",
                  documents / name / "copyright") for name in LIBRARIES]
    for archive in ARCHIVES:
        path = pathlib.Path(output_of(compiler, f"-print-file-name={archive}")).resolve()
        name = output_of("dpkg-query", "-S", str(path)).partition(": ")[0].partition(":")[0]
        part = Part(name, installed(name), (), "linked into the programs",
                    pathlib.Path("/usr/share/doc") / name / "copyright")
        if part not in found:
            found.append(part)
    return found


def guests() -> list[Part]:
    """Returns the kernel and busybox."""
    sources = json.loads((LICENCES / "sources.json").read_text())
    found = []
    for package in lock.read_record(DEBIAN):
        name = str(package["name"])
        found.append(Part(name, str(package["version"]), tuple(sources[name]), "as Debian built it",
                          LICENCES / f"{name}.copyright"))
    return found


def common_licences(text: str) -> set[str]:
    """Returns the texts that a copyright file of Debian's leaves to every Debian system."""
    return set(re.findall(rf"{COMMON}/([\w.-]*\w)", text))


def explain(parts: list[Part], commit: str) -> str:
    rows = ""
    for part in parts:
        sources = ", ".join(part.sources) or "its own"
        rows += f"| {part.name} | {part.version} | {sources} | {part.use} |\n"
    return f"""<!-- SPDX-License-Identifier: Apache-2.0 -->
# Whose work this is, and where its source is

parkvmm is under the Apache License 2.0. Its source is commit {commit or 'unknown'} of its
repository, and the source archive of the same release. It says how the programs are built, so they
can be linked with other versions of the libraries below.

What it holds of others comes from Debian, unchanged:

| package | version | source packages | what |
|---|---|---|---|
{rows}
Beside this file, NAME.copyright is what Debian says of the authors and licences of each, with the
texts of the licences that those name. packages.json is the table above for programs.

The source of each is on Debian's mirrors. On a Debian system with deb-src lines

    apt-get source NAME=VERSION

fetches it. Once a version has left the mirrors, Debian's snapshot archive has it, from which
`debsnap SOURCE VERSION` (in the package devscripts) fetches it.
"""


def contents(front: bool, commit: str, compiler: str) -> dict[str, bytes]:
    """Returns files by name."""
    parts = [*(guests() if front else []), *linked(compiler)]
    found: dict[str, bytes] = {}
    for part in parts:
        if not part.licence.exists():
            raise Failure(DATA, f"{part.licence} is missing, without which {part.name} must not be "
                          "handed out; run tools/setup")
        text = part.licence.read_bytes()
        found[f"{part.name}.copyright"] = text
        for name in common_licences(text.decode(errors="replace")):
            found[name] = (COMMON / name).read_bytes()
    found["packages.json"] = (json.dumps([part.record() for part in parts], indent=1) +
                              "\n").encode()
    return found | {"README.md": explain(parts, commit).encode()}
