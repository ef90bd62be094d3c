# SPDX-License-Identifier: Apache-2.0
"""What a measured guest is made of, and the small parts that all tools share."""

import lzma
import os
import pathlib
import signal
import subprocess
import time

import pytest
from parkvmm import cache, cpio, files, labels, modules, process
from parkvmm.failure import INTERNAL, UNAVAILABLE, USAGE, Failure, end_with
from parkvmm.guest import arms, image, run
from parkvmm.paths import IMAGE, OWN_KERNELS

# --- arms ----------------------------------------------------------------------


def test_an_arm_runs_debians_kernel_or_the_variant_of_ours() -> None:
    assert arms.ARMS["stock"].kernel("64k") == IMAGE
    assert arms.ARMS["stop"].kernel("64k") == OWN_KERNELS / "64k" / "Image"


@pytest.mark.parametrize("arm, variant, name", [
    ("stock", "default", "initramfs-stock.cpio"), ("stock", "64k", "initramfs-stock.cpio"),
    ("module", "default", "initramfs-module.cpio"), ("stop", "default", "initramfs-patched.cpio"),
    ("stop", "64k", "initramfs-patched-64k.cpio"), ("stock-ipi", "default", "initramfs-ipi.cpio"),
    ("stock-uncore", "64k", "initramfs-uncore.cpio")])
def test_arms_share_an_initramfs_where_its_files_are_the_same(arm, variant, name) -> None:
    assert arms.ARMS[arm].initrd(variant).name == name


