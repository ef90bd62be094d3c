# SPDX-License-Identifier: Apache-2.0
"""A private apt state: package lists of other suites and architectures.

It reads the mirror that the machine's apt reads, by the machine's proxy, and
keeps everything below build/: the machine's lists and package database do not
change. Packages are signed by the keys of debian-archive-keyring.
"""

import collections.abc
import dataclasses
import functools
import os
import pathlib
import re
import subprocess
from typing import Callable

from parkvmm import locks
from parkvmm.failure import UNAVAILABLE, Failure
from parkvmm.paths import BUILD

STEP_DEADLINE = 1200  # seconds for one call of apt
RELEASES = ("bullseye", "bookworm", "trixie")  # Linux 5.10 to today's.
VARIETIES = ("", "-updates", "-security", "-backports")
TARGET_FORMAT = "$(SITE)\t$(RELEASE)\t$(ORIGIN)"  # of apt-get indextargets
KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp")
# Read after the machine's own configuration, whose hooks are not run.
CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::Languages "none";
"""


@dataclasses.dataclass(frozen=True)
class Sites:
    """Addresses of the mirror. `security` is empty if the machine reads none."""
    main: str
    security: str


def sites_of(targets: str) -> Sites:
    """Finds the mirror in lines of TARGET_FORMAT. Other people's repositories, which
    may have the same releases, are of another origin."""
    if not targets.strip():
        raise Failure(UNAVAILABLE, "this machine's apt has no package lists; run apt-get update")
    found = {"main": "", "security": ""}
    for line in targets.splitlines():
        site, release, origin = line.split("\t")
        if origin != "Debian" or not re.fullmatch(
                r"[a-z]+(-(updates|backports|security|proposed-updates)|/updates)?", release):
            continue
        kind = "security" if re.search(r"-security$|/updates$", release) else "main"
        found[kind] = found[kind] or site
    if not found["main"]:
        raise Failure(UNAVAILABLE, "this machine's apt reads no Debian mirror; use Debian, or the "
                      "container that README.md describes")
    return Sites(**found)


def machine_sites() -> Sites:
    """Asks the machine's apt which mirror it reads."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages"],
        capture_output=True, text=True, check=False, timeout=60)
    return sites_of(targets.stdout)


def source_lines(sites: Sites, suites: list[str], keyring: str) -> str:
    lines = []
    for suite in suites:
        site = sites.security if suite.endswith("-security") else sites.main
        if site:
            lines.append(f"deb [signed-by={keyring}] {site} {suite} main")
    return "\n".join(lines) + "\n"


def suites_of(*releases: str) -> list[str]:
    return [f"{release}{variety}" for release in releases for variety in VARIETIES]


def refused_suites(errors: str, suites: list[str]) -> list[str]:
    """Returns the suites that a mirror does not have, or no longer signs, by what an
    update says. A network that fails refuses no suite."""
    complaints = [line for line in errors.splitlines()
                  if re.match(r"[EW]:", line) and re.search(
                      r"Release file|GPG error|OpenPGP|not signed|Not Found", line)]
    words = {word.rstrip("/") for line in complaints for word in re.findall(r"[\w.-]+", line)}
    return [suite for suite in suites if suite in words]


@functools.cache
def keyring() -> str:
    for path in KEYRINGS:
        if os.path.exists(path):
            return path
    raise Failure(UNAVAILABLE, "debian-archive-keyring is not installed; apt-get install it")


@functools.cache
def is_newer(version: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", other],
                          check=False, timeout=60, stderr=subprocess.DEVNULL).returncode == 0


def newest_first(offers: "list[Offer]") -> "list[Offer]":
    def compare(one: Offer, other: Offer) -> int:
        return is_newer(one.version, other.version) - is_newer(other.version, one.version)

    return sorted(offers, reverse=True, key=functools.cmp_to_key(compare))


def newest(offers: "list[Offer]") -> "Offer":
    """Returns the one with the highest version; there has to be one."""
    return newest_first(offers)[0]


class Gone(Failure):
    """The lists name a package that the mirror no longer has."""


@dataclasses.dataclass(frozen=True)
class Offer:
    """A package on a mirror."""
    name: str
    version: str
    suite: str = ""


