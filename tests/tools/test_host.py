# SPDX-License-Identifier: Apache-2.0
"""What tools/arm64-host does before and after a machine runs: no test here boots one."""

import argparse
import io
import os
import pathlib
import platform
import select
import signal
import socket
import tarfile
import time
from typing import Any

import pytest
from parkvmm import cache, cpio
from parkvmm.debian import lock
from parkvmm.failure import (DEADLINE, INTERNAL, OUTPUT_LOST, UNAVAILABLE, USAGE,
                             Failure)
from parkvmm.host import (command, contents, emulated, machine, messages, native, options,
                          results, session, words)
from parkvmm.host.outputs import Sink, Tail
from parkvmm.host.session import Session


def parsed(*given: str) -> argparse.Namespace:
    return options.parse([*given, "--", "true"])


def refused(*given: str) -> str:
    with pytest.raises(Failure) as caught:
        parsed(*given)
    assert caught.value.status == USAGE
    return str(caught.value)


# --- options -------------------------------------------------------------------

@pytest.mark.parametrize("text, seconds", [
    ("90", 90), ("90s", 90), ("1500ms", 1.5), ("10m", 600), ("1h", 3600), ("0.5", 0.5)])
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert parsed("--timeout", text).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["0", "0s", "-1", "ten", "10d", "1.", ""])
def test_no_duration_is_refused(text: str) -> None:
    assert "is no duration" in refused(f"--timeout={text}")


@pytest.mark.parametrize("text", ["1", "8", "512"])
def test_a_host_has_1_to_512_cpus(text: str) -> None:
    assert parsed("--cpus", text).cpus == int(text)


@pytest.mark.parametrize("text", ["0", "513", "-1", "x", "1.5"])
def test_another_number_of_cpus_is_refused(text: str) -> None:
    assert "from 1 to 512" in refused(f"--cpus={text}")


def test_a_size_of_memory_has_a_unit() -> None:
    assert parsed("--memory", "512M").memory == "512M"
    for text in ("512", "0M", "1T"):
        assert "is no size" in refused("--memory", text)


def test_a_gic_of_version_2_serves_8_cpus() -> None:
    assert parsed("--gic", "2", "--cpus", "8").gic == "2"
    assert "8 CPUs at most, not 9" in refused("--gic", "2", "--cpus", "9")
    assert parsed("--gic", "3", "--cpus", "9").cpus == 9


def test_what_contradicts_itself_is_refused(tmp_path: pathlib.Path) -> None:
    assert "--native forbids it" in refused("--deterministic", "--native")
    assert "no such file" in refused("--disk", str(tmp_path / "none"))
    (tmp_path / "disk").touch()
    assert "by name" in refused("--disk", str(tmp_path / "disk"))
    assert parsed("--disk", str(tmp_path / "disk"), "--host-kernel", "debian:6.12").disk


def test_a_command_stands_after_two_dashes() -> None:
    assert options.parse(["--cpus", "2", "--", "ls", "--", "x"]).command == ["ls", "--", "x"]
    with pytest.raises(Failure, match="no command"):
        options.parse(["--cpus", "2"])
    assert options.parse(["--probe"]).command == []


def test_files_to_take_along_are_of_the_repository() -> None:
    assert parsed("--file", "tools/test").file == [pathlib.Path("tools/test")]
    assert "inside the repository" in refused("--file", "/etc/passwd")


# --- which machine ---------------------------------------------------------------

class Ran(Exception):
    """Stands for a machine that was started."""


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, usual_signals: None) -> pytest.MonkeyPatch:
    """Stops where a machine would be started, and says which."""
    def starts(kind: str):
        def start(_options: argparse.Namespace, deadline: float) -> int:
            assert 0 < deadline - time.monotonic() <= 600
            raise Ran(kind)
        return start
    monkeypatch.setattr(command, "run_natively", starts("native"))
    monkeypatch.setattr(command, "run_emulated", starts("emulated"))
    return monkeypatch


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_tool_unless_it_was_ignored_from_the_start(machines, number) -> None:
    machines.setattr(command, "lacking_here", lambda: None)

    def signalled(*_: object) -> int:
        signal.raise_signal(number)
        return 5

    machines.setattr(command, "run_natively", signalled)
    with pytest.raises(command.Signalled) as ended:
        command.main(["--", "true"])
    assert ended.value.args == (number,)
    signal.signal(number, signal.SIG_IGN)
    assert command.main(["--", "true"]) == 5


