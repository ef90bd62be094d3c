# SPDX-License-Identifier: Apache-2.0
"""Packages that are unpacked and not installed: the mirror, the lock, kernels by name."""

import contextlib
import json
import pathlib
import re
import subprocess
import threading

import pytest
from parkvmm import locks
from parkvmm.debian import apt, kernels, lock, parts
from parkvmm.failure import Failure, end_with

ROOT = pathlib.Path(__file__).resolve().parents[2]


# --- the mirror --------------------------------------------------------------

def test_the_mirror_is_the_machines_own() -> None:
    targets = ("https://docker.example/linux/debian\tbookworm\tDocker\n"
               "http://one.example/debian\tbookworm\tDebian\n"
               "http://one.example/debian\tbookworm-updates\tDebian\n"
               "http://two.example/debian-security\tbookworm-security\tDebian\n"
               "https://deb.elsewhere.example/node\t./\t\n")
    assert apt.sites_of(targets) == apt.Sites("http://one.example/debian",
                                              "http://two.example/debian-security")


@pytest.mark.parametrize("targets, complaint", [
    ("https://deb.elsewhere.example/node\t./\t\n", "reads no Debian mirror"),
    ("http://archive.ubuntu.example/ubuntu\tnoble\tUbuntu\n", "reads no Debian mirror"),
    ("", "no package lists; run apt-get update"),
])
def test_a_machine_without_a_debian_mirror_is_told(targets: str, complaint: str) -> None:
    with pytest.raises(Failure, match=complaint):
        apt.sites_of(targets)


class Mute(apt.Apt):
    """An apt that runs nothing, as if everything had gone well."""

    def __init__(self, state: pathlib.Path) -> None:
        super().__init__("arm64", ("bookworm",), lambda text: None)
        self._state, self._ready = state, True

    def _call(self, program, *words, cwd=None):
        return subprocess.CompletedProcess([program, *words], 0, "", "")


def test_what_an_earlier_try_left_is_not_taken_for_an_answer(tmp_path) -> None:
    for name in ("a_1%3a1.0-1_arm64.deb", "a_2.0_arm64.deb", "b_1.0_arm64.deb"):
        (tmp_path / name).touch()
    mute = Mute(tmp_path)
    assert mute.download(tmp_path, [apt.Offer("a", "1:1.0-1")]) == {
        "a": tmp_path / "a_1%3a1.0-1_arm64.deb"}
    with pytest.raises(Failure, match="cannot fetch b=2.0"):
        mute.download(tmp_path, [apt.Offer("a", "2.0"), apt.Offer("b", "2.0")])


def test_two_that_read_lists_wait_for_each_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(apt, "STEP_DEADLINE", 0)
    state = Mute(tmp_path / "arm64")
    state._ready = False
    monkeypatch.setattr(state, "_read_lists", lambda: pytest.fail("reads them meanwhile"))
    with locks.held(tmp_path / ".arm64.lock", 60, lambda text: None):
        with pytest.raises(Failure, match="another process"):
            state.offers("a")


def test_security_is_left_out_where_the_machine_reads_none() -> None:
    lines = apt.source_lines(apt.Sites("http://one.example/debian", ""),
                             ["trixie", "trixie-security"], "/keys.gpg")
    assert lines == "deb [signed-by=/keys.gpg] http://one.example/debian trixie main\n"


def test_a_suite_that_has_left_the_mirror_is_known_by_the_complaint() -> None:
    errors = ("E: The repository 'http://one.example/debian bullseye-backports Release' does "
              "not have a Release file.\n")
    assert apt.refused_suites(errors, apt.suites_of("bullseye")) == ["bullseye-backports"]
    expired = ("E: Release file for http://one.example/debian/dists/bullseye-updates/InRelease "
               "is expired (invalid since 3d).\n")
    assert apt.refused_suites(expired, apt.suites_of("bullseye")) == ["bullseye-updates"]


