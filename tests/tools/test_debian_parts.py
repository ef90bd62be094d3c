# SPDX-License-Identifier: Apache-2.0
"""Parts of tools/setup from packages that are made up, and apt itself, by programs that
stand for it on PATH."""

import os
import pathlib
import subprocess

import pytest
from parkvmm import locks
from parkvmm.debian import apt, kernels, lock, parts
from parkvmm.failure import DATA, UNAVAILABLE, Failure

KERNEL = "linux-image-6.12.1+deb13-cloud-arm64"


# --- programs of apt ---------------------------------------------------------------

@pytest.fixture
def programs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """apt-get and apt-cache write down how they are called, then run the file `does`."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SAID", f"{tmp_path}/said")
    monkeypatch.setattr(apt, "BUILD", tmp_path / "build")
    monkeypatch.setattr(apt, "machine_sites", lambda: apt.Sites("http://one", ""))
    monkeypatch.setattr(apt, "keyring", lambda: "/keys")
    (tmp_path / "bin").mkdir()
    (tmp_path / "does").touch()
    for name in ("apt-get", "apt-cache"):
        (tmp_path / "bin" / name).write_text(
            '#!/bin/sh\necho "$(basename $0) $LC_ALL $*" >>"$SAID"\n'
            f'. {tmp_path}/does\n')
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def test_apt_has_a_state_of_its_own(programs: pathlib.Path) -> None:
    (programs / "does").write_text("echo b a\n")
    made = apt.Apt("arm64", ("trixie",), lambda text: None)
    assert made.names("x") == ["a", "b"]
    update, names = (programs / "said").read_text().splitlines()
    state = programs / "build/apt/arm64-trixie"
    for line in (update, names):
        for option in (f"-c {state}/apt.conf", "-o APT::Architecture=arm64",
                       f"-o Dir::State::lists={state}/lists", f"-o Dir::Cache={state}/cache",
                       f"-o Dir::State::status={state}/status",
                       f"-o Dir::Etc::sourcelist={state}/sources.list",
                       "-o Dir::Etc::sourceparts=/dev/null"):
            assert f" {option} " in line
    assert update.startswith("apt-get C ") and update.endswith(" -qq update --error-on=any")
    assert names.startswith("apt-cache C ") and names.endswith(" pkgnames x")
    assert (state / "apt.conf").read_text() == apt.CONFIGURATION
    assert (state / "status").read_text() == ""
    assert (state / "cache/archives/partial").is_dir()
    assert apt.Apt("arm64", apt.RELEASES, print)._state == programs / "build/apt/arm64"


def test_lists_are_read_before_anything_is_asked_of_them(programs: pathlib.Path) -> None:
    (programs / "does").write_text('case $* in *" download "*) touch a_1_arm64.deb ;; esac\n')
    for number, ask in enumerate((
            lambda made: made.names("x"), lambda made: made.offers("x"),
            lambda made: made.closure("x"),
            lambda made: made.download(programs / "deep/er", [apt.Offer("a", "1")]))):
        ask(apt.Apt(f"arm{number}", ("trixie",), lambda text: None))
        update, _ = (programs / "said").read_text().splitlines()
        assert " update " in update
        (programs / "said").unlink()
    assert [path.name for path in (programs / "deep/er").iterdir()] == ["a_1_arm64.deb"]


def test_an_apt_that_does_not_end_is_told(programs, monkeypatch) -> None:
    (programs / "does").write_text("exec sleep 60\n")
    made = apt.Apt("arm64", ("trixie",), lambda text: None)
    made._ready = True
    monkeypatch.setattr(apt, "STEP_DEADLINE", 0.1)
    with pytest.raises(Failure, match="waited 0.1 s for apt-cache pkgnames") as caught:
        made.names("x")
    assert caught.value.status == UNAVAILABLE


def test_the_machines_apt_is_asked_for_its_mirror(programs, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{programs}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SAID", f"{programs}/said")
    for status in (0, 1):  # apt's warnings do not matter if it says something.
        (programs / "does").write_text(
            f"echo x >&2; printf 'http://one\\ttrixie\\tDebian\\n'; exit {status}\n")
        assert apt.machine_sites() == apt.Sites("http://one", "")


def test_the_keys_are_those_that_are_there(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(apt, "KEYRINGS", (f"{tmp_path}/gpg", f"{tmp_path}/pgp"))
    apt.keyring.cache_clear()
    try:
        with pytest.raises(Failure, match="apt-get install it") as caught:
            apt.keyring()
        assert caught.value.status == UNAVAILABLE
        (tmp_path / "pgp").touch()
        assert apt.keyring() == f"{tmp_path}/pgp"
    finally:
        apt.keyring.cache_clear()


def test_packages_are_unpacked_over_each_other(tmp_path: pathlib.Path) -> None:
    packages = []
    for name in ("a", "b"):
        (tmp_path / name / "DEBIAN").mkdir(parents=True)
        (tmp_path / name / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: m <m@m>\n"
            "Description: d\n")
        (tmp_path / name / name).write_text(name)
        packages.append(tmp_path / f"{name}.deb")
        subprocess.run(["dpkg-deb", "--build", tmp_path / name, packages[-1]], check=True,
                       timeout=60, capture_output=True)
    for package in packages:
        apt.unpack([package], tmp_path / "deep/out")
    assert {path.name for path in (tmp_path / "deep/out").iterdir()} == {"a", "b"}


# --- fetched kernels ----------------------------------------------------------------

def test_a_kernel_that_is_there_waits_for_nobody(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "KERNELS", tmp_path)
    monkeypatch.setattr(kernels, "FETCH_DEADLINE", 0)
    kernel = kernels.parse_name("debian:7.3")
    kernel.folder.mkdir()
    kernel.image.touch()
    with locks.held(tmp_path / ".lock", 0, lambda text: None):
        assert kernels.fetch(kernel) == kernel.image
        with pytest.raises(Failure, match="waited 0 s"):
            kernels.fetch(kernel, update=True)


# --- parts --------------------------------------------------------------------------

class Mirror:
    """Stands for apt: its packages are files that have been unpacked already."""

    asked: list[tuple[str, ...]] = []

    def __init__(self, architecture: str, releases: tuple[str, ...], _say: object) -> None:
        self.asked.append((architecture, *releases))

    def closure(self, *packages: str) -> list[apt.Offer]:
        self.asked.append(packages)
        names = ["libc6-dev"] if "libc6-dev" in packages else ["libc6-dev", "libx", "stress-ng"]
        return [apt.Offer(name, "1") for name in names]

    def download(self, folder: pathlib.Path, offers: list[apt.Offer]) -> dict[str, pathlib.Path]:
        return {offer.name: folder / offer.name for offer in offers}


@pytest.fixture
def setup(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> parts.Setup:
    """A setup below a folder that is not there yet, and whose packages hold `root`."""
    monkeypatch.setattr(parts, "BUILD", tmp_path / "deep/build")
    monkeypatch.setattr(parts, "GUEST", tmp_path / "deep/build/guest")
    monkeypatch.setattr(parts, "Apt", Mirror)
    monkeypatch.setattr(Mirror, "asked", [])
    made = parts.Setup(quiet=False, locked=False)
    root = tmp_path / "root"
    for name in ("boot/vmlinuz-1", "boot/config-1", "bin/busybox", "bin/bash-static",
                 "usr/bin/stress-ng", f"usr/{parts.LIBRARIES}/liba.so", "lib/ld-linux-a.so",
                 "usr/src/linux-headers-1-cloud-arm64/Makefile"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name} in /usr/src/x\n")

    def fetch(part: str, work: pathlib.Path, _kernel: apt.Offer | None = None,
              ) -> list[lock.Package]:
        subprocess.run(["cp", "-a", str(root), str(work)], check=True, timeout=60)
        names = {"guest": (KERNEL, "busybox"), "module": (
            "linux-headers-6.12.1+deb13-cloud-arm64",),
                 "checks": ("bash-static", "stress-ng"), "kernel": ("linux-source-6.12",)}[part]
        return [lock.Package(name, "1", "0", True, root) for name in names]

    monkeypatch.setattr(made, "fetch_locked", fetch)
    # These packages are folders; test_debian_fetch.py has a real one.
    monkeypatch.setattr(parts, "keep_licences", lambda packages, root, folder: folder.mkdir())
    return made


def test_headers_are_those_of_the_guests_kernel(setup, tmp_path) -> None:
    setup.module()
    guest = tmp_path / "deep/build/guest"
    assert (guest / "debian/Image").exists()
    makefile = guest / "headers/src/linux-headers-1-cloud-arm64/Makefile"
    assert makefile.read_text().endswith(f" in {guest}/headers/src/x\n")
    assert (guest / "headers/bin/stress-ng").exists()
    record, = lock.read_record(guest / "headers")
    assert record["name"] == "linux-headers-6.12.1+deb13-cloud-arm64"
    assert (guest / "headers" / parts.STAMP).read_text() == setup.key("module", None) + "\n"


@pytest.mark.parametrize("packages, kernel", [
    ([], None), ([(KERNEL, True), ("busybox", False)], None),
    ([("busybox", False), (KERNEL, False)], apt.Offer(KERNEL, "1"))])
def test_a_kernel_in_place_of_the_locked_one_is_told_to_its_parts(setup, packages, kernel) -> None:
    folder = parts.GUEST / "debian"
    folder.mkdir(parents=True)
    lock.write_record([lock.Package(name, "1", "0", locked, folder)
                       for name, locked in packages], folder)
    assert setup.other_kernel() == kernel


def test_parts_of_another_kernel_are_made_again(setup) -> None:
    locked = setup.key("module", None)
    assert locked == lock.key_of(lock.read("module", parts.architecture_here()))
    others = {setup.key("module", apt.Offer(KERNEL, version)) for version in "12"}
    assert len(others | {locked}) == 3


def archive_of(root: pathlib.Path) -> pathlib.Path:
    """Packs a source of Linux as Debian does, and returns where."""
    for name in ("Makefile", "drivers/gpu/drm/amd/include/huge.h"):
        (root / "linux-source-6.12" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "linux-source-6.12" / name).touch()
    archive = root / "root/usr/src/linux-source-6.12.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", root, "linux-source-6.12"], check=True,
                   timeout=60)
    return archive


def test_the_kernels_source_is_unpacked_without_what_is_huge(setup, tmp_path) -> None:
    archive = archive_of(tmp_path)
    setup.kernel()
    folder = tmp_path / "deep/build/guest/linux"
    assert (folder / "Makefile").exists()
    assert list((folder / "drivers/gpu/drm/amd/include").glob("*")) == []
    assert lock.read_record(folder)[0]["name"] == "linux-source-6.12"
    archive.write_text("damaged")
    (folder / parts.STAMP).unlink()
    with pytest.raises(Failure, match="cannot unpack the kernel's source") as caught:
        setup.kernel()
    assert caught.value.status == DATA
    assert (folder / "Makefile").exists()


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[pathlib.Path]:
    """Packages that were unpacked: each leaves a file of its name, and a link."""
    seen: list[pathlib.Path] = []

    def unpack(packages: list[pathlib.Path], target: pathlib.Path) -> None:
        target.mkdir(exist_ok=True)
        for package in packages:
            seen.append(package)
            (target / package.name).touch()
            (target / f"{package.name}-link").symlink_to(f"/{package.name}")

    monkeypatch.setattr(parts, "unpack", unpack)
    return seen


def test_the_sysroot_has_libraries_but_not_the_compilers(setup, unpacked, monkeypatch, tmp_path,
                                                         capsys) -> None:
    monkeypatch.setattr(parts, "os_release", lambda: {"VERSION_CODENAME": "trixie"})
    setup.sysroot(["libx-dev"])
    sysroot = tmp_path / "deep/build/sysroot"
    assert [path.name for path in unpacked] == ["libx", "stress-ng"]
    assert (sysroot / "packages").read_text() == "libx 1\nstress-ng 1\n"
    assert os.readlink(sysroot / "libx-link") == "libx"
    assert Mirror.asked == [("arm64", "trixie"), ("libc6-dev", "libstdc++6"), ("libx-dev",)]
    assert "build/sysroot holds" in capsys.readouterr().err
    setup.sysroot(["libx-dev"])
    assert len(Mirror.asked) == 3
    setup.sysroot(["liby-dev"])
    assert Mirror.asked[-1] == ("liby-dev",)


@pytest.mark.parametrize("release, name", [
    ({"VERSION_CODENAME": "noble", "PRETTY_NAME": "Ubuntu"}, "Ubuntu"), ({}, "this system")])
def test_another_system_has_no_sysroot(setup, monkeypatch, release, name) -> None:
    monkeypatch.setattr(parts, "os_release", lambda: release)
    with pytest.raises(Failure, match=f"{name} is none of Debian's bullseye") as caught:
        setup.sysroot([])
    assert caught.value.status == UNAVAILABLE and not Mirror.asked


def test_the_machines_architecture_is_dpkgs(tmp_path, monkeypatch) -> None:
    (tmp_path / "dpkg").write_text("#!/bin/sh\necho \"$1 arm65\"\n")
    (tmp_path / "dpkg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert parts.architecture_here() == "--print-architecture arm65"


def test_a_systems_name_is_read_with_and_without_quotes() -> None:
    found = parts.os_release()
    lines = pathlib.Path("/etc/os-release").read_text().splitlines()
    assert found["ID"] and f"ID={found['ID']}" in [line.replace('"', "") for line in lines]
    assert not any('"' in value for value in found.values())


def test_stress_ng_comes_with_a_shell_and_its_libraries(setup, unpacked, monkeypatch,
                                                        tmp_path) -> None:
    monkeypatch.setattr(parts, "needed", lambda program, root: ["liba.so", "ld-linux-a.so"])
    setup.checks()
    folder = tmp_path / "deep/build/guest/checks"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"bin/bash", "bin/stress-ng", f"{parts.LIBRARIES}/liba.so",
                     "lib/ld-linux-a.so", "packages.json", parts.STAMP}
    assert Mirror.asked == [("arm64", *apt.RELEASES), ("stress-ng=1",)]
    assert [path.name for path in unpacked] == ["libc6-dev", "libx"]


def test_qemu_comes_from_debian_12_with_its_libraries(setup, monkeypatch, tmp_path) -> None:
    def unpack(_packages: object, target: pathlib.Path) -> None:
        for name in ("usr/bin/qemu-system-aarch64", f"usr/{parts.LIBRARIES}/liba.so",
                     f"usr/{parts.LIBRARIES}/libnot.so"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).touch()

    monkeypatch.setattr(parts, "unpack", unpack)
    monkeypatch.setattr(parts, "needed", lambda program, root: ["liba.so"])
    monkeypatch.setattr(Mirror, "closure", lambda self, *packages: [
        apt.Offer("liba", "2"), *(apt.Offer(package, "1:7.2") for package in packages)])
    setup.peer()
    folder = tmp_path / "deep/build/peer"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"bin/qemu-system-aarch64", f"{parts.LIBRARIES}/liba.so", "version",
                     parts.STAMP}
    assert (folder / "version").read_text() == "1:7.2\n"
    assert Mirror.asked == [("arm64", "bookworm")]


@pytest.mark.parametrize("needs, gone, complaint", [
    (["libz.so"], "", "stress-ng needs libz.so, which none of its packages has"),
    ([], "bin/bash-static", "the packages have no bin/bash-static")])
def test_checks_without_what_they_need_are_no_part(setup, unpacked, monkeypatch, tmp_path, needs,
                                                   gone, complaint) -> None:
    monkeypatch.setattr(parts, "needed", lambda program, root: needs)
    if gone:
        (tmp_path / "root" / gone).unlink()
    with pytest.raises(Failure, match=complaint) as caught:
        setup.checks()
    assert caught.value.status == DATA and not (parts.GUEST / "checks").exists()


def test_the_command_makes_the_parts_that_are_named(monkeypatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(parts.Setup, "guest", lambda self: made.append(self))
    monkeypatch.setattr(parts.Setup, "sysroot", lambda self, libraries: made.append(libraries))
    assert parts.main(["--quiet", "--locked", "--libraries", "a b", "guest", "sysroot"]) == 0
    guest, libraries = made
    assert isinstance(guest, parts.Setup) and guest._quiet and guest._locked
    assert libraries == ["a", "b"]
