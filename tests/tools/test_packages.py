# SPDX-License-Identifier: Apache-2.0
"""What tools/release packs, and how. `tools/test packages` makes a release for real."""

import hashlib
import os
import pathlib
import subprocess
import tarfile

import pytest
from arm64_host import ROOT
from parkvmm.failure import DATA, DIFFERS, UNAVAILABLE, USAGE, Failure
from parkvmm.packages import archive, completions, options, release, sources

EPOCH = 1_800_000_000


# --- archives ------------------------------------------------------------------------

def folder_in(where: pathlib.Path, order: int) -> pathlib.Path:
    """Makes the same folder as another user, at another time, in another order."""
    where.mkdir()
    os.umask(0o077 if order > 0 else 0o022)
    for name in ("b/deep/x", "a", "b/y", "program")[::order]:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(name)
        os.utime(where / name, (order + 5, order + 5))
    (where / "program").chmod(0o700 if order > 0 else 0o755)
    (where / "link").symlink_to("b/y")
    os.umask(0o022)
    return where


def test_the_same_folder_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    packed = []
    for name, order in (("one", 1), ("other", -1)):
        target = tmp_path / f"{name}.tar.gz"
        archive.pack(folder_in(tmp_path / name, order), "parkvmm-1", target, EPOCH)
        packed.append(target.read_bytes())
    assert packed[0] == packed[1]
    assert packed[0][3] & 0x08 == 0 and packed[0][4:8] == bytes(4), "a gzip without name and time"
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        nodes = {node.name: node for node in tar}
    assert list(nodes) == ["parkvmm-1", *(f"parkvmm-1/{name}" for name in (
        "a", "b", "b/deep", "b/deep/x", "b/y", "link", "program"))]
    assert {(node.uid, node.gid, node.uname, node.mtime) for node in nodes.values()} == {
        (0, 0, "root", EPOCH)}
    assert {node.mode for node in nodes.values() if node.isfile()} == {0o644, 0o755}
    assert {nodes[f"parkvmm-1{name}"].mode for name in ("", "/b", "/program")} == {0o755}
    assert nodes["parkvmm-1/link"].mode == 0o777
    assert nodes["parkvmm-1/link"].linkname == "b/y"


def test_checksums_are_taken_by_sha256sum(tmp_path: pathlib.Path) -> None:
    for name in ("b.deb", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    text = archive.sums([tmp_path / "b.deb", tmp_path / "a.tar.gz"])
    assert text.splitlines()[0] == f"{hashlib.sha256(b'a.tar.gz').hexdigest()}  a.tar.gz"
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c"], input=text, text=True, cwd=tmp_path,
                   check=True, timeout=60)


# --- versions ------------------------------------------------------------------------

def test_only_a_tag_makes_a_version_a_release() -> None:
    commit = "0123456789abcdef"
    assert release.version_of("0.2.0", ["x", "0.2.0"], commit, EPOCH, False) == "0.2.0"
    assert release.version_of("0.2.0", ["0.1.0"], commit, EPOCH, False) == (
        "0.2.0+20270115.g0123456789ab")
    assert release.version_of("0.2.0", ["0.2.0"], commit, EPOCH, True) == (
        "0.2.0+20270115.g0123456789ab.dirty")
    newer = release.version_of("0.2.0", [], "00", EPOCH + 86400, False)
    older = release.version_of("0.2.0", [], "ff", EPOCH, False)
    for lower, higher in ((older, newer), ("0.2.0", older), (newer, "0.3.0")):
        subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher], check=True, timeout=60)


def test_the_version_is_that_of_cmake() -> None:
    assert release.version_in("cmake\nproject(parkvmm VERSION 1.2.3 LANGUAGES C)\n") == "1.2.3"
    with pytest.raises(Failure, match="CMakeLists.txt has no version") as caught:
        release.version_in("project(other VERSION 1)")
    assert caught.value.status == DATA


def test_changes_that_are_in_no_commit_are_refused_or_told() -> None:
    assert not release.check_clean("", False)
    with pytest.raises(Failure, match="^a, b: in no commit; commit or stash it, or say") as caught:
        release.check_clean(" M a\n?? b", False)
    assert caught.value.status == USAGE
    with pytest.raises(Failure, match="^a, b, c: in no commit"):
        release.check_clean(" M a\n?? b\n?? c", False)
    with pytest.raises(Failure, match="^a, b, c and 1 more: in no commit"):
        release.check_clean(" M a\n?? b\n?? c\n?? d", False)
    assert release.check_clean(" M a", True)


def test_a_dirty_clone_is_refused_before_anything_is_built(tmp_path: pathlib.Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, clone], check=True, timeout=120)
    (clone / "new file").touch()
    done = subprocess.run([clone / "tools/release"], capture_output=True, text=True, timeout=120,
                          check=False)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert done.stderr == ('release: "new file": in no commit; commit or stash it, or say --dirty, '
                           "and the version says so\n")
    assert not (clone / "build").exists()


def test_a_step_that_fails_ends_the_release_with_its_status() -> None:
    for status, known in ((DATA, DATA), (3, DIFFERS)):
        with pytest.raises(Failure, match=f"failed with exit status {status}") as caught:
            release.call(["sh", "-c", f"exit {status}"], 60, {})
        assert caught.value.status == known
    with pytest.raises(Failure, match="^sh -c kill .* was ended by SIGTERM$") as caught:
        release.call(["sh", "-c", "kill $$"], 60, {})
    assert caught.value.status == 143


# --- what is packed ------------------------------------------------------------------

def test_completions_lie_where_shells_look() -> None:
    made = completions.files(True)
    assert set(made) == {"bash-completion/completions/vmm", "fish/vendor_completions.d/vmm.fish",
                         "zsh/site-functions/_vmm"}
    assert made["zsh/site-functions/_vmm"].startswith("#compdef vmm\n")
    assert not any(line.endswith(" ") for text in made.values() for line in text.splitlines())


def test_an_output_is_an_option_that_writes() -> None:
    known = {option.names[0]: options.is_output(option) for option in options.run_options()}
    assert known["--results"] and known["--events"]
    assert not known["--rootfs"] and not known["--timeout"]


def test_what_a_program_of_this_machine_says_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.output_of("echo", " text ") == "text"
    with pytest.raises(Failure, match="ls /nowhere: .*No such file.*; run tools/setup") as caught:
        sources.output_of("ls", "/nowhere")
    assert caught.value.status == UNAVAILABLE
    monkeypatch.setattr(sources, "output_of", lambda *words: " ".join(words))
    assert sources.installed("zlib1g") == "dpkg-query -W -f ${Version} zlib1g"
