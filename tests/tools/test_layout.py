# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a clone and in an installed tree, and what is said there."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from arm64_host import ROOT
from parkvmm import paths
from parkvmm.failure import UNAVAILABLE, Failure
from parkvmm.host import emulated


def test_a_clone_keeps_everything_below_build(tmp_path: pathlib.Path) -> None:
    found = paths.layout_of(tmp_path, {"XDG_CACHE_HOME": "/cache"})
    assert found == paths.Layout(False, tmp_path / "build", tmp_path / "build/arm64/bin",
                                 tmp_path / "build/guest/debian")
    assert not paths.INSTALLED and paths.ROOT == ROOT


@pytest.mark.parametrize("environment, cache", [
    ({"XDG_CACHE_HOME": "/some/cache", "HOME": "/home/x"}, "/some/cache/parkvmm"),
    ({"XDG_CACHE_HOME": "relative"}, "~/.cache/parkvmm"), ({}, "~/.cache/parkvmm")])
def test_an_installed_tree_keeps_what_it_makes_in_the_users_cache(
        tmp_path: pathlib.Path, environment: dict[str, str], cache: str) -> None:
    (tmp_path / paths.RECORD).write_text("{}")
    assert paths.layout_of(tmp_path, environment) == paths.Layout(
        True, pathlib.Path(cache).expanduser(), tmp_path / "bin", tmp_path / "guest")


@pytest.fixture
def installed(tmp_path: pathlib.Path) -> pathlib.Path:
    """An installed tree, but for its programs."""
    tree = tmp_path / "lib/parkvmm"
    shutil.copytree(ROOT / "tools/parkvmm", tree / "tools/parkvmm",
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tools/vmm", tree / "tools")
    (tree / paths.RECORD).write_text("{}")
    return tree


def run(tree: pathlib.Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, tree / "tools/vmm", *words], text=True,
                          capture_output=True, timeout=60, check=False,
                          env={"PATH": "/nowhere", "HOME": str(tree.parent), **environment})


def test_an_installed_tree_speaks_of_itself(installed: pathlib.Path) -> None:
    helped = run(installed, "--help")
    assert helped.returncode == 0 and "usage: vmm [OPTION]" in helped.stdout
    assert "tools/" not in helped.stdout
    for word in ("--host", "--frob"):
        done = run(installed, word)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "see vmm --help" in done.stderr and "tools/" not in done.stderr


def test_what_an_installed_tree_lacks_is_told_with_what_to_do(installed: pathlib.Path) -> None:
    words = ["--host", "emulated", "doctor"]
    done = run(installed, *words)
    assert (done.returncode, done.stderr) == (UNAVAILABLE, (
        f"vmm: error: {installed}/bin/vmm is missing; install parkvmm again, or unpack its bundle "
        "again\n"))
    for name in ("bin/vmm", "bin/host-unpack", "guest/Image", "guest/busybox"):
        (installed / name).parent.mkdir(exist_ok=True)
        (installed / name).touch()
    done = run(installed, *words)
    assert done.returncode == UNAVAILABLE
    assert done.stderr == ("vmm: error: qemu-system-aarch64 is missing; install qemu-system-arm, "
                           "or what else your system has qemu-system-aarch64 in\n")
    done = run(installed, "run", "debian:7.3")
    assert (done.returncode, done.stderr) == (UNAVAILABLE, (
        "vmm: error: Debian's kernels are fetched by apt-get, which is missing; give the path of "
        "an Image\n"))


def test_an_installed_tree_knows_its_version_without_a_machine(installed: pathlib.Path) -> None:
    (installed / paths.RECORD).write_text('{"version": "1.2.3", "commit": "0123"}')
    done = run(installed, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "vmm 1.2.3 (commit 0123)\n", "")


def test_nothing_is_written_to_an_installed_tree(installed: pathlib.Path) -> None:
    before = sorted(installed.rglob("*"))
    cache = installed.parent / "cache"
    assert run(installed, "--help", XDG_CACHE_HOME=str(cache)).returncode == 0
    assert sorted(installed.rglob("*")) == before
    assert list((cache / "parkvmm/python").rglob("command.*.pyc"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: pathlib.Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(emulated, "SCRATCH", tmp_path / "file" / "tmp")
    with pytest.raises(Failure, match="cannot write to .*/tmp: Not a directory; run it in") as why:
        emulated.make_scratch()
    assert why.value.status == UNAVAILABLE
    monkeypatch.setattr(paths, "INSTALLED", True)
    with pytest.raises(Failure, match="Not a directory; set XDG_CACHE_HOME to a folder"):
        emulated.make_scratch()
