# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels by name: debian:7.3, debian:6.12-16k, debian:6.1-rt.

    tools/kernel list [NAME]    what is on offer, and what is fetched
    tools/kernel fetch NAME...  fetches them; prints where each Image lies
    tools/kernel check NAME...  whether these can be names; asks no mirror

A NAME is debian:SERIES[-FLAVOUR]. SERIES is 7.3, for the newest of that series,
or 7.3.4. FLAVOUR is cloud (the default: small, made for virtual machines), 16k
or 64k (page size), rt, or arm64 (Debian's plain one). Wherever our tools ask
for a kernel, a name does as well as a path.

A kernel is fetched once, into build/kernels/NAME/: Image, config, System.map,
lib/modules/, and info.json. `fetch --update` looks for a newer one.

Exit status: 2 usage, 65 no arm64 kernel in the package, 69 the mirror has none,
75 another fetch did not end.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

from parkvmm import locks
from parkvmm.debian.apt import RELEASES, Apt, Gone, Offer, newest, unpack
from parkvmm.failure import DATA, UNAVAILABLE, USAGE, Failure, end_with
from parkvmm.files import digest_now, first
from parkvmm.paths import INSTALLED, KERNELS, SCRATCH, tool

SCHEME = "debian:"
FLAVOURS = {"cloud": "cloud-arm64", "16k": "arm64-16k", "64k": "arm64-64k", "rt": "rt-arm64",
            "arm64": "arm64"}
NAME = re.compile(r"debian:(\d+\.\d+(?:\.\d+)?)(?:-(\w+))?")
# linux-image-6.12.117+deb12-cloud-arm64, linux-image-6.1.0-56-rt-arm64. The kernel
# is in linux-binary-* of the same name from 6.19 on.
PACKAGE = re.compile(r"linux-image-(\d+\.\d+\.\d+(?:\+deb\d+(?:[.+]\d+)?|-[\w.]+?))-"
                     rf"({'|'.join(FLAVOURS.values())})(-unsigned)?")
FETCH_DEADLINE = 1200  # seconds for another fetch to end
IMAGE_MAGIC = b"ARM\x64"  # At byte 56: Documentation/arch/arm64/booting.rst.


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What a name asks for."""
    series: str  # 7.3 or 7.3.4
    flavour: str

    @property
    def name(self) -> str:
        return f"{SCHEME}{self.series}" + f"-{self.flavour}" * (self.flavour != "cloud")

    @property
    def folder(self) -> pathlib.Path:
        return KERNELS / f"debian-{self.series}-{self.flavour}"

    @property
    def image(self) -> pathlib.Path:
        return self.folder / "Image"

    def fits(self, offer: Offer) -> bool:
        match = PACKAGE.fullmatch(offer.name)
        upstream = re.match(r"(?:\d+:)?([\d.]+)", offer.version)
        return bool(match and upstream and match[2] == FLAVOURS[self.flavour]
                    and f"{upstream[1]}.".startswith(f"{self.series}."))


def is_name(text: str) -> bool:
    return text.startswith(SCHEME)


def parse_name(text: str) -> Kernel:
    match = NAME.fullmatch(text)
    if not match:
        raise Failure(USAGE, f"{text!r} is no kernel's name such as debian:7.3 or debian:6.12-16k")
    flavour = match[2] or "cloud"
    if flavour not in FLAVOURS:
        raise Failure(USAGE, f"{text!r}: no flavour {flavour}; there are: {', '.join(FLAVOURS)}")
    return Kernel(match[1], flavour)


def choose(kernel: Kernel, offers: list[Offer]) -> Offer | None:
    """Returns the newest that fits, or None. A package that is not signed yet holds the
    same kernel, and is taken if no signed one fits."""
    fitting = [offer for offer in offers if kernel.fits(offer)]
    signed = [offer for offer in fitting if not offer.name.endswith("-unsigned")]
    return newest(signed or fitting) if fitting else None


def images(apt: Apt) -> list[Offer]:
    """Returns the image packages of all kernels on offer."""
    names = [name for name in apt.names("linux-image-") if PACKAGE.fullmatch(name)]
    return apt.offers(*names)


def packages_of(chosen: Offer, apt: Apt) -> list[Offer]:
    """Returns the packages of a kernel. Of an old one a mirror may no longer have the
    modules."""
    tail = chosen.name.removeprefix("linux-image-").removesuffix("-unsigned")
    beside = [name for name in apt.names("linux-")
              if name in (f"linux-binary-{tail}", f"linux-modules-{tail}", f"linux-base-{tail}")]
    return [chosen] + [newest(apt.offers(name)) for name in beside]


def arrange(root: pathlib.Path, draft: pathlib.Path, name: str) -> str:
    """Moves what the packages hold to where we keep it. Returns the kernel's release."""
    image = first(root, "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")
    if not image:
        raise Failure(DATA, f"{name}: the packages hold no kernel")
    release = image.parent.name if image.name == "vmlinuz" else image.name.partition("-")[2]
    with open(image, "rb") as file:
        header = file.read(64)
    if header[56:60] != IMAGE_MAGIC:
        raise Failure(DATA, f"{name}: {image.name} is no uncompressed arm64 Image")
    shutil.move(image, draft / "Image")
    for kind in ("config", "System.map"):
        source = first(root, f"boot/{kind}-*", f"usr/lib/modules/*/{kind}",
                       f"lib/modules/*/{kind}")
        if source:
            shutil.move(source, draft / kind)
    modules = first(root, f"usr/lib/modules/{release}/kernel", f"lib/modules/{release}/kernel")
    if modules:
        (draft / "lib/modules").mkdir(parents=True)
        shutil.move(modules.parent, draft / "lib/modules" / release)
    return release


def say(message: str) -> None:
    print(f"kernel: {message}", file=sys.stderr, flush=True)


@functools.cache
def mirror() -> Apt:
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Failure(UNAVAILABLE, f"Debian's kernels are fetched by {program}, which is "
                          "missing; give the path of an Image")
    return Apt("arm64", RELEASES, say)


def fetch(kernel: Kernel, *, update: bool = False) -> pathlib.Path:
    """Returns where the Image lies, and fetches it if it is not there."""
    if kernel.image.exists() and not update:
        return kernel.image
    with locks.held(KERNELS / ".lock", FETCH_DEADLINE, say):
        if update or not kernel.image.exists():  # Somebody else may have fetched it.
            fetch_now(kernel, mirror())
    return kernel.image


def series_on_offer(offers: list[Offer]) -> list[str]:
    found = {".".join(offer.version.split(".")[:2]) for offer in offers}
    return sorted(found, key=lambda series: [int(word) for word in series.split(".")])


def download(kernel: Kernel, apt: Apt, offers: list[Offer], folder: pathlib.Path
             ) -> tuple[Offer, list[Offer], dict[str, pathlib.Path]]:
    """Fetches the newest that fits and that the mirror still has. Lists of a release
    that is no longer kept up name packages that are gone."""
    chosen = choose(kernel, offers)
    assert chosen
    packages = packages_of(chosen, apt)
    say(f"fetching {kernel.name}: {chosen.name} {chosen.version} from {chosen.suite}")
    try:
        return chosen, packages, apt.download(folder, packages)
    except Gone:
        others = [offer for offer in offers if offer != chosen]
        if not choose(kernel, others):
            raise
        say(f"{kernel.name}: the mirror's lists have {chosen.name}, the mirror has not")
        return download(kernel, apt, others, folder)


def fetch_now(kernel: Kernel, apt: Apt) -> None:
    offers = images(apt)
    chosen = choose(kernel, offers)
    if not chosen:
        raise Failure(UNAVAILABLE, f"the mirror has no {kernel.name}; it has the series "
                      f"{', '.join(series_on_offer(offers))}: see {tool('kernel')} list")
    if kernel.image.exists() and info(kernel)["version"] == chosen.version:
        return
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kernel.", dir=SCRATCH) as name:
        work, draft = pathlib.Path(name), pathlib.Path(name, "new")
        draft.mkdir()
        chosen, packages, files = download(kernel, apt, offers, work / "debs")
        unpack(files.values(), work / "root")
        release = arrange(work / "root", draft, kernel.name)
        (draft / "info.json").write_text(json.dumps({
            "name": kernel.name, "release": release, "package": chosen.name,
            "version": chosen.version, "suite": chosen.suite,
            "packages": [{"name": offer.name, "version": offer.version,
                          "sha256": digest_now(files[offer.name])} for offer in packages]},
            indent=1) + "\n")
        if not (draft / "lib").exists():
            say(f"{kernel.name}: the mirror has no modules of {release} any more")
        replace(draft, kernel.folder)


def replace(draft: pathlib.Path, folder: pathlib.Path) -> None:
    """Whoever looks sees the old folder or the new one, or for an instant none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f"{folder.name}.old.{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def info(kernel: Kernel) -> dict:
    return json.loads((kernel.folder / "info.json").read_text())


def path_of(text: str) -> pathlib.Path:
    """Returns a kernel of the user's: a path as it is; of a name, where its Image lies."""
    return fetch(parse_name(text)) if is_name(text) else pathlib.Path(text)


def table(prefix: str) -> list[str]:
    offers = images(mirror())
    rows = {}
    for series in series_on_offer(offers):
        for flavour in FLAVOURS:
            kernel = Kernel(series, flavour)
            if kernel.name.startswith(prefix) and (chosen := choose(kernel, offers)):
                rows[kernel] = chosen
    lines = [f"{'name':20} {'version':24} {'suite':20} fetched"]
    for kernel, chosen in rows.items():
        fetched = info(kernel)["version"] if kernel.image.exists() else "-"
        lines.append(f"{kernel.name:20} {chosen.version:24} {chosen.suite:20} {fetched}")
    return lines


def description() -> str:
    """Returns what --help says, with paths that are right here."""
    text = __doc__ or ""
    return text.replace("tools/kernel", tool("kernel")).replace(
        "build/kernels", str(KERNELS)) if INSTALLED else text


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=tool("kernel"), allow_abbrev=False, description=description(),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="what is on offer")
    listing.add_argument("prefix", nargs="?", default=SCHEME, metavar="NAME",
                         help="only names that begin so")
    checking = commands.add_parser("check", help="whether these can be names")
    fetching = commands.add_parser("fetch", help="fetch, and print where each Image lies")
    for command in (checking, fetching):
        command.add_argument("names", nargs="+", metavar="NAME")
    fetching.add_argument("--update", action="store_true",
                          help="a newer one of the series, if there is one")
    options = parser.parse_args(argv)
    if options.command == "list":
        print("\n".join(table(options.prefix)))
        return 0
    kernels = [parse_name(name) for name in options.names]
    if options.command == "fetch":
        for kernel in kernels:
            print(fetch(kernel, update=options.update))
    return 0


if __name__ == "__main__":
    end_with("kernel", main)
