# SPDX-License-Identifier: Apache-2.0
"""What tools/setup makes of unpacked packages, part by part.

Called by tools/setup, which has installed what this needs. A part is a folder
below build/ that carries the key of what it was made from; what is current is
left alone.
"""

import argparse
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Callable

from parkvmm.debian import lock
from parkvmm.debian.apt import RELEASES, Apt, Offer, unpack
from parkvmm.failure import DATA, UNAVAILABLE, Failure, end_with
from parkvmm.files import first
from parkvmm.paths import BUILD, GUEST

UNPACK_DEADLINE = 1200  # seconds for the kernel's source
STAMP = ".stamp"
DRAFT = "setup."  # what names of folders that are being filled begin with
LIBRARIES = "lib/aarch64-linux-gnu"
PEER, PEER_RELEASE = "qemu-system-arm", "bookworm"


def os_release() -> dict[str, str]:
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', pathlib.Path("/etc/os-release").read_text(),
                           re.MULTILINE))


def architecture_here() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True,
                          text=True, timeout=60).stdout.strip()


class Setup:
    def __init__(self, *, quiet: bool, locked: bool) -> None:
        self._quiet = quiet
        self._locked = locked
        self._here = architecture_here()
        self._reminded: set[pathlib.Path] = set()
        self._apt = functools.cache(lambda architecture: Apt(architecture, RELEASES, self.say))

    def say(self, message: str) -> None:
        if not self._quiet:
            print(f"setup: {message}", file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        print(f"setup: {message}", file=sys.stderr, flush=True)

    def is_current(self, folder: pathlib.Path, key: str) -> bool:
        stamp = folder / STAMP
        return (stamp.exists() and stamp.read_text().strip() == key
                and not (self._locked and lock.unlocked(folder)))

    def remind(self, folder: pathlib.Path) -> None:
        """Says, once, what a folder holds in place of locked packages."""
        packages = lock.unlocked(folder)
        if packages and folder not in self._reminded:
            self.warn(f"{folder.relative_to(BUILD.parent)} holds {', '.join(packages)} in place of "
                      "what is locked: figures will differ from the published ones")
        self._reminded.add(folder)

    def publish(self, draft: pathlib.Path, folder: pathlib.Path, key: str) -> None:
        """Whoever looks sees the old folder or the new one."""
        (draft / STAMP).write_text(key + "\n")
        folder.parent.mkdir(parents=True, exist_ok=True)
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    def make(self, folder: pathlib.Path, key: str,
             fill: Callable[[pathlib.Path, pathlib.Path], None]) -> bool:
        """Makes a folder, unless it is current. `fill` gets an empty one, and one for
        what is needed meanwhile."""
        if self.is_current(folder, key):
            self.remind(folder)
            return False
        scratch = BUILD / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        # Only one tools/setup runs here at a time; these are of one that was killed.
        for stale in scratch.glob(f"{DRAFT}*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=scratch) as name:
            work, draft = pathlib.Path(name), pathlib.Path(name, "new")
            draft.mkdir()
            fill(draft, work)
            self.publish(draft, folder, key)
        return True

    def fetch_locked(self, part: str, work: pathlib.Path,
                     kernel: Offer | None = None) -> list[lock.Package]:
        """A part's packages, unpacked into work/root."""
        packages: list[lock.Package] = []
        for line in lock.read(part, self._here):
            of_a_kernel = line.name.startswith("linux-")
            packages.append(lock.fetch(
                line, self._apt(line.architecture), work / "debs", locked=self._locked,
                kernel=kernel if of_a_kernel else None, say=self.say, warn=self.warn))
        unpack([package.file for package in packages], work / "root")
        return packages

    def other_kernel(self) -> Offer | None:
        """Returns the kernel in place of the locked one, if that was not to be had."""
        for package in lock.read_record(GUEST / "debian"):
            if str(package["name"]).startswith("linux-image-") and not package["locked"]:
                return Offer(str(package["name"]), str(package["version"]))
        return None

    def require_fit(self, packages: list[lock.Package]) -> None:
        """Fails if a package belongs to another kernel than the guest's, which may have
        been fetched when the mirror still had both."""
        guest = {lock.kernel_of(str(package["name"]))
                 for package in lock.read_record(GUEST / "debian")} - {""}
        for package in packages:
            if lock.kernel_of(package.name) not in guest:
                raise Failure(UNAVAILABLE, f"{package.name} does not fit the kernel in "
                              f"build/guest/debian, {', '.join(guest)}, of which the mirror has "
                              "no headers any more; remove build/guest/debian, and a kernel that "
                              "has them is fetched")

    # --- the parts -----------------------------------------------------------

    def sysroot(self, libraries: list[str]) -> None:
        """arm64's libraries for the cross compiler, of this machine's release."""
        release = os_release()
        codename = release.get("VERSION_CODENAME", "")
        if codename not in RELEASES:
            raise Failure(UNAVAILABLE, f"{release.get('PRETTY_NAME', 'this system')} is none of "
                          f"Debian's {', '.join(RELEASES)}; use the container that README.md "
                          "describes")
        key = hashlib.sha256(f"{codename} {libraries}".encode()).hexdigest()

        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            apt = Apt("arm64", (codename,), self.say)
            # The cross compiler brings the C and C++ libraries; these would hide its own.
            own = {offer.name for offer in apt.closure("libc6-dev", "libstdc++6")}
            offers = [offer for offer in apt.closure(*libraries) if offer.name not in own]
            self.say(f"fetching {len(offers)} arm64 libraries")
            unpack(apt.download(work / "debs", offers).values(), draft)
            relink(draft)
            (draft / "packages").write_text("".join(
                f"{offer.name} {offer.version}\n" for offer in offers))

        if self.make(BUILD / "sysroot", key, fill):
            self.say("build/sysroot holds arm64's libraries")

    def guest(self) -> None:
        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            packages = self.fetch_locked("guest", work)
            root = work / "root"
            for name, *patterns in (
                    ("Image", "boot/vmlinuz-*"), ("config", "boot/config-*"),
                    ("busybox", "bin/busybox", "usr/bin/busybox")):
                source = first(root, *patterns)
                if not source:
                    raise Failure(DATA, f"the packages have no {patterns[0]}")
                shutil.move(source, draft / name)
            keep_licences(packages, root, draft / "licences")
            lock.write_record(packages, draft)

        key = f"{lock.key_of(lock.read('guest', self._here))} with licences"
        if self.make(GUEST / "debian", key, fill):
            self.say("build/guest/debian holds Debian's kernel and busybox")

    def kernel(self) -> None:
        self.guest()
        kernel = self.other_kernel()

        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            packages = self.fetch_locked("kernel", work, kernel)
            archive = first(work / "root", "usr/src/linux-source-*.tar.xz")
            # A third of it is register names of graphics cards.
            done = subprocess.run(
                ["tar", "-xJf", str(archive), "-C", str(draft), "--strip-components", "1",
                 "--exclude", "*/drivers/gpu/drm/amd/include/*"],
                check=False, timeout=UNPACK_DEADLINE, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise Failure(DATA, "cannot unpack the kernel's source")
            lock.write_record(packages, draft)

        if self.make(GUEST / "linux", self.key("kernel", kernel), fill):
            self.say("build/guest/linux holds the kernel's source")

    def module(self) -> None:
        self.guest()
        kernel = self.other_kernel()

        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            packages = self.fetch_locked("module", work, kernel)
            self.require_fit(packages)
            shutil.copytree(work / "root/usr", draft, symlinks=True, dirs_exist_ok=True)
            # The one absolute path in there.
            for makefile in draft.glob("src/linux-headers-*-cloud-arm64/Makefile"):
                makefile.write_text(makefile.read_text().replace(
                    "/usr/src/", f"{GUEST}/headers/src/"))
            lock.write_record(packages, draft)

        if self.make(GUEST / "headers", self.key("module", kernel), fill):
            self.say("build/guest/headers holds the headers of Debian's kernel")

    def key(self, part: str, kernel: Offer | None) -> str:
        text = lock.key_of(lock.read(part, self._here))
        return text if kernel is None else hashlib.sha256(f"{text} {kernel}".encode()).hexdigest()

    def checks(self) -> None:
        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            packages = self.fetch_locked("checks", work)
            # The libraries are not locked: nothing is measured by them.
            stress, = (package for package in packages if package.name == "stress-ng")
            apt = self._apt("arm64")
            offers = [offer for offer in apt.closure(f"stress-ng={stress.version}")
                      if offer.name != "stress-ng"]
            unpack(apt.download(work / "libraries", offers).values(), work / "libs")
            shutil.copytree(work / "root", work / "libs", symlinks=True, dirs_exist_ok=True)
            root = work / "libs"
            (draft / "bin").mkdir()
            shell = first(root, "bin/bash-static", "usr/bin/bash-static")
            if not shell:
                raise Failure(DATA, "the packages have no bin/bash-static")
            shutil.copy(shell, draft / "bin/bash")
            copy_with_libraries(root / "usr/bin/stress-ng", root, draft)
            lock.write_record(packages, draft)

        if self.make(GUEST / "checks", lock.key_of(lock.read("checks", self._here)), fill):
            self.say("build/guest/checks holds bash and stress-ng")

    def peer(self) -> None:
        """Debian 12's arm64 QEMU, which is measured beside the VMM. It is not locked: its
        figures name its version."""
        def fill(draft: pathlib.Path, work: pathlib.Path) -> None:
            apt = Apt("arm64", (PEER_RELEASE,), self.say)
            offers = apt.closure(PEER)
            self.say(f"fetching {PEER} and {len(offers) - 1} packages that it needs")
            unpack(apt.download(work / "debs", offers).values(), work / "root")
            (draft / "bin").mkdir()
            copy_with_libraries(work / "root/usr/bin/qemu-system-aarch64", work / "root", draft)
            version, = (offer.version for offer in offers if offer.name == PEER)
            (draft / "version").write_text(version + "\n")

        if self.make(BUILD / "peer", f"{PEER_RELEASE} {PEER}", fill):
            self.say("build/peer holds Debian 12's arm64 QEMU")


def sources_of(fields: dict[str, str]) -> list[str]:
    """Returns the source packages, each with its version, of what a package holds: its own, and
    those that it says it was built from, as a program that is linked statically does, and a
    kernel that was only signed."""
    found = []
    for text in [fields.get("Source") or fields["Package"],
                 *filter(None, fields.get("Built-Using", "").split(", "))]:
        name, _, version = text.partition(" ")
        found.append(f"{name} {version.strip('(=) ') or fields['Version']}")
    return found


def keep_licences(packages: list[lock.Package], root: pathlib.Path, folder: pathlib.Path) -> None:
    """Keeps what whoever hands a package's files on has to hand on with them: what Debian says of
    its authors and licences, and which sources it is built from."""
    folder.mkdir()
    sources = {}
    for package in packages:
        text = subprocess.run(["dpkg-deb", "-f", str(package.file)], check=True, text=True,
                              capture_output=True, timeout=60).stdout
        sources[package.name] = sources_of(dict(
            re.findall(r"^([\w-]+): (.*)$", text, re.MULTILINE)))
        found = root / "usr/share/doc" / package.name / "copyright"
        if not found.exists():
            raise Failure(DATA, f"{package.name} says nothing of its licence")
        shutil.copyfile(found, folder / f"{package.name}.copyright")
    (folder / "sources.json").write_text(json.dumps(sources, indent=1) + "\n")


def relink(root: pathlib.Path) -> None:
    """Absolute links would lead out of the sysroot to this machine's files."""
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = pathlib.Path(folder, name)
            if path.is_symlink() and (target := os.readlink(path)).startswith("/"):
                path.unlink()
                path.symlink_to(os.path.relpath(f"{root}{target}", folder))


def copy_with_libraries(program: pathlib.Path, root: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a program of unpacked packages to bin, and the libraries that it is linked with to
    where it looks for them."""
    shutil.copy(program, target / "bin")
    (target / LIBRARIES).mkdir(parents=True)
    for name in needed(program, root):
        source = first(root, f"{LIBRARIES}/{name}", f"usr/{LIBRARIES}/{name}",
                       f"lib/{name}", f"usr/lib/{name}")
        if not source:
            raise Failure(DATA, f"{program.name} needs {name}, which none of its packages has")
        where = "lib" if name.startswith("ld-linux") else LIBRARIES
        shutil.copy(source.resolve(), target / where / name)


def needed(program: pathlib.Path, root: pathlib.Path) -> list[str]:
    """Returns names of the libraries that a program is linked with, and their own."""
    seen: list[str] = []
    todo = [program]
    while todo:
        said = subprocess.run(["readelf", "-d", str(todo.pop())], check=True, text=True,
                              capture_output=True, timeout=60).stdout
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", said):
            if name not in seen:
                seen.append(name)
                todo += [path for path in [first(root, f"{LIBRARIES}/{name}",
                                                 f"usr/{LIBRARIES}/{name}")] if path]
    return seen


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/setup", allow_abbrev=False)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--locked", action="store_true")
    parser.add_argument("--libraries", type=str.split, default=[])
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args(argv)
    setup = Setup(quiet=options.quiet, locked=options.locked)
    for part in options.parts:
        if part == "sysroot":
            setup.sysroot(options.libraries)
        else:
            getattr(setup, part)()
    return 0


if __name__ == "__main__":
    end_with("setup", main)