def test_a_network_that_fails_refuses_no_suite() -> None:
    errors = ("E: Failed to fetch http://one.example/debian/dists/bullseye/InRelease  Could not "
              "connect to one.example:80\nE: Some index files failed to download.\n")
    assert apt.refused_suites(errors, apt.suites_of("bullseye")) == []


def test_versions_are_compared_as_debian_does() -> None:
    offers = [apt.Offer("busybox", version) for version in
              ("1:1.9", "1:1.10~bpo1", "1:1.10", "2.0")]
    assert apt.newest(offers).version == "1:1.10"


class Mirror(apt.Apt):
    """An apt whose packages are files with their name and version in them."""

    def __init__(self, *packages: str, gone: str = "") -> None:
        self._offers = [apt.Offer(*package.split()) for package in packages]
        self._gone = gone  # a name that the lists have, and the mirror has not

    def names(self, prefix: str) -> list[str]:
        return sorted({o.name for o in self._offers if o.name.startswith(prefix)})

    def offers(self, *names: str) -> list[apt.Offer]:
        return [offer for offer in self._offers if offer.name in names]

    def download(self, folder: pathlib.Path, offers: list[apt.Offer]) -> dict[str, pathlib.Path]:
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for offer in offers:
            if offer.name == self._gone:
                raise apt.Gone(69, "404")
            files[offer.name] = folder / f"{offer.name}.deb"
            files[offer.name].write_text(f"{offer.name} {offer.version}")
        return files


# --- the lock ----------------------------------------------------------------

KERNEL = "linux-image-6.12.117+deb12-cloud-arm64"


def line_of(name: str = KERNEL, version: str = "6.12.117-1", sha256: str = "") -> lock.Line:
    if not sha256:
        import hashlib
        sha256 = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    return lock.Line(name, "arm64", version, sha256, "guest", "a test")


def fetch(line: lock.Line, mirror: Mirror, folder: pathlib.Path, *, locked: bool = False,
          kernel: apt.Offer | None = None) -> tuple[lock.Package, str]:
    said: list[str] = []
    package = lock.fetch(line, mirror, folder, locked=locked, kernel=kernel, say=said.append,
                         warn=said.append)
    return package, "\n".join(said)


