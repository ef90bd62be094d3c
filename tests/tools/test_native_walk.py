# SPDX-License-Identifier: Apache-2.0
"""What `tools/test native` rests on, without a machine."""

import json
import lzma
import os
import pathlib
import re
import subprocess

import native_walk
import pytest
from parkvmm import modules
from parkvmm.host import machine, options, words

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_clone_is_sent_to_a_machine_and_sent_again(tmp_path, monkeypatch) -> None:
    """The machine is this one: its ssh runs a command in a home of its own."""
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\ncd "$MACHINE" && exec sh -c "$3"\n')
    ssh.chmod(0o755)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MACHINE", str(tmp_path / "home"))
    monkeypatch.setattr(native_walk, "SSH", "machine")
    clone = tmp_path / "home" / native_walk.REMOTE
    for _ in range(2):
        native_walk.send_clone()
        (clone / "README.md").unlink()  # The next one mends it.
    native_walk.send_clone()
    here, there = (subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True,
                                  capture_output=True).stdout for folder in (ROOT, clone))
    assert here == there
    done = native_walk.run("cat README.md", None, "")
    assert done.returncode == 0 and done.stdout.startswith("<!-- SPDX")


def module(name: str, folder: pathlib.Path, depends: str) -> None:
    data = b"\x7fELF\0name=" + name.encode() + b"\0depends=" + depends.encode() + b"\0"
    packed = lzma.compress(data) if name == "virtio-blk" else data
    (folder / f"{name}.ko{'.xz' * (name == 'virtio-blk')}").write_bytes(packed)


def test_modules_are_loaded_after_what_they_need(tmp_path: pathlib.Path) -> None:
    module("virtio_ring", tmp_path, "virtio")
    module("virtio", tmp_path, "")
    module("virtio-blk", tmp_path, "virtio_ring,virtio")
    found = modules.closure(tmp_path, ["virtio_blk", "built_in"])
    assert list(found) == ["virtio", "virtio_ring", "virtio_blk"]
    assert found["virtio_blk"].startswith(b"\x7fELF")


@pytest.mark.parametrize("words, complaint", [
    (["--disk", "/nowhere"], "no such file"),
    (["--disk", str(ROOT / "README.md")], "--host-kernel by name"),
    (["--host-kernel", "debian:7"], "is no kernel's name"),
    (["--host-kernel", "/nowhere/Image"], "/nowhere/Image is missing"),
])
def test_bad_hosts_get_one_line(words: list[str], complaint: str) -> None:
    done = subprocess.run([ROOT / "tools/arm64-host", "--emulated", *words, "--", "true"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 69)
    assert complaint in done.stderr and done.stderr.count("\n") == 1


def test_a_probe_says_what_is_lacking() -> None:
    done = subprocess.run([ROOT / "tools/arm64-host", "--probe"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout.count("\n")) in ((0, 0), (69, 1))


def test_commas_in_paths_are_no_options_of_qemu(tmp_path: pathlib.Path) -> None:
    """D8."""
    disk = tmp_path / "a,b"
    disk.touch()
    given = options.parse(["--host-kernel", "debian:6.12", "--disk", str(disk), "--", "true"])
    command = machine.qemu_command(given, pathlib.Path("/x,y"), pathlib.Path("/x,y/initramfs"))
    values = [word for word in command if "path=" in word or "file=" in word]
    assert len(values) == 6
    assert all(re.search(r"(path|file)=\S*[xa],,[yb]", value) for value in values)
    assert "/x,y/initramfs" in command, "no value of an option: as it is"


def test_results_name_the_source_of_a_kernel_of_ours(tmp_path, monkeypatch) -> None:
    for folder, package in (("debian", "busybox-static"), ("linux", "linux-source-6.12")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "packages.json").write_text(json.dumps(
            [{"name": package, "version": "2", "sha256": "0", "locked": False}]))
    monkeypatch.setattr(words, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(words, "KERNEL_SOURCE", tmp_path / "linux")
    monkeypatch.setattr(words, "OWN_KERNELS", ROOT / "tests")
    assert words.unlocked(["vmm", "run", "README.md"]) == "busybox-static 2"
    assert words.unlocked(["vmm", "run", "tests/README.md"]) == (
        "busybox-static 2,linux-source-6.12 2")
