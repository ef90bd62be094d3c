# SPDX-License-Identifier: Apache-2.0
"""Fetching of kernels and package lists, from a mirror and an apt that are made up."""

import json
import pathlib
import subprocess

import pytest
from parkvmm.debian import apt, kernels, lock, parts
from parkvmm.failure import UNAVAILABLE, Failure

NAMES = ("linux-image-6.12.1+deb13-cloud-arm64", "linux-image-6.12.2+deb13-cloud-arm64",
         "linux-image-6.1.0-9-rt-arm64")
RELEASE = "6.12.2+deb13-cloud-arm64"


class Mirror(apt.Apt):
    """Has kernels whose packages are empty files."""

    def __init__(self, *names: str) -> None:
        self.packages = [apt.Offer(name, name.split("-")[2].partition("+")[0] + "-1", "trixie")
                         for name in names]
        self.fetched: list[str] = []

    def names(self, prefix: str) -> list[str]:
        return [offer.name for offer in self.packages if offer.name.startswith(prefix)]

    def offers(self, *names: str) -> list[apt.Offer]:
        return [offer for offer in self.packages if offer.name in names]

    def download(self, folder: pathlib.Path, offers: list[apt.Offer]) -> dict[str, pathlib.Path]:
        self.fetched += [offer.name for offer in offers]
        folder.mkdir(parents=True, exist_ok=True)
        for offer in offers:
            (folder / offer.name).touch()
        return {offer.name: folder / offer.name for offer in offers}