@pytest.mark.parametrize("lacks, given, kind", [
    (None, [], "native"), (None, ["--emulated"], "emulated"),
    (None, ["--deterministic"], "emulated"), (None, ["--native"], "native"),
    ("a filter", [], "emulated"), ("a filter", ["--native"], "native")])
def test_a_command_runs_here_if_this_machine_will_do(machines, lacks, given, kind) -> None:
    machines.setattr(command, "lacking_here", lambda: lacks)
    machines.setattr(command, "kvm_here", lambda: None)
    with pytest.raises(Ran, match=kind):
        command.main([*given, "--", "true"])


def test_native_is_refused_where_there_is_no_kvm(machines) -> None:
    machines.setattr(command, "kvm_here", lambda: "/dev/kvm: No such file")
    with pytest.raises(Failure, match="without --native it is emulated") as caught:
        command.main(["--native", "--", "true"])
    assert caught.value.status == UNAVAILABLE


@pytest.mark.parametrize("kind, told", [("aarch64", True), ("x86_64", False)])
def test_an_arm64_machine_is_told_why_it_will_not_do(machines, capsys, kind, told) -> None:
    machines.setattr(command, "lacking_here", lambda: "no filter")
    machines.setattr(platform, "machine", lambda: kind)
    with pytest.raises(Ran, match="emulated"):
        command.main(["--", "true"])
    assert ("no filter: emulating" in capsys.readouterr().err) == told


@pytest.mark.parametrize("lacks, status", [(None, 0), ("no KVM", UNAVAILABLE)])
def test_a_probe_prints_what_is_lacking(machines, capsys, lacks, status) -> None:
    machines.setattr(command, "lacking_here", lambda: lacks)
    assert command.main(["--probe"]) == status
    assert capsys.readouterr().out.strip() == (lacks or "")


def test_a_folder_for_results_is_made_with_its_parents(machines, tmp_path) -> None:
    machines.setattr(command, "lacking_here", lambda: None)
    for _ in range(2):
        with pytest.raises(Ran):
            command.main(["--out", str(tmp_path / "a" / "b"), "--", "true"])
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="--out") as caught:
        command.main(["--out", str(tmp_path / "file" / "x"), "--", "true"])
    assert caught.value.status == USAGE


def test_both_kvm_and_its_filter_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for kvm, psci in ((None, None), ("no KVM", "unasked"), (None, "no filter")):
        monkeypatch.setattr(native, "kvm_here", lambda: kvm)
        monkeypatch.setattr(native, "psci_filter_here", lambda: psci)
        assert native.lacking_here() == (kvm or psci)
    monkeypatch.undo()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert native.kvm_here() == "this machine is riscv64, not arm64"