def test_a_given_kernel_has_a_folder_by_its_content(tmp_path: pathlib.Path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_text("kernel")
    taken = arms.ARMS["stock"].kernel("default", str(kernel))
    assert taken.parent.name == files.digest_now(kernel)[:16]
    assert arms.ARMS["stock"].initrd("64k", str(kernel)) == taken.with_name("initramfs.cpio")


def test_a_given_kernel_is_copied_once(tmp_path: pathlib.Path) -> None:
    given, copy = tmp_path / "given", tmp_path / "a" / "b" / "Image"
    given.write_text("first")
    arms.take(str(given), copy)
    given.write_text("second")
    arms.take(str(given), copy)
    assert copy.read_text() == "first"
    copy.unlink()  # Its folder stays.
    arms.take(str(given), copy)
    assert copy.read_text() == "second"
    assert os.listdir(copy.parent) == ["Image"]


def builds_of(monkeypatch: pytest.MonkeyPatch, *wanted: tuple[str, str, str]) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(arms, "build", lambda *words: said.append(" ".join(words)))
    arms.prepare(set(wanted))
    return said


def test_an_arm_of_debians_kernel_builds_no_kernel(monkeypatch) -> None:
    said = builds_of(monkeypatch, ("stock", "default", ""), ("stock-expedited", "default", ""))
    assert len(said) == 1 and said[0].startswith(f"tools/guest-image --kernel {IMAGE} --output ")
    assert "--module" not in said[0]


def test_each_kernel_is_built_once_and_before_its_initramfs(monkeypatch) -> None:
    said = builds_of(monkeypatch, ("stop", "64k", ""), ("hotplug", "64k", ""),
                     ("stop", "default", ""), ("module", "default", ""))
    assert said[:3] == ["tools/guest-kernel build --variant 64k",
                        "tools/guest-kernel build --variant default", "tools/guest-module/build"]
    assert len(said) == 6
    module, = [line for line in said[3:] if "initramfs-module.cpio" in line]
    assert module.endswith(f" --module {arms.STOP}")


def test_a_given_kernel_is_taken_and_not_built(monkeypatch, tmp_path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_text("kernel")
    monkeypatch.setattr(arms, "GUEST", tmp_path / "guest")
    said = builds_of(monkeypatch, ("stop", "default", str(kernel)))
    copy = arms.ARMS["stop"].kernel("default", str(kernel))
    assert copy.read_text() == "kernel"
    assert said == [f"tools/guest-image --kernel {copy} --output {copy.parent}/initramfs.cpio"]


def test_a_build_that_fails_ends_with_its_status() -> None:
    arms.build("true")
    with pytest.raises(Failure, match="sh -c exit 7 failed") as caught:
        arms.build("sh", "-c", "exit 7")
    assert caught.value.status == 7


def test_deadlines_grow_with_kexecs_and_cpus() -> None:
    assert [run.guest_deadline(*each) for each in ((0, 8), (1, 1), (10, 8))] == [240, 304, 1160]
    assert [run.host_deadline(*each) for each in ((0, 8), (1, 1), (10, 8))] == [600, 702, 2460]


# --- the initramfs ----------------------------------------------------------------

@pytest.fixture
def parts(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with an init, a busybox and a kernel, small and complete."""
    (tmp_path / "init").write_text("init")
    (tmp_path / "busybox").write_text("busybox")
    (tmp_path / "Image").write_bytes(bytes(56) + b"ARMd" + bytes(4))
    monkeypatch.setattr(image, "BUSYBOX", tmp_path / "busybox")
    return tmp_path


def collected(parts: pathlib.Path, *given: str) -> image.Files:
    return image.collect(image.parse(["--init", f"{parts}/init", "--kernel", f"{parts}/Image",
                                      *given]))


def test_an_initramfs_has_init_a_shell_and_the_next_kernel(parts: pathlib.Path) -> None:
    found = collected(parts)
    assert found == {"init": parts / "init", "bin/busybox": parts / "busybox",
                     "boot/Image": parts / "Image"}
    tree = image.tree_of(found)
    assert tree["bin/sh"] == cpio.link("busybox") and tree["proc"] == cpio.directory()
    assert tree["init"] == cpio.regular(parts / "init", executable=True)
    assert tree["bin/busybox"].mode == 0o755 and tree["boot/Image"].mode == 0o644
    assert "boot/Image" not in collected(parts, "--no-kernel")


def test_modules_and_more_files_go_where_they_are_wanted(parts: pathlib.Path) -> None:
    (parts / "m.ko").write_text("module")
    (parts / "more" / "deep").mkdir(parents=True)
    (parts / "more" / "deep" / "x").write_text("x")
    (parts / "more" / ".hidden").write_text("x")
    found = collected(parts, "--module", f"{parts}/m.ko", "--add", f"{parts}/more:/srv",
                      "--add", f"{parts}/init:/a//b/../c")
    assert found["lib/m.ko"] == parts / "m.ko"
    assert found["srv/deep/x"] == parts / "more/deep/x"
    assert found["a/c"] == parts / "init"
    assert not any("hidden" in path for path in found)
    assert collected(parts, "--add", f"{parts}/more:/")["deep/x"] == parts / "more/deep/x"


@pytest.mark.parametrize("text", ["init", "init:relative", ":/init", "init:/", "init:/.."])
def test_an_addition_that_is_no_pair_is_refused(parts, monkeypatch, text) -> None:
    monkeypatch.chdir(parts)
    with pytest.raises(Failure, match="is not FILE:/PATH") as caught:
        collected(parts, "--add", text)
    assert caught.value.status == USAGE


def test_what_is_missing_is_named_with_its_remedy(parts: pathlib.Path) -> None:
    for name, remedy in (("busybox", "run tools/setup"), ("init", "run tools/build arm64")):
        (parts / name).rename(parts / "away")
        with pytest.raises(Failure, match=f"{name} is missing; ({remedy})") as caught:
            collected(parts)
        assert caught.value.status == UNAVAILABLE
        (parts / "away").rename(parts / name)
    with pytest.raises(Failure, match="none is missing; name a file"):
        collected(parts, "--add", f"{parts}/none:/x")


@pytest.mark.parametrize("header", [b"", bytes(64), bytes(57) + b"ARMd", bytes(55) + b"ARMd"])
def test_only_an_image_is_taken_as_the_next_kernel(parts: pathlib.Path, header: bytes) -> None:
    (parts / "Image").write_bytes(header)
    with pytest.raises(Failure, match="is no uncompressed arm64 Image") as caught:
        collected(parts)
    assert caught.value.status == USAGE


def test_an_initramfs_is_written_once_and_again_if_it_changes(parts, monkeypatch) -> None:
    written = []

    def write(_tree: cpio.Tree, target: pathlib.Path) -> None:
        written.append(target)
        target.write_text(f"archive {len(written)}")

    monkeypatch.setattr(cpio, "write_archive", write)
    output = parts / "out" / "deep" / "initramfs.cpio"
    words = ["--init", f"{parts}/init", "--kernel", f"{parts}/Image", "--output", str(output)]
    assert image.main(words) == image.main(words) == 0
    assert len(written) == 1 and output.read_text() == "archive 1"
    assert sorted(os.listdir(output.parent)) == ["initramfs.cpio", "initramfs.cpio.stamp"]
    output.write_text("tampered")
    image.main(words)
    assert output.read_text() == "archive 2"
    image.main([*words, "--no-kernel"])
    assert output.read_text() == "archive 3"
    output.unlink()
    image.main([*words, "--no-kernel"])
    assert output.read_text() == "archive 4"


# --- files that are kept ---------------------------------------------------------------

@pytest.fixture
def kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(cache, "CACHE", tmp_path / "a" / "cache")
    return tmp_path / "a" / "cache" / "kind"


def test_a_file_is_made_once(kept: pathlib.Path) -> None:
    for number in range(2):
        with cache.cached("kind", "name") as (path, draft):
            assert (draft is None) == bool(number)
            if draft:
                draft.write_text("content")
        assert path == kept / "name" and path.read_text() == "content"
    assert os.listdir(kept) == ["name"]


def test_what_could_not_be_made_leaves_nothing(kept: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError):
        with cache.cached("kind", "name") as (_, draft):
            assert draft
            draft.write_text("half")
            raise ZeroDivisionError
    assert not os.listdir(kept)


def test_a_file_goes_a_day_after_its_last_use(kept: pathlib.Path) -> None:
    kept.mkdir(parents=True)
    ages = {"used": 30, "old": 25, "young": 23}
    for name, hours in ages.items():
        (kept / name).touch()
        os.utime(kept / name, (time.time() - hours * 3600,) * 2)
    with cache.cached("kind", "used") as (_, draft):
        assert draft is None
    with cache.cached("kind", "new") as (_, draft):
        assert draft
        draft.touch()
    assert sorted(os.listdir(kept)) == ["new", "used", "young"]


def test_the_first_file_is_by_pattern_then_by_name(tmp_path: pathlib.Path) -> None:
    for name in ("b2", "a2", "a1", "b1"):
        (tmp_path / name).touch()
    assert files.first(tmp_path, "c*", "b*", "a*") == tmp_path / "b1"
    assert files.first(tmp_path, "c*") is None


# --- programs ---------------------------------------------------------------------------

def test_a_programs_complaint_becomes_the_failures() -> None:
    process.run_tool(["true"], "x")
    with pytest.raises(Failure, match="^sh: bad$") as caught:
        process.run_tool(["sh", "-c", "echo bad >&2; exit 3"], "x")
    assert caught.value.status == INTERNAL
    with pytest.raises(Failure, match="no-such-program is missing; run it") as caught:
        process.run_tool(["no-such-program"], "run it")
    assert caught.value.status == UNAVAILABLE


def test_a_program_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TOOL_DEADLINE", 0.1)
    with pytest.raises(Failure, match="waited 0.1 s for sleep"):
        process.run_tool(["sleep", "60"], "x")


def test_a_child_does_not_outlive_its_block() -> None:
    reader, writer = os.pipe()
    with process.child(["sh", "-c", "sleep 60 & sleep 60"], stdout=writer) as sleeper:
        os.close(writer)
        assert sleeper.poll() is None
    assert sleeper.returncode == -signal.SIGKILL
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""  # It ends when nobody holds it, the child's child included.


def test_a_childs_files_stay_small(tmp_path: pathlib.Path) -> None:
    with process.child(["head", "-c", "100", "/dev/zero"], file_limit=10,
                       stdout=open(tmp_path / "out", "wb"), stderr=subprocess.DEVNULL) as writer:
        writer.wait()
    assert (tmp_path / "out").stat().st_size == 10
    with process.child(["head", "-c", "100", "/dev/zero"],
                       stdout=open(tmp_path / "out", "wb")) as writer:
        assert writer.wait() == 0
    assert (tmp_path / "out").stat().st_size == 100


@pytest.mark.parametrize("error, status", [
    (KeyboardInterrupt(), 130), (Failure(69, "x"), 69), (OSError(28, "full"), INTERNAL),
    (subprocess.TimeoutExpired(["x"], 1), INTERNAL)])
def test_a_tool_ends_with_a_status_that_says_why(error: BaseException, status: int) -> None:
    def main(_words: list[str]) -> int:
        raise error
    with pytest.raises(SystemExit) as ended:
        end_with("x", main)
    assert ended.value.code == status


def test_every_label_says_what_its_times_are_worth() -> None:
    assert set(labels.WORTH) == {"kvm", "kvm-on-vm", labels.EMULATED, labels.VIRTUAL_TIME}


# --- modules -----------------------------------------------------------------------------

def a_module(folder: pathlib.Path, name: str, depends: str, suffix: str = ".ko") -> bytes:
    content = f"x\0depends={depends}\0y {name}".encode()
    (folder / f"{name}{suffix}").write_bytes(
        lzma.compress(content) if suffix.endswith("xz") else content)
    return content


def test_modules_come_after_what_they_need(tmp_path: pathlib.Path) -> None:
    (tmp_path / "deep").mkdir()
    top = a_module(tmp_path, "top", "mid-dle,builtin")
    middle = a_module(tmp_path / "deep", "mid-dle", "base", ".ko.xz")
    base = a_module(tmp_path, "base", "")
    a_module(tmp_path, "unwanted", "")
    found = modules.closure(tmp_path, ["top", "base", "elsewhere"])
    assert list(found.items()) == [("base", base), ("mid_dle", middle), ("top", top)]
    assert modules.dependencies_of(b"no such section") == []