def test_the_lock_file_is_read() -> None:
    lines = lock.parse((ROOT / "tools/packages.lock").read_text())
    assert {line.part for line in lines} == {"guest", "kernel", "module", "checks"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", line.sha256) for line in lines)
    assert {line.architecture for line in lines} == {"arm64", "amd64"}


@pytest.mark.parametrize("here", ["amd64", "arm64"])
def test_programs_that_build_a_module_are_this_machines_own(here: str) -> None:
    """Both packages hold the same paths: one of them would hide the other."""
    programs = [line for line in lock.read("module", here) if "kbuild" in line.name]
    assert [line.architecture for line in programs] == [here]
    assert len(lock.read("module", here)) == 3


def test_a_line_of_the_lock_that_is_cut_short_is_named() -> None:
    with pytest.raises(Failure, match="line 2: name, version"):
        lock.parse("# a comment\nbusybox-static 1.35\n")


@pytest.mark.parametrize("locked", [False, True])
def test_what_is_locked_and_there_is_taken(tmp_path, locked) -> None:
    package, said = fetch(line_of(), Mirror(f"{KERNEL} 6.12.117-1"), tmp_path, locked=locked)
    assert (package.name, package.locked) == (KERNEL, True)
    assert "figures" not in said


def test_a_kernel_that_has_left_gives_way_to_the_newest_of_its_series(tmp_path) -> None:
    mirror = Mirror("linux-image-6.12.118+deb13-cloud-arm64 6.12.118-1",
                    "linux-image-6.12.90+deb13.1-cloud-arm64 6.12.90-2",
                    "linux-image-6.12.119+deb13-rt-arm64 6.12.119-1",
                    "linux-image-7.3.4+deb13-cloud-arm64 7.3.4-1")
    package, said = fetch(line_of(), mirror, tmp_path)
    assert (package.name, package.version, package.locked) == (
        "linux-image-6.12.118+deb13-cloud-arm64", "6.12.118-1", False)
    assert said.count("taking linux-image-6.12.118+deb13-cloud-arm64 6.12.118-1") == 1


def test_lists_that_are_ahead_of_the_mirror_do_not_stop_it(tmp_path) -> None:
    other = "linux-image-6.12.118+deb13-cloud-arm64"
    package, said = fetch(line_of(), Mirror(f"{KERNEL} 6.12.117-1", f"{other} 6.12.118-1",
                                            gone=KERNEL), tmp_path)
    assert (package.name, package.locked) == (other, False)
    assert "is not on the mirror" in said
    package, _ = fetch(line_of(version="6.12.116-1"), Mirror(
        f"{KERNEL} 6.12.117-1", f"{other} 6.12.118-1", gone=other), tmp_path)
    assert package.name == KERNEL


def test_other_bytes_than_the_locked_ones_are_not_taken_for_them(tmp_path) -> None:
    line = line_of(sha256="0" * 64)
    package, said = fetch(line, Mirror(f"{KERNEL} 6.12.117-1"), tmp_path)
    assert not package.locked and "has sha256" in said
    with pytest.raises(Failure, match="has sha256") as failed:
        fetch(line, Mirror(f"{KERNEL} 6.12.117-1"), tmp_path, locked=True)
    assert failed.value.status == 65


def test_locked_insists(tmp_path) -> None:
    with pytest.raises(Failure, match="is not on the mirror; without --locked") as failed:
        fetch(line_of(), Mirror("linux-image-6.12.118+deb13-cloud-arm64 6.12.118-1"), tmp_path,
              locked=True)
    assert failed.value.status == 69


def test_nothing_of_a_series_on_offer_is_told(tmp_path) -> None:
    with pytest.raises(Failure, match="neither .* nor another of its series"):
        fetch(line_of(), Mirror("linux-image-7.3.4+deb13-cloud-arm64 7.3.4-1"), tmp_path)


def test_what_belongs_to_a_kernel_follows_it(tmp_path) -> None:
    """Headers and source of the locked kernel are no use to the one in its place."""
    kernel = apt.Offer("linux-image-6.12.118+deb13-cloud-arm64", "6.12.118-1")
    mirror = Mirror("linux-headers-6.12.117+deb12-common 6.12.117-1",
                    "linux-headers-6.12.118+deb13-common 6.12.118-1",
                    "linux-headers-6.12.119+deb13-common 6.12.119-1",
                    "linux-source-6.12 6.12.119-1", "linux-source-6.12 6.12.118-1")
    headers, _ = fetch(line_of("linux-headers-6.12.117+deb12-common"), mirror, tmp_path,
                       kernel=kernel)
    assert headers.name == "linux-headers-6.12.118+deb13-common" and not headers.locked
    source, _ = fetch(line_of("linux-source-6.12", "6.12.117-1"), mirror, tmp_path, kernel=kernel)
    assert source.version == "6.12.118-1"


def test_headers_of_another_kernel_than_the_guests_are_refused(tmp_path, monkeypatch) -> None:
    """The guest's kernel was fetched while the mirror had it; its headers were not."""
    monkeypatch.setattr(parts, "GUEST", tmp_path)
    (tmp_path / "debian").mkdir()
    file = tmp_path / "a.deb"
    lock.write_record([lock.Package(KERNEL, "6.12.117-1", "0", True, file),
                       lock.Package("busybox-static", "1", "0", True, file)], tmp_path / "debian")
    setup = parts.Setup(quiet=True, locked=False)
    fitting = lock.Package("linux-headers-6.12.117+deb12-common", "6.12.117-1", "0", True, file)
    setup.require_fit([fitting])
    other = lock.Package("linux-headers-6.12.118+deb13-common", "6.12.118-1", "0", False, file)
    with pytest.raises(Failure, match="does not fit the kernel .* remove build/guest/debian"):
        setup.require_fit([fitting, other])


def test_what_a_killed_setup_left_is_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    (tmp_path / "tmp/setup.killed/new").mkdir(parents=True)
    (tmp_path / "tmp/arm64-host.alive").mkdir()
    setup = parts.Setup(quiet=True, locked=False)
    assert setup.make(tmp_path / "part", "key", lambda draft, work: (draft / "file").touch())
    assert not setup.make(tmp_path / "part", "key", lambda draft, work: pytest.fail("made again"))
    assert (tmp_path / "part/file").exists()
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["arm64-host.alive"]


def test_what_is_not_locked_is_told_to_results(tmp_path) -> None:
    file = tmp_path / "a.deb"
    lock.write_record([lock.Package("a", "1", "0", True, file),
                       lock.Package("b", "2", "0", False, file)], tmp_path)
    assert lock.unlocked(tmp_path) == ["b 2"]
    assert lock.unlocked(tmp_path / "nowhere") == []


# --- kernels by name ---------------------------------------------------------

OFFERS = [apt.Offer(*words) for words in (
    ("linux-image-7.3.4+deb13-cloud-arm64", "7.3.4-1~bpo13+1"),
    ("linux-image-7.3.4+deb13-arm64", "7.3.4-1~bpo13+1"),
    ("linux-image-6.12.117+deb12-arm64-16k", "6.12.117-1~deb12u1"),
    ("linux-image-6.12.118+deb13-arm64-16k", "6.12.118-1"),
    ("linux-image-6.12.90+deb13.1-arm64-16k", "6.12.90-2"),
    ("linux-image-6.1.0-56-rt-arm64", "6.1.192-2"),
    ("linux-image-6.1.0-57-rt-arm64-unsigned", "6.1.195-1"),
    ("linux-image-6.1.0-0.deb11.52-rt-arm64", "6.1.190-1~deb11u1"),
    ("linux-image-5.10.0-46-cloud-arm64-unsigned", "5.10.262-1"))]


@pytest.mark.parametrize("name, package", [
    ("debian:7.3", "linux-image-7.3.4+deb13-cloud-arm64"),
    ("debian:7.3-arm64", "linux-image-7.3.4+deb13-arm64"),
    ("debian:6.12-16k", "linux-image-6.12.118+deb13-arm64-16k"),
    ("debian:6.12.117-16k", "linux-image-6.12.117+deb12-arm64-16k"),
    ("debian:6.1-rt", "linux-image-6.1.0-56-rt-arm64"),
    ("debian:5.10", "linux-image-5.10.0-46-cloud-arm64-unsigned"),
    ("debian:6.1", None), ("debian:7.3-rt", None), ("debian:6.12.11-16k", None),
])
def test_a_name_is_the_newest_of_its_series_and_flavour(name: str, package: str | None) -> None:
    chosen = kernels.choose(kernels.parse_name(name), OFFERS)
    assert (chosen.name if chosen else None) == package


@pytest.mark.parametrize("text", ["debian:", "debian:7", "debian:7.3-", "debian:7.3-cloud-rt",
                                  "debian:7.3-fast", "debian:../../etc", "debian:7.3/x"])
def test_no_name_gets_one_line(text: str) -> None:
    done = subprocess.run([ROOT / "tools/kernel", "fetch", text], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert text in done.stderr


def image(folder: pathlib.Path, path: str, magic: bytes = b"ARM\x64") -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(bytes(56) + magic + bytes(4))


@pytest.mark.parametrize("kernel, config, modules", [
    ("boot/vmlinuz-6.1.0-56-rt-arm64", "boot/config-6.1.0-56-rt-arm64",
     "lib/modules/6.1.0-56-rt-arm64"),
    ("usr/lib/modules/7.3.4+deb13-cloud-arm64/vmlinuz",
     "usr/lib/modules/7.3.4+deb13-cloud-arm64/config", "usr/lib/modules/7.3.4+deb13-cloud-arm64"),
])
def test_both_layouts_of_packages_are_understood(tmp_path, kernel, config, modules) -> None:
    root, draft = tmp_path / "root", tmp_path / "draft"
    draft.mkdir()
    image(root, kernel)
    (root / modules / "kernel").mkdir(parents=True)
    (root / modules / "kernel/a.ko").touch()
    (root / config).write_text("CONFIG_KVM=y\n")
    release = kernels.arrange(root, draft, "debian:test")
    assert release == pathlib.Path(modules).name
    assert (draft / "Image").read_bytes()[56:60] == b"ARM\x64"
    assert (draft / "config").read_text() == "CONFIG_KVM=y\n"
    assert (draft / "lib/modules" / release / "kernel/a.ko").exists()


def test_a_kernel_for_another_machine_is_refused(tmp_path) -> None:
    image(tmp_path / "root", "boot/vmlinuz-6.1.0-1-cloud-arm64", b"MZ\0\0")
    with pytest.raises(Failure, match="no uncompressed arm64 Image"):
        kernels.arrange(tmp_path / "root", tmp_path, "debian:test")


class Stale(apt.Apt):
    """A mirror whose lists name kernels that it no longer has."""

    def __init__(self, has: str, failure: Failure) -> None:
        self.has, self.failure = has, failure
        self.tried: list[str] = []

    def names(self, prefix: str) -> list[str]:
        return []

    def download(self, folder: pathlib.Path, offers: list[apt.Offer]) -> dict[str, pathlib.Path]:
        self.tried.append(offers[0].name)
        if offers[0].name != self.has:
            raise self.failure
        return {self.has: folder / f"{self.has}.deb"}


OLD = [apt.Offer(f"linux-image-5.10.0-{abi}-cloud-arm64", version, "bullseye") for abi, version in
       ((45, "5.10.259-1"), (32, "5.10.223-1"), (46, "5.10.262-1"))]


def test_a_kernel_that_is_only_in_the_lists_gives_way_to_the_next(tmp_path) -> None:
    mirror = Stale("linux-image-5.10.0-32-cloud-arm64", apt.Gone(69, "404"))
    chosen, packages, files = kernels.download(kernels.parse_name("debian:5.10"), mirror, OLD,
                                               tmp_path)
    assert mirror.tried == [OLD[2].name, OLD[0].name, OLD[1].name]
    assert (chosen, packages, list(files)) == (OLD[1], [OLD[1]], [mirror.has])


@pytest.mark.parametrize("has, failure, tries", [
    ("none", apt.Gone(69, "it is gone"), 3),
    ("linux-image-5.10.0-32-cloud-arm64", Failure(69, "no network"), 1),
])
def test_a_mirror_that_has_none_or_fails_is_told(tmp_path, has, failure, tries) -> None:
    mirror = Stale(has, failure)
    with pytest.raises(Failure, match=str(failure)):
        kernels.download(kernels.parse_name("debian:5.10"), mirror, OLD, tmp_path)
    assert len(mirror.tried) == tries


def test_a_kernel_that_is_there_is_not_fetched_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "KERNELS", tmp_path)
    monkeypatch.setattr(kernels, "mirror", lambda: pytest.fail("asked the mirror"))
    kernel = kernels.parse_name("debian:7.3")
    image(kernel.folder, "Image")
    assert kernels.path_of("debian:7.3") == kernel.image
    assert kernels.path_of("/some/Image") == pathlib.Path("/some/Image")


# --- the rest ----------------------------------------------------------------

def test_a_lock_keeps_two_apart(tmp_path) -> None:
    path = tmp_path / "lock"
    with locks.held(path, 60, lambda text: None):
        with pytest.raises(Failure, match="waited 0 s") as failed:
            with locks.held(path, 0, lambda text: None):
                pytest.fail("held twice")
        assert failed.value.status == 75
        said = threading.Event()
        entered = threading.Event()

        def wait() -> None:
            with locks.held(path, 60, lambda text: said.set()):
                entered.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert said.wait(60) and not entered.is_set()
    waiting.join(60)
    assert entered.is_set()


def test_a_wait_for_a_lock_is_said_once(tmp_path, monkeypatch) -> None:
    said: list[str] = []
    waits: list[float] = []
    path = tmp_path / "deep/er/lock"
    with contextlib.ExitStack() as other:
        other.enter_context(locks.held(path, 60, said.append))

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            assert said == [f"waiting up to 60 s for another process that holds {path}"]
            if len(waits) == 3:
                other.close()

        monkeypatch.setattr(locks.time, "sleep", sleep)
        with locks.held(path, 60, said.append):
            assert waits == [locks.POLL] * 3 and len(said) == 1


def test_what_is_not_as_locked_is_said_each_time(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(parts, "BUILD", tmp_path)
    folder = tmp_path / "debian"

    def fill(draft: pathlib.Path, _work: pathlib.Path) -> None:
        lock.write_record([lock.Package("b", "2", "0", False, tmp_path)], draft)

    parts.Setup(quiet=True, locked=False).make(folder, "key", fill)
    capsys.readouterr()
    later = parts.Setup(quiet=True, locked=False)
    assert [later.make(folder, "key", fill) for _ in range(2)] == [False, False]
    assert capsys.readouterr().err.count("debian holds b 2 in place of what is locked") == 1
    insisting = parts.Setup(quiet=True, locked=True)
    assert not insisting.is_current(folder, "key")


@pytest.mark.parametrize("error, line", [
    (OSError(28, "No space left on device", "/some/file"),
     "tool: /some/file: No space left on device\n"),
    (subprocess.TimeoutExpired(["tar", "-x"], 5), "tool: waited 5 s for tar\n"),
    (Failure(70, "it is so"), "tool: it is so\n"),
])
def test_a_tool_ends_with_one_line(capsys, error: Exception, line: str) -> None:
    def main(_words: list[str]) -> int:
        raise error

    with pytest.raises(SystemExit) as ended:
        end_with("tool", main)
    assert ended.value.code == 70
    assert capsys.readouterr().err == line


def test_links_of_the_sysroot_stay_in_it(tmp_path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/file").write_text("inside")
    (tmp_path / "usr/lib/link").symlink_to("/etc/file")
    parts.relink(tmp_path)
    assert (tmp_path / "usr/lib/link").read_text() == "inside"
    assert json.dumps(str((tmp_path / "usr/lib/link").readlink())) == '"../../etc/file"'


def test_bad_parts_get_one_line() -> None:
    done = subprocess.run([ROOT / "tools/setup", "everything"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no such option or part: everything" in done.stderr


def on_system(release: str, folder: pathlib.Path, *command: str,
              ) -> subprocess.CompletedProcess[str]:
    """Runs a command where /etc/os-release says what `release` does."""
    (folder / "os-release").write_text(release)
    script = f'mount --bind "{folder}/os-release" /etc/os-release && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*words, script, "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root, and a mount namespace")
    return subprocess.run([*words, script, "sh", *command], capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.mark.parametrize("release, name", [
    ('ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04 LTS"\n', "Ubuntu 24.04 LTS"),
    ('ID=debian\nVERSION_CODENAME=forky\nPRETTY_NAME="Debian forky/sid"\n', "Debian forky/sid"),
])
def test_another_system_is_told_before_anything_is_installed(tmp_path, release, name) -> None:
    done = on_system(release, tmp_path, str(ROOT / "tools/setup"), "module")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (f"setup: this is {name}, not Debian 12 or 13; use the container that "
                           "README.md describes\n")