class Apt:
    """Package lists of an architecture, read on first use. For one thread."""

    def __init__(self, architecture: str, releases: tuple[str, ...],
                 say: Callable[[str], None]) -> None:
        self.architecture = architecture
        self._suites = suites_of(*releases)
        self._say = say
        name = architecture if releases == RELEASES else f"{architecture}-{'-'.join(releases)}"
        self._state = BUILD / "apt" / name
        self._ready = False

    def _options(self) -> list[str]:
        state = self._state
        options = {
            "APT::Architecture": self.architecture, "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",  # Not _apt, which may not write below build/.
            "Dir::State": state, "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status", "Dir::Cache": state / "cache",
            "Dir::Etc::sourcelist": state / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null"}
        return ["-c", str(state / "apt.conf")] + [
            word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def _call(self, program: str, *words: str, cwd: pathlib.Path | None = None,
              ) -> subprocess.CompletedProcess[str]:
        command = [program, *self._options(), *words]
        try:
            return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False,
                                  timeout=STEP_DEADLINE, stdin=subprocess.DEVNULL,
                                  env=os.environ | {"LC_ALL": "C"})
        except subprocess.TimeoutExpired:
            raise Failure(UNAVAILABLE, f"waited {STEP_DEADLINE} s for {program} "
                          f"{words[0]}") from None

    def _update(self) -> None:
        """Reads the lists, unless this process has. Waits for another that does."""
        if not self._ready:
            with locks.held(self._state.with_name(f".{self._state.name}.lock"), STEP_DEADLINE,
                            self._say):
                self._read_lists()

    def _read_lists(self) -> None:
        self._say(f"reading {self.architecture} package lists of {', '.join(self._suites)}")
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._state / folder).mkdir(parents=True, exist_ok=True)
        (self._state / "status").touch()
        (self._state / "apt.conf").write_text(CONFIGURATION)
        sites = machine_sites()
        # A release that is archived has left the mirror, and some have no backports.
        for _ in self._suites:
            (self._state / "sources.list").write_text(
                source_lines(sites, self._suites, keyring()))
            done = self._call("apt-get", "-qq", "update", "--error-on=any")
            if done.returncode == 0:
                self._ready = True
                return
            refused = refused_suites(done.stderr, self._suites)
            self._suites = [suite for suite in self._suites if suite not in refused]
            if not refused or not self._suites:
                break
            self._say(f"doing without {', '.join(refused)}, which the mirror does not have or no "
                      "longer signs")
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
        raise Failure(UNAVAILABLE, f"no {self.architecture} package lists from {sites.main}: "
                      f"{reason}; check the network, and what this machine's apt reads")

    def names(self, prefix: str) -> list[str]:
        self._update()
        return sorted(self._call("apt-cache", "pkgnames", prefix).stdout.split())

    def offers(self, *names: str) -> list[Offer]:
        """Returns all versions of packages with these very names."""
        self._update()
        if not names:
            return []
        found = []
        for line in self._call("apt-cache", "madison", *names).stdout.splitlines():
            name, version, place = (word.strip() for word in line.split("|"))
            suite = place.split()[1].partition("/")[0]
            found.append(Offer(name, version, suite))
        return found

    def closure(self, *packages: str) -> list[Offer]:
        """Returns what apt would install to have these packages, them included."""
        self._update()
        done = self._call("apt-get", "--simulate", "--no-install-recommends", "install", *packages)
        if done.returncode:
            reason = [line for line in done.stdout.splitlines() if "Depends:" in line]
            reason += [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise Failure(UNAVAILABLE, f"cannot resolve {' '.join(packages)}: "
                          f"{(reason or ['apt gives no reason'])[0].strip()}")
        return [Offer(*match) for match in
                re.findall(r"^Inst (\S+) \((\S+)", done.stdout, re.MULTILINE)]

    def download(self, folder: pathlib.Path, offers: list[Offer]) -> dict[str, pathlib.Path]:
        """Fetches packages, whose signatures apt checks. Returns their files by name."""
        self._update()
        folder.mkdir(parents=True, exist_ok=True)
        words = [f"{offer.name}={offer.version}" for offer in offers]
        done = self._call("apt-get", "-qq", "download", *words, cwd=folder)
        # By version, too: what an earlier call left in the folder is not an answer.
        files = {offer.name: path for offer in offers for path in folder.glob(
            f"{offer.name}_{offer.version.replace(':', '%3a')}_*.deb")}
        missing = [word for offer, word in zip(offers, words) if offer.name not in files]
        if done.returncode or missing:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            kind = Gone if " 404 " in reason else Failure
            raise kind(UNAVAILABLE, f"cannot fetch {' '.join(missing or words)}: {reason}")
        return files


def unpack(packages: collections.abc.Iterable[pathlib.Path], target: pathlib.Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for package in packages:
        done = subprocess.run(["dpkg-deb", "-x", str(package), str(target)], check=False,
                              timeout=STEP_DEADLINE, capture_output=True, text=True)
        if done.returncode:
            raise Failure(UNAVAILABLE, f"cannot unpack {package.name}: {done.stderr.strip()}")