@pytest.fixture
def mirror(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """A mirror, and a place for kernels of its own."""
    made = Mirror(*NAMES, f"linux-modules-{RELEASE}", f"linux-base-{RELEASE}", "linux-doc-6.12")

    def unpack(_packages: object, target: pathlib.Path) -> None:
        (target / "boot").mkdir(parents=True)
        (target / f"boot/vmlinuz-{RELEASE}").write_bytes(bytes(56) + b"ARM\x64" + bytes(4))

    monkeypatch.setattr(kernels, "unpack", unpack)
    monkeypatch.setattr(kernels, "SCRATCH", tmp_path / "build/tmp")
    monkeypatch.setattr(kernels, "KERNELS", tmp_path / "kernels")
    monkeypatch.setattr(kernels, "mirror", lambda: made)
    return made


def test_a_kernel_comes_with_what_it_was_made_from(mirror: Mirror, capsys) -> None:
    kernel = kernels.parse_name("debian:6.12")
    assert kernels.main(["fetch", "debian:6.12"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{kernel.image}\n" and kernel.image.exists()
    assert mirror.fetched == [NAMES[1], f"linux-modules-{RELEASE}", f"linux-base-{RELEASE}"]
    found = kernels.info(kernel)
    assert (found["name"], found["release"], found["package"], found["version"]) == (
        "debian:6.12", RELEASE, NAMES[1], "6.12.2-1")
    assert [package["name"] for package in found["packages"]] == mirror.fetched
    assert f"the mirror has no modules of {RELEASE} any more" in said.err


def test_only_an_update_replaces_a_kernel_and_only_by_a_newer_one(mirror: Mirror) -> None:
    kernel = kernels.parse_name("debian:6.12")
    kernels.fetch(kernel)
    count = len(mirror.fetched)
    kernels.fetch(kernel)
    kernels.fetch(kernel, update=True)
    assert len(mirror.fetched) == count
    info = kernel.folder / "info.json"
    info.write_text(json.dumps(kernels.info(kernel) | {"version": "6.12.1-1"}))
    (kernel.folder / "old").touch()
    kernels.fetch(kernel)
    assert len(mirror.fetched) == count
    kernels.fetch(kernel, update=True)
    assert kernels.info(kernel)["version"] == "6.12.2-1" and not (kernel.folder / "old").exists()
    assert [path.name for path in kernels.KERNELS.iterdir() if path.is_dir()] == [
        kernel.folder.name]


def test_a_series_that_is_not_on_offer_is_told_with_those_that_are(mirror: Mirror) -> None:
    with pytest.raises(Failure, match="no debian:7.3; it has the series 6.1, 6.12: see") as caught:
        kernels.fetch(kernels.parse_name("debian:7.3"))
    assert caught.value.status == UNAVAILABLE


def test_a_list_has_each_kernel_and_what_is_fetched(mirror: Mirror, capsys) -> None:
    kernels.fetch(kernels.parse_name("debian:6.12"))
    capsys.readouterr()
    assert kernels.main(["list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["name", "version", "suite", "fetched"],
                    ["debian:6.1-rt", "6.1.0-1", "trixie", "-"],
                    ["debian:6.12", "6.12.2-1", "trixie", "6.12.2-1"]]
    kernels.main(["list", "debian:6.12"])
    assert capsys.readouterr().out.count("\n") == 2


def test_a_check_asks_no_mirror(mirror: Mirror, capsys) -> None:
    assert kernels.main(["check", "debian:9.9", "debian:6.1-rt"]) == 0
    assert not mirror.fetched and capsys.readouterr().out == ""
    with pytest.raises(Failure, match="no flavour fast; there are: cloud, 16k"):
        kernels.main(["check", "debian:9.9-fast"])


# --- apt -------------------------------------------------------------------------

class Scripted(apt.Apt):
    """An apt that answers with what a test has written down, call by call."""

    def __init__(self, state: pathlib.Path, *answers: tuple[int, str, str]) -> None:
        self.said: list[str] = []
        super().__init__("arm64", ("trixie",), self.said.append)
        self._state = state
        self.answers = list(answers)
        self.calls: list[tuple[str, ...]] = []

    def _call(self, program: str, *words: str, cwd: pathlib.Path | None = None,
              ) -> subprocess.CompletedProcess[str]:
        self.calls.append((program, *words))
        status, out, err = self.answers.pop(0)
        return subprocess.CompletedProcess([program], status, out, err)


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "machine_sites", lambda: apt.Sites("http://one", "http://two"))
    monkeypatch.setattr(apt, "keyring", lambda: "/keys")


GONE = (100, "", "E: The repository 'http://one trixie-backports Release' does not have a "
        "Release file.\n")
GOOD = (0, "", "")


def test_lists_are_read_once_and_without_suites_that_are_gone(tmp_path, sites) -> None:
    made = Scripted(tmp_path / "state", GONE, GOOD, (0, "b\na\n", ""), (0, "", ""))
    assert made.names("x") == ["a", "b"]
    made.names("y")
    assert [call[:3] for call in made.calls] == [
        ("apt-get", "-qq", "update")] * 2 + [("apt-cache", "pkgnames", "x"),
                                             ("apt-cache", "pkgnames", "y")]
    sources = (tmp_path / "state/sources.list").read_text()
    assert sources == ("deb [signed-by=/keys] http://one trixie main\n"
                       "deb [signed-by=/keys] http://one trixie-updates main\n"
                       "deb [signed-by=/keys] http://two trixie-security main\n")
    assert "doing without trixie-backports, which the mirror" in made.said[-1]
    assert (tmp_path / "state/lists/partial").is_dir()


@pytest.mark.parametrize("complaint, reason", [
    ("E: no route\nE: more\n", "no arm64 package lists from http://one: E: no route; check"),
    ("", "it said nothing")])
def test_lists_that_cannot_be_read_are_told(tmp_path, sites, complaint, reason) -> None:
    made = Scripted(tmp_path / "state", (100, "", complaint))
    with pytest.raises(Failure, match=reason):
        made.names("x")
    assert len(made.calls) == 1


def ready(tmp_path: pathlib.Path, *answers: tuple[int, str, str]) -> Scripted:
    made = Scripted(tmp_path, *answers)
    made._ready = True
    return made


def test_offers_are_versions_with_their_suites(tmp_path: pathlib.Path) -> None:
    made = ready(tmp_path, (0, " a | 1:2-3 | http://one trixie/main arm64 Packages\n"
                            " a | 1 | http://one trixie-updates/main arm64 Packages\n", ""))
    assert made.offers("a") == [apt.Offer("a", "1:2-3", "trixie"),
                                apt.Offer("a", "1", "trixie-updates")]
    assert made.offers() == [] and len(made.calls) == 1


def test_a_closure_is_what_apt_would_install(tmp_path: pathlib.Path) -> None:
    made = ready(tmp_path, (0, "Inst a (1:2 Debian:13 [arm64])\nConf a (1:2)\nInst b (3 x)\n", ""),
                 (100, "x\n a : Depends: c but it is not going\n", "E: broken\n"),
                 (100, "", "W: x\nE: broken\n"), (100, "", ""))
    assert made.closure("a") == [apt.Offer("a", "1:2"), apt.Offer("b", "3")]
    for reason in ("a : Depends: c", "E: broken", "apt gives no reason"):
        with pytest.raises(Failure, match=f"cannot resolve a: {reason}"):
            made.closure("a")


@pytest.mark.parametrize("complaint, gone", [
    ("W: x\nE: a  404  Not Found\n", True), ("E: a 404 x\nE: no route\n", False)])
def test_a_package_that_is_gone_is_told_from_a_network_that_fails(tmp_path, complaint, gone,
                                                                  ) -> None:
    with pytest.raises(Failure, match="cannot fetch a=1") as caught:
        ready(tmp_path, (100, "", complaint)).download(tmp_path, [apt.Offer("a", "1")])
    assert isinstance(caught.value, apt.Gone) == gone


def test_a_package_that_is_damaged_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.deb").write_text("damaged")
    with pytest.raises(Failure, match="cannot unpack a.deb: "):
        apt.unpack([tmp_path / "a.deb"], tmp_path / "out")


# --- parts -------------------------------------------------------------------------

@pytest.fixture
def setup(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> parts.Setup:
    """A setup that fetches nothing: its packages hold what a test puts into `root`."""
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    monkeypatch.setattr(parts, "GUEST", tmp_path / "guest")
    made = parts.Setup(quiet=False, locked=False)

    def fetch(_part: str, work: pathlib.Path, _kernel: object = None) -> list:
        subprocess.run(["cp", "-a", str(tmp_path / "root"), str(work)], check=True, timeout=60)
        return []

    monkeypatch.setattr(made, "fetch_locked", fetch)
    (tmp_path / "root/boot").mkdir(parents=True)
    (tmp_path / "root/bin").mkdir()
    for name in ("boot/vmlinuz-1", "boot/config-1", "bin/busybox"):
        (tmp_path / "root" / name).write_text(name)
    return made


def test_the_guests_part_is_a_kernel_its_configuration_and_busybox(setup, tmp_path, capsys) -> None:
    setup.guest()
    folder = tmp_path / "guest/debian"
    assert {path.name for path in folder.iterdir()} == {
        "Image", "config", "busybox", "licences", "packages.json", parts.STAMP}
    assert (folder / "Image").read_text() == "boot/vmlinuz-1"
    assert "build/guest/debian holds" in capsys.readouterr().err
    setup.guest()
    assert capsys.readouterr().err == ""


def test_a_package_names_every_source_that_is_in_it() -> None:
    fields = {"Package": "busybox-static", "Version": "1:1.35+b1", "Source": "busybox (1:1.35)",
              "Built-Using": "glibc (= 2.36), libxcrypt (= 1:4.4)"}
    assert parts.sources_of(fields) == ["busybox 1:1.35", "glibc 2.36", "libxcrypt 1:4.4"]
    assert parts.sources_of({"Package": "a", "Version": "1-2"}) == ["a 1-2"]
    assert parts.sources_of({"Package": "a", "Version": "1-2", "Source": "b"}) == ["b 1-2"]


def test_what_is_handed_on_comes_with_its_licence(tmp_path) -> None:
    (tmp_path / "package/DEBIAN").mkdir(parents=True)
    (tmp_path / "package/DEBIAN/control").write_text(
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: y\n")
    subprocess.run(["dpkg-deb", "--build", tmp_path / "package", tmp_path / "a.deb"], check=True,
                   capture_output=True, timeout=60)
    package = lock.Package("a", "1", "", True, tmp_path / "a.deb")
    document = tmp_path / "root/usr/share/doc/a/copyright"
    with pytest.raises(Failure, match="a says nothing of its licence"):
        parts.keep_licences([package], tmp_path / "root", tmp_path / "none")
    document.parent.mkdir(parents=True)
    document.write_text("free")
    parts.keep_licences([package], tmp_path / "root", tmp_path / "licences")
    assert (tmp_path / "licences/a.copyright").read_text() == "free"
    assert json.loads((tmp_path / "licences/sources.json").read_text()) == {"a": ["a 1"]}


def test_packages_without_a_kernel_leave_no_part(setup, tmp_path) -> None:
    (tmp_path / "root/boot/vmlinuz-1").unlink()
    with pytest.raises(Failure, match="the packages have no boot/vmlinuz"):
        setup.guest()
    assert not (tmp_path / "guest/debian").exists()


def test_a_part_takes_the_place_of_an_older_one(setup, tmp_path) -> None:
    for number in range(2):
        assert setup.make(tmp_path / "deep/part", f"key {number}",
                          lambda draft, work: (draft / f"file {number}").touch())
    assert {path.name for path in (tmp_path / "deep/part").iterdir()} == {"file 1", parts.STAMP}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["part"]


def test_libraries_of_a_program_are_found_with_their_own(tmp_path, monkeypatch) -> None:
    links = {"program": ("a", "b"), "a": ("b", "c"), "b": (), "c": ("a",)}
    (tmp_path / parts.LIBRARIES).mkdir(parents=True)
    for name in ("a", "b", "c"):
        (tmp_path / parts.LIBRARIES / name).touch()

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        text = "".join(f" 0x1 (NEEDED)  Shared library: [{name}]\n"
                       for name in links[pathlib.Path(words[-1]).name])
        return subprocess.CompletedProcess(words, 0, text, "")

    monkeypatch.setattr(parts.subprocess, "run", run)
    assert sorted(parts.needed(tmp_path / "program", tmp_path)) == ["a", "b", "c"]