def test_kvm_is_asked_for_a_machine_and_for_its_filter(monkeypatch, tmp_path) -> None:
    """The machine that it makes is a pipe."""
    asked: list[tuple[int, object]] = []

    def ioctl(_file: object, request: int, argument: object) -> int:
        asked.append((request, argument))
        if request != native.KVM_CREATE_VM:
            raise OSError(6, "No such device or address")
        reader, machine_ = os.pipe()
        os.close(reader)
        made.append(machine_)
        return machine_

    made: list[int] = []
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(native.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(native, "open", lambda path, *words, **more: open(
        str(path).replace("/dev", str(tmp_path)), *words, **more), raising=False)
    assert native.kvm_here() is None
    assert asked == [(native.KVM_CREATE_VM, 0)]
    assert "no SMCCC filter" in (native.lacking_here() or "")
    assert asked[1:] == [(native.KVM_CREATE_VM, 0), (native.KVM_CREATE_VM, 0),
                         (native.KVM_HAS_DEVICE_ATTR, native.SMCCC_FILTER)]
    assert len(made) == 3
    for machine_ in made:
        with pytest.raises(OSError):
            os.fstat(machine_)
    (tmp_path / "kvm").unlink()
    assert native.kvm_here() == "/dev/kvm: No such file or directory"


# --- natively ----------------------------------------------------------------------

def natively(*given: str, out: pathlib.Path | None = None, seconds: float = 30) -> int:
    chosen = options.parse(["--timeout", f"{seconds}s", "--", *given])
    chosen.out = out
    return native.run_natively(chosen, time.monotonic() + seconds)


def test_a_command_ends_with_its_own_status(tmp_path: pathlib.Path) -> None:
    assert natively("sh", "-c", "exit 7") == 7
    assert natively("sh", "-c", "kill -TERM $$") == 128 + signal.SIGTERM
    assert natively("true") == 0


def test_a_command_finds_its_folder_for_results(tmp_path: pathlib.Path) -> None:
    assert natively("sh", "-c", "test $RESULTS = @RESULTS@ && echo x > $RESULTS/y",
                    out=tmp_path) == 0
    assert (tmp_path / "y").read_text() == "x\n"


def test_a_command_that_is_not_there_has_a_shells_status(tmp_path: pathlib.Path) -> None:
    assert natively("no-such-program") == 127
    (tmp_path / "plain").write_text("text")
    assert natively(str(tmp_path / "plain")) == 126


def test_a_command_that_does_not_end_is_ended() -> None:
    with pytest.raises(Failure) as caught:
        natively("sleep", "60", seconds=0.2)
    assert caught.value.status == DEADLINE


# --- what goes in --------------------------------------------------------------------

@pytest.fixture
def repository(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A repository with few files."""
    root = tmp_path / "repository"
    binaries = root / "build" / "arm64" / "bin"
    binaries.mkdir(parents=True)
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "folder" / "a").write_text("a")
    (root / "folder" / "deep" / "b").write_text("b")
    os.symlink("nowhere", root / "folder" / "dead")
    (binaries / "program").write_text("#!/bin/sh\n")
    os.chmod(binaries / "program", 0o755)
    (binaries / "data").write_text("data")
    (root / "busybox").write_text("busybox")
    for module in (contents, words):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(contents, "BIN", binaries)
    monkeypatch.setattr(contents, "BUSYBOX", root / "busybox")
    monkeypatch.setattr(contents, "HOST_UNPACK", root / "busybox")
    monkeypatch.setattr(words, "DEBIAN", root / "debian")
    return root


def test_words_that_name_files_take_them_along(repository: pathlib.Path) -> None:
    given = ["cat", "folder/a", "--x=folder/deep/b", "folder", "../outside", "--y=", "/etc/passwd",
             "x\0y", "."]
    assert list(words.named_files(given)) == [pathlib.Path("folder/a"),
                                              pathlib.Path("folder/deep/b")]
    assert words.inside_repository("folder/../folder/a") == pathlib.Path("folder/a")
    assert words.inside_repository("folder/none") is None


def test_a_folder_brings_all_below_it(repository: pathlib.Path) -> None:
    tree: cpio.Tree = {}
    contents.add_file(tree, pathlib.Path("folder"))
    assert sorted(tree) == ["parkvmm/folder", "parkvmm/folder/a", "parkvmm/folder/deep",
                            "parkvmm/folder/deep/b"]
    assert tree["parkvmm/folder/a"] == cpio.regular(repository / "folder" / "a")
    assert tree["parkvmm/folder/deep"] == cpio.directory()


def test_programs_of_the_build_are_there_already(repository: pathlib.Path) -> None:
    tree: cpio.Tree = {}
    contents.add_file(tree, pathlib.Path("build/arm64/bin/program"))
    assert not tree
    contents.add_file(tree, pathlib.Path("build/arm64/bin/data"))
    assert list(tree) == ["parkvmm/build/arm64/bin/data"]


def test_every_command_gets_the_programs_of_the_build(repository: pathlib.Path) -> None:
    tree: cpio.Tree = {}
    contents.add_programs(tree)
    program = tree["parkvmm/build/arm64/bin/program"]
    assert program.mode == 0o755
    assert program.content == repository / "build/arm64/bin/program"
    assert list(tree) == ["parkvmm/build/arm64/bin/program"]


def strip_that(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "aarch64-linux-gnu-strip"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


def test_a_program_leaves_its_symbols_behind_once(tmp_path, monkeypatch) -> None:
    strip_that(tmp_path, monkeypatch, f'echo "$@" >>{tmp_path}/said; echo stripped >"$2"')
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF with symbols")
    for _ in range(2):
        copy = contents.stripped(program)
        assert copy != program and copy.read_text() == "stripped\n"
    said, = (tmp_path / "said").read_text().splitlines()
    assert said.startswith("-o ") and said.endswith(f" {program}")
    other = tmp_path / "other"
    other.write_bytes(b"\x7fELF with other symbols")
    assert contents.stripped(other) != copy
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert contents.stripped(script) == script


def test_the_base_is_what_boots_and_the_modules_of_a_kernel_by_name(repository, tmp_path,
                                                                    monkeypatch) -> None:
    """An archive stands here as the names of its nodes."""
    monkeypatch.setattr(cpio, "write_archive",
                        lambda tree, target: target.write_text(" ".join(sorted(tree))))
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(contents, "KERNELS", tmp_path / "kernels")
    kernel = tmp_path / "kernels/debian-7.3-cloud/Image"
    modules = kernel.parent / "lib/modules/7.3"
    modules.mkdir(parents=True)
    for name, needs in (("virtio_blk", "virtio"), ("virtio", "")):
        (modules / f"{name}.ko").write_bytes(f"x\0depends={needs}\0".encode())
    run = tmp_path / "run"
    run.mkdir()
    chosen = parsed()
    chosen.host_kernel = repository / "elsewhere" / "Image"
    first = contents.base_archive(chosen, run)
    assert first.read_text() == ("bin/busybox bin/host-unpack dev dev/console init parkvmm proc "
                                 "results run sys tmp")
    assert contents.base_archive(chosen, run) == first
    tree = contents.base_tree(chosen, run)
    assert {tree[name].mode for name in ("bin/busybox", "bin/host-unpack", "init")} == {0o755}
    assert tree["dev/console"] == cpio.console()
    chosen.host_kernel = kernel
    named = contents.base_archive(chosen, run)
    assert named != first
    assert ".host/modules/00-virtio.ko .host/modules/01-virtio_blk.ko" in named.read_text()
    content = contents.base_tree(chosen, run)[".host/modules/00-virtio.ko"].content
    assert content and content.read_bytes() == b"x\0depends=\0"


def test_a_command_takes_its_files_and_its_script_along(repository, tmp_path) -> None:
    chosen = options.parse(["--", "cat", "folder/a"])
    chosen.file = [pathlib.Path("folder/deep")]
    tree = contents.payload_tree(chosen, tmp_path)
    assert sorted(tree) == [".host/command", "parkvmm/build/arm64/bin/program",
                            "parkvmm/folder/a", "parkvmm/folder/deep", "parkvmm/folder/deep/b"]
    script = tree[".host/command"].content
    assert script and script.read_text().endswith("exec cat folder/a\n")
    chosen.out, chosen.file = tmp_path, []
    wants, = set(contents.payload_tree(chosen, tmp_path)) - set(tree)
    assert wants == ".host/wants-results"
    # It is asked to end if it is late, so that they are not lost.
    assert contents.ORDERS in (tmp_path / "command").read_text()


def script_of(*given: str) -> str:
    return contents.command_script(options.parse(list(given)))


def test_a_command_runs_in_the_repository_of_the_emulated_host(repository) -> None:
    script = script_of("--deterministic", "--", "vmm", f"{repository}/folder/a", "@RESULTS@/r",
                       "a b")
    assert script == ("cd /parkvmm\nexport PATH=/parkvmm/build/arm64/bin:/bin RESULTS=/results\n"
                      "exec vmm /parkvmm/folder/a /results/r 'a b'\n")


def test_a_host_in_wall_clock_time_is_told_the_date(repository, monkeypatch) -> None:
    monkeypatch.setattr(contents.time, "time", lambda: 1234.5)
    assert script_of("--", "true").startswith("/bin/date -s @1234 >/dev/null\ncd ")


def test_what_is_not_locked_is_told_to_the_command(repository: pathlib.Path) -> None:
    (repository / "debian").mkdir()
    lock.write_record([lock.Package("p", "1", "0", False, repository)], repository / "debian")
    assert "export PARKVMM_UNLOCKED='p 1'\n" in script_of("--", "true")


# --- QEMU -----------------------------------------------------------------------------

def qemu(*given: str, **how: Any) -> str:
    chosen = parsed(*given)
    chosen.host_kernel = pathlib.Path("Image")
    return " ".join(machine.qemu_command(chosen, pathlib.Path("/r,un"), pathlib.Path("/initrd"),
                                         **how))


def test_the_machine_is_as_the_options_say() -> None:
    line = qemu("--cpus", "3", "--memory", "2G", "--gic", "2", "--host-params", "quiet x=1")
    assert "-smp 3 -m 2G" in line and "gic-version=2" in line
    assert "x=1" in line and "thread=single" in line and "nokaslr" not in line
    assert "parkvmm.label=kvm-on-tcg " in line and "-drive" not in line
    for number, name in enumerate(("stdout", "stderr", "control", "results"), 1):
        assert f"file,id={name},path=/r,,un/{name} " in line + " "
        assert f"virtserialport,nr={number},chardev={name}" in line


def test_emulated_cpus_have_one_thread_unless_asked() -> None:
    assert "thread=multi" in qemu("--threads", "multi") and "-icount" not in qemu()
    assert "--threads multi contradicts" in refused("--deterministic", "--threads", "multi")


def test_a_machine_gets_its_files_in_order_and_can_be_stopped_and_restored() -> None:
    line = qemu(parts=[pathlib.Path("a"), pathlib.Path("b,c")],
                sockets={"monitor": 7, "poke": 8}, restored=True)
    assert ("-fw_cfg name=opt/parkvmm/00,file=a -fw_cfg name=opt/parkvmm/01,file=b,,c "
            "-device i6300esb -device i6300esb -action watchdog=pause "
            "-chardev socket,id=poke,fd=8 "
            "-device virtserialport,nr=5,chardev=poke -chardev socket,id=monitor,fd=7 "
            "-mon chardev=monitor,mode=control -incoming defer") in line
    for word in ("fw_cfg", "watchdog", "socket", "incoming"):
        assert word not in qemu()


@pytest.mark.parametrize("model, cpu", [
    ("neoverse-n1", "neoverse-n1"), ("max", "max,pauth-impdef=on"),
    ("max,sve=off", "max,sve=off,pauth-impdef=on"), ("max,pauth=off", "max,pauth=off")])
def test_pointers_are_signed_by_what_qemu_does_fast(model: str, cpu: str) -> None:
    assert f"-cpu {cpu} " in qemu("--cpu-model", model)


def test_virtual_time_is_one_thread_and_a_fixed_seed() -> None:
    line = qemu("--deterministic")
    for word in ("thread=single", "-icount shift=0,sleep=off", "-seed 1", "clock=vm", "nokaslr",
                 "parkvmm.label=kvm-on-tcg-icount"):
        assert word in line


def test_a_live_machine_has_a_stdin_a_terminal_and_files(monkeypatch) -> None:
    real = options.parse

    def parse(words_: list[str]) -> argparse.Namespace:
        chosen = real(words_)
        chosen.live = True
        return chosen

    monkeypatch.setattr(options, "parse", parse)
    line = qemu(sockets={"stdin": 5, "tty": 6})
    assert ("-chardev socket,id=stdin,fd=5 -device virtserialport,nr=6,chardev=stdin "
            "-chardev socket,id=tty,fd=6 -device virtconsole,nr=0,chardev=tty "
            "-chardev file,id=file0,path=/r,,un/file0 -device virtserialport,nr=8,chardev=file0 "
            ) in line
    assert "nr=15,chardev=file7" in line and "file8" not in line and "max_ports=31" in line


def test_a_disk_is_never_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").touch()
    line = qemu("--disk", str(tmp_path / "disk"), "--host-kernel", "debian:6.12")
    assert f"file={tmp_path}/disk,if=none,id=disk,format=raw,snapshot=on" in line


@pytest.mark.parametrize("script, version", [
    ("echo QEMU emulator version 7.2.11", "7.2"), ("echo what", "of unknown version")])
def test_qemu_says_its_version(tmp_path, monkeypatch, script, version) -> None:
    program = tmp_path / machine.QEMU
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machine.full_version.cache_clear()
    assert machine.qemu_version() == version


def test_qemu_that_is_missing_or_fails_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    machine.full_version.cache_clear()
    with pytest.raises(Failure, match="is missing; run tools/setup emulator"):
        machine.qemu_version()
    (tmp_path / machine.QEMU).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / machine.QEMU).chmod(0o755)
    with pytest.raises(Failure, match="does not run"):
        machine.qemu_version()


@pytest.mark.parametrize("status, console, log, said", [
    (-signal.SIGXFSZ, "", "", "an output grew beyond 2 GiB"),
    (0, "x\nKernel panic - not syncing: y\n", "",
     "the emulated host went down while we waited for it: Kernel panic - not syncing: y"),
    (0, "", "", "the emulated host went down while we waited for it"),
    (1, "", "one\n", "QEMU ended with status 1 while we waited for it: one"),
    (3, "", "one\ntwo\n", "QEMU ended with status 3 while we waited for it: two"),
    (-9, "", "", "QEMU ended with SIGKILL while we waited for it: it said nothing")])
def test_how_qemu_ended_is_said_in_words(tmp_path, status, console, log, said) -> None:
    (tmp_path / "console").write_text(console)
    (tmp_path / "qemu.log").write_text(log)
    assert emulated.how_qemu_ended(status, "it", tmp_path) == said


def test_the_end_of_the_console_is_shown(tmp_path: pathlib.Path, capsys) -> None:
    (tmp_path / "console").write_text("")
    emulated.show_console(tmp_path / "console")
    assert capsys.readouterr().err == ""
    (tmp_path / "console").write_text("\n".join(f"line {number}." for number in range(30)))
    emulated.show_console(tmp_path / "console")
    said = capsys.readouterr().err
    assert "line 9." not in said and "  line 10.\n" in said and "  line 29.\n" in said


def test_nobody_waits_for_a_reader_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PATIENCE", 0.1)
    reader, writer = os.pipe()
    filler = Sink(writer)
    while filler.write(b"x" * 4096):
        pass
    saved = os.dup(2)
    os.dup2(writer, 2)
    try:
        messages.say("lost")
    finally:
        os.dup2(saved, 2)
    for descriptor in (saved, reader, writer):
        os.close(descriptor)


def watched(script: str, run: pathlib.Path, seconds: float = 30,
            how: Session | None = None) -> int:
    """Lets a script stand for QEMU."""
    chosen = parsed("--timeout", f"{seconds}s")
    return emulated.watch(chosen, run, ["sh", "-c", f"cd {run}; {script}"],
                          time.monotonic() + seconds, how or Session(chosen), lambda: None)


def test_output_and_status_are_the_commands(tmp_path: pathlib.Path, capfd) -> None:
    assert watched("echo out > stdout; echo err > stderr; echo started > control; "
                   "echo status 42 >> control; sleep 60", tmp_path) == 42
    said = capfd.readouterr()
    assert said.out == "out\n" and said.err == "err\n"


def test_outputs_are_looked_at_every_ten_milliseconds(tmp_path, monkeypatch) -> None:
    class Poll:
        def __init__(self) -> None:
            self.real = real()
            self.register = self.real.register

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            waits.add(milliseconds)
            return self.real.poll(0)

    real, waits = select.poll, set[float]()
    monkeypatch.setattr(emulated.select, "poll", Poll)
    assert watched("echo status 4 >control", tmp_path) == 4
    assert waits == {10}


def test_a_host_that_dies_is_told_with_what_was_awaited(tmp_path: pathlib.Path) -> None:
    (tmp_path / "console").touch()
    with pytest.raises(Failure, match="status 5 .* the emulated host to boot: bad") as caught:
        watched("echo bad >&2; exit 5", tmp_path)
    assert caught.value.status == INTERNAL
    with pytest.raises(Failure, match="status 5 .* the command to end"):
        watched("echo started > control; exit 5", tmp_path)


def test_a_host_that_does_not_end_meets_its_deadline(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="the emulated host to boot") as caught:
        watched("sleep 60", tmp_path, 0.2)
    assert caught.value.status == DEADLINE


def test_a_boot_that_takes_long_is_said(tmp_path: pathlib.Path, monkeypatch) -> None:
    """The host goes on when that has been said."""
    heard = tmp_path / "heard"
    os.mkfifo(heard)
    said: list[str] = []

    def say(message: str) -> None:
        if not said:
            heard.write_text("yes\n")
        said.append(message)

    monkeypatch.setattr(emulated, "BOOT_NOTICE", 0)
    monkeypatch.setattr(emulated, "say", say)
    assert watched("read word <heard; echo status 3 >control; exec sleep 60", tmp_path) == 3
    assert said[0] == "the host is still booting after 0 s"


def test_a_command_that_takes_long_is_no_boot(tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setattr(emulated, "BOOT_NOTICE", -1000)
    monkeypatch.setattr(emulated, "say", pytest.fail)
    monkeypatch.setattr(emulated, "POLL", 0)  # It looks at once, and again.
    (tmp_path / "control").write_text("started\n")
    os.mkfifo(tmp_path / "looked")
    real, looks = Tail.pump, []

    def pump(tail: Tail) -> bool:
        looks.append(tail)
        if len(looks) == 9:
            (tmp_path / "looked").write_text("often\n")
        return real(tail)

    monkeypatch.setattr(Tail, "pump", pump)
    assert watched("read word <looked; echo status 3 >>control; exec sleep 60", tmp_path) == 3


class Elsewhere(Session):
    """Has its stdout go to a descriptor."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        super().__init__(parsed("--timeout", f"{seconds}s"))
        self.descriptor = descriptor

    def tails(self, run: pathlib.Path) -> list[Tail]:
        return [Tail(run / "stdout", Sink(self.descriptor), "stdout")]


def test_an_output_that_takes_no_more_is_told(tmp_path: pathlib.Path) -> None:
    with open("/dev/full", "wb") as full, pytest.raises(
            Failure, match="cannot write stdout: No space left on device") as caught:
        watched("echo x >stdout; sleep 60", tmp_path, 30, Elsewhere(full.fileno(), 30))
    assert caught.value.status == OUTPUT_LOST
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        watched("echo x >stdout; sleep 60", tmp_path, 30, Elsewhere(writer, 30))
    os.close(writer)


def test_an_output_that_fails_at_the_end_is_told(tmp_path: pathlib.Path, monkeypatch) -> None:
    (tmp_path / "stdout").write_text("x")
    with open("/dev/full", "wb") as full:
        last = Elsewhere(full.fileno(), 30)
        with pytest.raises(Failure, match="cannot write stdout"):
            last.finish(last.tails(tmp_path), 0, time.monotonic() + 30)


def test_nobody_waits_for_a_reader_beyond_the_deadline(tmp_path: pathlib.Path) -> None:
    reader, writer = os.pipe()
    with pytest.raises(Failure, match="waited 1 s for somebody to read stdout") as caught:
        watched("head -c 1000000 /dev/zero >stdout; echo status 0 >control; sleep 60", tmp_path, 1,
                Elsewhere(writer, 1))
    assert caught.value.status == DEADLINE
    os.close(reader)
    os.close(writer)


@pytest.fixture
def hosted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder in which a script, `script`, runs in the place of QEMU."""
    monkeypatch.setattr(emulated, "SCRATCH", tmp_path / "deep/scratch")
    monkeypatch.setattr(emulated, "BUSYBOX", tmp_path / "busybox")
    monkeypatch.setattr(emulated, "HOST_UNPACK", tmp_path / "host-unpack")
    for name in ("busybox", "host-unpack", "Image", "script"):
        (tmp_path / name).touch()
    monkeypatch.setattr(emulated, "qemu_version", lambda: "7.2")
    monkeypatch.setattr(emulated, "base_archive", lambda options, run: run / "initramfs")
    monkeypatch.setattr(session, "payload_tree", lambda options, run: {})
    monkeypatch.setattr(emulated, "qemu_command", lambda options, run, initramfs, parts, sockets: [
        "sh", "-c", f"cd {run}; . {tmp_path}/script"])
    return tmp_path


def hosts(folder: pathlib.Path, script: str, out: pathlib.Path | None = None,
          words: tuple[str, ...] = ()) -> int:
    (folder / "script").write_text(script)
    chosen = options.parse(["--cold", "--host-kernel", f"{folder}/Image", *words, "--", "true"])
    chosen.out = out
    return emulated.run_emulated(chosen, time.monotonic() + 30)


def test_an_emulated_host_leaves_results_and_its_console(hosted, capfd) -> None:
    archive_of(hosted / "tar", member("result"))
    out = hosted / "out"
    out.mkdir()
    script = f"cp {hosted}/tar results; echo it boots >console; echo status 6 >control; sleep 60"
    assert hosts(hosted, script, out) == 6
    assert (out / "result").read_text() == "content"
    assert (out / "host-console.log").read_text() == "it boots\n"
    assert list((hosted / "deep/scratch").iterdir()) == []
    said = capfd.readouterr().err
    assert "emulated by QEMU 7.2, neoverse-n1, 4 CPUs, GICv3, label kvm-on-tcg\n" in said
    assert hosts(hosted, script.replace("status 6", "status 0")) == 0
    assert [path.name for path in (hosted / "deep/scratch").iterdir()] == ["host-console.log"]


def test_a_model_on_which_linux_panics_is_told(hosted, capfd) -> None:
    ends = "echo status 0 >control; sleep 60"
    for model, told in (("max", True), ("neoverse-n1", False)):
        assert hosts(hosted, ends, words=("--cpu-model", model)) == 0
        assert ("-p arm64.nolva avoids that" in capfd.readouterr().err) == told


def test_an_emulated_host_that_dies_shows_its_console(hosted, capfd) -> None:
    with pytest.raises(Failure, match="went down while we waited for the emulated host to boot"):
        hosts(hosted, "echo last words >console; exit 0")
    assert "  last words\n" in capfd.readouterr().err


def test_results_that_are_no_archive_are_told(hosted) -> None:
    with pytest.raises(Failure, match=r"cannot unpack \$RESULTS: ") as caught:
        hosts(hosted, "echo rubbish >results; echo status 0 >control; sleep 60", hosted / "deep")
    assert caught.value.status == INTERNAL


def test_a_command_that_is_late_is_asked_to_end_and_leaves_results(hosted, monkeypatch) -> None:
    archive_of(hosted / "tar", member("result"))
    os.mkfifo(hosted / "asked")

    def order(_: Session, line: str) -> bool:
        (hosted / "asked").write_text(f"{line}\n")
        return True

    monkeypatch.setattr(Session, "order", order)
    monkeypatch.setattr(emulated, "overdue", lambda *_: Failure(DEADLINE, "late"))
    (hosted / "script").write_text(
        f"echo started >control; read word name <{hosted}/asked; test $name = TERM || exit 1\n"
        f"sleep 0.2; cp {hosted}/tar results; echo status 130 >>control; sleep 60")
    chosen = options.parse(["--cold", "--host-kernel", f"{hosted}/Image", "--", "true"])
    chosen.out = hosted / "out"
    chosen.out.mkdir()
    with pytest.raises(Failure, match="late") as caught:
        emulated.run_emulated(chosen, time.monotonic() + 0.5)
    assert caught.value.status == DEADLINE and (hosted / "out/result").exists()


def test_a_command_that_does_not_end_when_asked_is_ended(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Session, "order", lambda *_: True)
    monkeypatch.setattr(emulated, "GRACE", 0.1)
    with pytest.raises(Failure, match="for the command to end") as caught:
        watched("echo started >control; exec sleep 60", tmp_path, 0.5)
    assert caught.value.status == DEADLINE


def test_a_command_hears_by_the_port_that_woke_its_host() -> None:
    ours, theirs = socket.socketpair()
    plain = Session(parsed())
    assert not plain.order("signal TERM")
    plain.orders = ours
    assert not plain.order("signal TERM")  # It has nothing to save.
    plain.options = parsed("--out", "x")
    assert plain.order("signal TERM") and theirs.recv(99) == b"signal TERM\n"
    theirs.close()
    assert not plain.order("signal TERM")
    ours.close()


@pytest.mark.parametrize("name, remedy", [("busybox", "setup"), ("Image", "setup"),
                                          ("host-unpack", "build arm64")])
def test_an_emulated_host_needs_what_it_boots(hosted, name, remedy) -> None:
    (hosted / name).unlink()
    with pytest.raises(Failure, match=f"{name} is missing; run tools/{remedy}") as caught:
        hosts(hosted, "exit 0")
    assert caught.value.status == UNAVAILABLE


# --- what comes out -------------------------------------------------------------------

def archive_of(path: pathlib.Path, *members: tarfile.TarInfo) -> pathlib.Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            content = b"content" if member.isreg() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def test_results_are_files_and_folders(tmp_path: pathlib.Path, capsys) -> None:
    archive = archive_of(tmp_path / "tar", member("a", tarfile.DIRTYPE),
                         member("a/b/c", tarfile.DIRTYPE), member("a/d"),
                         member("pipe", tarfile.FIFOTYPE))
    for _ in range(2):  # Over what is there, too.
        results.unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/a/d").read_text() == "content"
    assert (tmp_path / "out/a/b/c").is_dir() and not (tmp_path / "out/pipe").exists()
    assert "$RESULTS/pipe is neither file nor directory: left behind" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x"])
def test_results_stay_in_their_folder(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(Failure, match="refused"):
        results.unpack(archive_of(tmp_path / "tar", member(name)), tmp_path / "out")


def test_a_signal_ends_the_tool_with_its_number(monkeypatch, capsys) -> None:
    for error, status in ((command.Signalled(signal.SIGTERM), 143), (Failure(69, "gone"), 69),
                          (BrokenPipeError(), 141)):
        def fails(_words: list[str], error: BaseException = error) -> int:
            raise error
        monkeypatch.setattr(command, "main", fails)
        with pytest.raises(SystemExit) as ended:
            command.run()
        assert ended.value.code == status
    assert "arm64-host: gone\n" in capsys.readouterr().err
