# SPDX-License-Identifier: Apache-2.0
"""tools/packages.lock: the packages whose exact bytes give the published figures.

A version that the mirror no longer has is replaced by the newest of its series
on offer. Results then carry its name as `unlocked`.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
from typing import Callable

from parkvmm.debian.apt import Apt, Gone, Offer, newest_first
from parkvmm.failure import DATA, UNAVAILABLE, Failure
from parkvmm.files import digest_now
from parkvmm.paths import LOCK

# A kernel's version is part of its packages' names: 6.12.117+deb12, 6.12.90+deb13.1.
KERNEL_VERSION = re.compile(r"(\d+\.\d+)\.\d+\+deb\d+(?:[.+]\d+)?")
RECORD = "packages.json"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the lock."""
    name: str
    architecture: str
    version: str
    sha256: str
    part: str
    purpose: str
    runs_here: bool = dataclasses.field(default=False, repr=False)  # Named with an architecture.


@dataclasses.dataclass(frozen=True)
class Package:
    """A package that was fetched."""
    name: str
    version: str
    sha256: str
    locked: bool
    file: pathlib.Path

    def record(self) -> dict[str, str | bool]:
        return {name: value for name, value in dataclasses.asdict(self).items()
                if name != "file"}


def parse(text: str) -> list[Line]:
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=4)
        if len(words) != 5:
            raise Failure(DATA, f"{LOCK.name}, line {number}: name, version, sha256, part and "
                          "purpose are wanted")
        package, version, sha256, part, purpose = words
        name, _, architecture = package.partition(":")
        lines.append(Line(name, architecture or "arm64", version, sha256, part, purpose,
                          bool(architecture)))
    return lines


def read(part: str, here: str) -> list[Line]:
    """Returns the lines of a part that a machine of architecture `here` needs: those of
    programs that run on another are left out."""
    return [line for line in parse(LOCK.read_text())
            if line.part == part and (not line.runs_here or line.architecture == here)]


def key_of(lines: list[Line]) -> str:
    return hashlib.sha256(repr(lines).encode()).hexdigest()


def series_of(name: str) -> re.Pattern[str]:
    """Returns a pattern of the names of the same series: other versions of the same
    kernel."""
    match = KERNEL_VERSION.search(name)
    if not match:
        return re.compile(re.escape(name))
    before, after = re.escape(name[:match.start()]), re.escape(name[match.end():])
    return re.compile(rf"{before}{re.escape(match[1])}\.\d+\+deb\d+(?:[.+]\d+)?{after}")


def kernel_of(name: str) -> str:
    """Returns the kernel's version in a package's name, or ""."""
    match = KERNEL_VERSION.search(name)
    return match[0] if match else ""


def belongs_to(offer: Offer, kernel: Offer) -> bool:
    if kernel_of(offer.name):
        return kernel_of(offer.name) == kernel_of(kernel.name)
    return offer.version == kernel.version


def in_its_place(line: Line, apt: Apt, kernel: Offer | None) -> list[Offer]:
    """Returns what is on offer of a line's series, the newest first. With `kernel`, which
    took the place of the locked one, only what belongs to that kernel."""
    series, match = series_of(line.name), KERNEL_VERSION.search(line.name)
    prefix = line.name[:match.start()] if match else line.name
    offers = apt.offers(*[name for name in apt.names(prefix) if series.fullmatch(name)])
    if kernel:
        fitting = [offer for offer in offers if belongs_to(offer, kernel)]
        # Any source of the series is better than none.
        offers = fitting or ([] if match else offers)
    if not offers:
        raise Failure(UNAVAILABLE, f"the mirror has neither {line.name} {line.version} nor "
                      "another of its series")
    return newest_first(offers)


def fetch_first(offers: list[Offer], apt: Apt, folder: pathlib.Path,
                ) -> tuple[Offer, pathlib.Path]:
    """Fetches the first that the mirror really has: its lists may be ahead of it."""
    for offer in offers[:-1]:
        try:
            return offer, apt.download(folder, [offer])[offer.name]
        except Gone:
            pass
    return offers[-1], apt.download(folder, [offers[-1]])[offers[-1].name]


def fetch(line: Line, apt: Apt, folder: pathlib.Path, *, locked: bool,
          kernel: Offer | None, say: Callable[[str], None],
          warn: Callable[[str], None]) -> Package:
    """Fetches the locked package; or, unless `locked` insists, the one in its place.
    Says what is fetched, and warns if it is another one."""
    say(f"fetching {line.name} {line.version}: {line.purpose}")
    wanted = Offer(line.name, line.version)
    lacking = "is not on the mirror"
    found = ""
    if not kernel and any(offer.version == line.version for offer in apt.offers(line.name)):
        with contextlib.suppress(Gone):
            file = apt.download(folder / line.name, [wanted])[line.name]
            found = digest_now(file)
            if found == line.sha256:
                return Package(line.name, line.version, found, True, file)
            lacking = f"has sha256 {found}, and {LOCK.name} says {line.sha256}"
            file.unlink()
    if locked:
        raise Failure(DATA if found else UNAVAILABLE,
                      f"{line.name} {line.version} {lacking}; without --locked another version "
                      "will do, with figures that differ from the published ones")
    other, file = fetch_first(in_its_place(line, apt, kernel), apt, folder / line.name)
    if kernel:
        lacking = f"does not belong to {kernel.name}"
    warn(f"{line.name} {line.version} {lacking}: taking {other.name} {other.version}; figures "
         "will differ from the published ones")
    return Package(other.name, other.version, digest_now(file), False, file)


def write_record(packages: list[Package], folder: pathlib.Path) -> None:
    (folder / RECORD).write_text(
        json.dumps([package.record() for package in packages], indent=1) + "\n")


def read_record(folder: pathlib.Path) -> list[dict[str, str | bool]]:
    """Returns what a folder was made from; nothing if there is no such folder."""
    path = folder / RECORD
    return json.loads(path.read_text()) if path.exists() else []


def unlocked(*folders: pathlib.Path) -> list[str]:
    """Returns names and versions of what took the place of a locked package."""
    return [f"{package['name']} {package['version']}" for folder in folders
            for package in read_record(folder) if not package["locked"]]
