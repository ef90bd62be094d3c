# SPDX-License-Identifier: Apache-2.0
"""tools/vmm: words, files and sessions. No test here boots a machine."""

import argparse
import contextlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from arm64_host import ROOT
from parkvmm.failure import UNAVAILABLE, USAGE, Failure
from parkvmm.front import (command, contents, files, folder, options, session, table,
                           words)
from parkvmm.front.table import Kind

TOOL = ROOT / "tools" / "vmm"


def refused(call: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(Failure) as caught:
        call(*given)
    assert caught.value.status == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the table -------------------------------------------------------------------

DEFINED = re.compile(r'\.?add_(option|flag)\(\s*"([^"]+)"(.*?);\n', re.DOTALL)


def defined(source: str) -> dict[tuple[str, ...], str]:
    """Returns the options that a source defines: "flag", or what their value is called."""
    found = {}
    for kind, names, rest in DEFINED.findall(source):
        called = re.search(r'type_name\("([^"]+)"\)', rest)
        assert kind == "flag" or called, names
        found[tuple(names.split(","))] = called[1] if called else "flag"
    return found


def test_the_table_is_what_vmm_run_takes() -> None:
    found = defined((ROOT / "vmm/cli/run_options.cc").read_text())
    assert found[("-i", "--initrd")] == "FILE" and found[("kernel",)] == "KERNEL"
    assert {option.names for option in table.OPTIONS} == {*found, ("-h", "--help")}
    for option in table.OPTIONS:
        what = found.get(option.names, "flag")
        assert (option.kind is Kind.FLAG) == (what == "flag"), option
        is_file = option.kind not in (Kind.FLAG, Kind.VALUE)
        assert is_file == (what in ("FILE", "KERNEL", "DIR|TAR|CPIO", "FORMAT[:FILE]")), option


def test_an_option_that_the_table_lacks_would_be_found() -> None:
    assert defined('x.add_option(\n "-q,--quux", y,\n "z; w")\n->type_name("FILE");\n'
                   'x.add_flag("--on", y);\n') == {("-q", "--quux"): "FILE", ("--on",): "flag"}


def test_commands_are_those_of_the_program() -> None:
    source = (ROOT / "vmm/cli/command_line.cc").read_text()
    assert tuple(sorted(re.findall(r'add_subcommand\(\s*"(\w+)"', source))) == table.COMMANDS


# --- words -----------------------------------------------------------------------

def found(*given: str) -> list[tuple[str, str]]:
    return [(value.name, value.text) for value in words.values_of(list(given))]


def test_words_are_read_as_the_program_reads_them() -> None:
    assert found("-i", "a", "-ib", "--initrd=c=d", "--initrd", "-e", "K") == [
        ("--initrd", "a"), ("--initrd", "b"), ("--initrd", "c=d"), ("--initrd", "-e"),
        ("KERNEL", "K")]
    assert found("-vi", "f", "--raw=0", "-vc4") == [
        ("--verbose", "true"), ("--initrd", "f"), ("--raw", "0"), ("--verbose", "true"),
        ("--cpus", "4")]
    assert found("--results=", "r", "-") == [("--results", "r"), ("KERNEL", "-")]
    assert found("K", "--", "-i", "--frob", "x") == [("KERNEL", "K")]
    assert found("-v", "--", "-K", "x") == [("--verbose", "true")]
    assert found("--config", "c", "--", "x") == [("--config", "c")]
    assert found("-v", "--") == [("--verbose", "true")]
    assert found("-v", "K", "--", "x") == [("--verbose", "true"), ("KERNEL", "K")]


@pytest.mark.parametrize("given, says", [
    (["--cpuz", "3"], "unknown option --cpuz; did you mean --cpus?"),
    (["-z"], "unknown option -z; see vmm run --help"),
    (["-vz"], "unknown option -z"),
    (["K", "--initrd"], "--initrd wants a value"), (["-i"], "-i wants a value"),
    (["K", "L"], "L: there is a kernel already")])
def test_a_mistake_in_the_words_is_one_line(given: list[str], says: str) -> None:
    assert says in refused(words.values_of, given)


# --- files -----------------------------------------------------------------------

@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The caller's folder, with files a and `b, c\\nd`."""
    folder = tmp_path / "some folder"
    folder.mkdir()
    for name in ("a", "b, c\nd"):
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


def test_a_file_has_the_path_there_that_it_has_here(here: pathlib.Path) -> None:
    (here / "deep").mkdir()
    given = ["-i", "b, c\nd", "deep/../a", "--results", "deep/r", "--events=e",
             f"--config={here}/a"]
    taken = files.files_of(given)
    assert taken.words == given
    assert [(file.path, file.inside) for file in taken.inputs] == [
        (f"{here}/b, c\nd", f"{here}/b, c\nd"), (f"{here}/deep/../a", f"{here}/deep/../a"),
        (f"{here}/a", f"{here}/a")]
    assert [(file.path, file.whole) for file in taken.outputs] == [
        (f"{here}/deep/r", True), (f"{here}/e", False)]


def test_a_file_of_another_kind_of_folder_gets_another_path(here: pathlib.Path) -> None:
    with open("out", "w") as out, open("a") as source:
        given = ["-vi", f"/proc/self/fd/{source.fileno()}", "a", f"--events=/dev/fd/{out.fileno()}"]
        taken = files.files_of(given)
    assert taken.words == ["-vi", "/.host/others/1", "a", "--events=/.host/others/3"]
    assert taken.outputs[0].path == given[3].removeprefix("--events=")
    with open("a") as source:
        path = f"/proc/self/fd/{source.fileno()}"
        assert files.files_of(["--raw", path]).words == ["--raw", "/.host/others/1"]


def test_what_is_the_same_there_is_left_to_vmm(here: pathlib.Path) -> None:
    taken = files.files_of(["a", "--results=-", "--events", "/dev/stdout", "--dump-dtb=/dev/full"])
    assert not taken.outputs and len(taken.inputs) == 1


@contextlib.contextmanager
def redirected(descriptor: int, other: int) -> Iterator[None]:
    was = os.dup(descriptor)
    os.dup2(other, descriptor)
    try:
        yield
    finally:
        os.dup2(was, descriptor)
        os.close(was)


def test_the_file_that_is_stdout_is_not_replaced(here: pathlib.Path) -> None:
    with open("out", "w") as out, redirected(1, out.fileno()):
        given = ["a", "--results", "out", "--format=tap:./out", "--events", "events"]
        taken = files.files_of(given)
        words = files.files_of(["a", "--dump-dtb", "out"]).words
    assert taken.words == ["a", "--results", "/dev/stdout", "--format=tap:/dev/stdout",
                           "--events", "events"]
    assert [file.path for file in taken.outputs] == [f"{here}/events"]
    assert words == ["a", "--dump-dtb", "/dev/stdout"]
    assert files.files_of(["a", "--results", "out"]).words == ["a", "--results", "out"]


def test_a_kernel_does_not_come_from_stdin(here: pathlib.Path) -> None:
    assert "cannot open -" in refused(files.files_of, ["-"])


def test_a_format_may_name_a_file(here: pathlib.Path, monkeypatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    given = ["a", "--format", "junit:x:y", "--format=tap", "--format", "github"]
    taken = files.files_of(given)
    assert taken.words == given
    assert [(file.path, file.whole, file.append) for file in taken.outputs] == [
        (f"{here}/x:y", True, False)]
    with open("out", "w") as out:
        taken = files.files_of(["a", f"--format=ktap:/dev/fd/{out.fileno()}"])
    assert taken.words == ["a", "--format=ktap:/.host/others/1"]
    (here / "config").write_text('{"kernel": "a", "format": ["tap:t", "json", 3]}')
    assert [file.path for file in files.files_of(["--config", "config"]).outputs] == [f"{here}/t"]
    assert "make the folder" in refused(files.files_of, ["a", "--format", "tap:none/t"])
    assert "is another file of this run" in refused(
        files.files_of, ["a", "--format", "tap:t", "--events", "t"])


def test_githubs_summary_is_appended_to_the_steps(here: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", f"{here}/summary")
    for given in (["--format", "github"], ["--format=github"]):
        taken = files.files_of(["a", *given])
        assert taken.words[-1].endswith(f"github:{here}/summary")
        assert [(file.path, file.whole, file.append) for file in taken.outputs] == [
            (f"{here}/summary", False, True)]
    assert [file.path for file in files.files_of(["a", "--format", "github:mine"]).outputs] == [
        f"{here}/mine"]


def test_a_config_names_files_which_the_command_line_overrules(here: pathlib.Path) -> None:
    (here / "config").write_text('{"kernel": "b, c\\nd", "initrd": "a", "events": "e", "cpus": 3, '
                                 '"results": ""}')
    taken = files.files_of(["--config", "config", "-i", "b, c\nd"])
    names = [os.path.basename(file.path) for file in taken.inputs]
    assert names == ["config", "b, c\nd", "b, c\nd"]
    assert [file.path for file in taken.outputs] == [f"{here}/e"]
    (here / "config").write_text('{"initrd": "a"}')
    assert "which kernel?" in refused(files.files_of, ["--config", "config"])
    (here / "config").write_text('{"kernel": "none"}')
    assert "cannot open none" in refused(files.files_of, ["--config", "config"])
    (here / "config").write_text('{"results": "/proc/self/fd/9"}')
    assert "say --results on the command line" in refused(
        files.files_of, ["--config", "config", "a"])
    for text in ("[]", "{", '"kernel"'):
        (here / "config").write_text(text)
        assert len(files.files_of(["--config", "config", "a"]).inputs) == 2


@pytest.mark.parametrize("given, says", [
    (["none"], "cannot open none: No such file or directory; relative paths begin in {here}"),
    (["{here}/none"], "none: No such file or directory; check the path"),
    (["none/x"], "No such file or directory; there is no folder {here}/none"),
    (["aa"], "did you mean a?"), (["."], ". is a directory, not a file"),
    (["a/x"], "cannot open a/x: Not a directory"), (["x\0y"], "'x\\x00y'"),
    (["n\no"], "cannot open 'n\\no': No such file"),
    (["a", "-i", "fifo"], "fifo is a pipe or device"),
    (["a", "-i", "sparse"], "sparse is larger than 4 GiB"),
    (["a", "--rootfs", "fifo"], "fifo is a pipe or device"),
    (["a", "--rootfs", "large"], "large is larger than 4 GiB"),
    (["a", "--results", "no/r"], "cannot write no/r: No such file or directory; "
     "make the folder {here}/no first"),
    (["a", "--events", "."], "cannot write .: Is a directory"),
    (["a", "--events", "a/x"], "cannot write a/x: Not a directory"),
    (["a", "--results", "a"], "--results a is another file of this run"),
    (["a", "--results", "r", "--events", "./r"], "--events ./r is another file of this run"),
    (["link/../a", "-i", "a"], "'..' behind a link"), (["-c", "4"], "which kernel?"),
])
def test_a_file_that_cannot_be_had_is_one_line(here, given, says) -> None:
    os.mkfifo(here / "fifo")
    with open(here / "sparse", "wb") as file:
        file.truncate(1 << 32)
    (here / "large").mkdir()
    os.link(here / "sparse", here / "large/file")
    (here.parent / "other").mkdir()
    (here.parent / "a").write_text("another")
    os.symlink(here.parent / "other", here / "link")
    said = refused(files.files_of, [word.replace("{here}", str(here)) for word in given])
    assert says.replace("{here}", str(here)) in said


@pytest.mark.parametrize("given", [["a"], ["b, c\nd", "--results", "r"],
                                   ["b, c\nd", "--events", "a"]])
def test_what_is_not_permitted_is_told(here, monkeypatch, given: list[str]) -> None:
    """Root may do everything, so this is made up."""
    def shut(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "access", lambda *_: False)
    if given == ["a"]:
        monkeypatch.setattr(files, "open", shut, raising=False)
    assert "Permission denied; ch" in refused(files.files_of, given)


def test_a_root_may_be_a_folder_even_the_callers(here: pathlib.Path, tmp_path: pathlib.Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BIN", tmp_path)
    (tmp_path / "vmm").write_text("a program")
    (here / "deep").mkdir()
    (here / "deep/link").symlink_to("../a")
    for given in (["--rootfs", ".", "a"], ["--rootfs=.", "a"]):
        taken = files.files_of(given)
        root = taken.inputs[0]
        assert (root.path, root.inside) == (f"{here}/.", "/.host/others/0")
        assert [word.replace(".", "/.host/others/0") for word in given] == taken.words
        assert root.is_folder and root.size >= sum(file.stat().st_size for file in here.iterdir())
    (here / "deep/self").symlink_to(here)
    taken = files.files_of(["--rootfs", "deep/self", "a"])
    entry = contents.tree_of("text", taken, tmp_path)[".host/files/0"]
    assert entry.content
    with tarfile.open(entry.content) as tar:
        nodes = {node.name: node for node in tar.getmembers()}
        assert set(nodes) == {".", "./a", "./b, c\nd", "./deep", "./deep/link", "./deep/self"}
        assert nodes["./deep/link"].linkname == "../a"
        assert {(node.uid, node.gid) for node in nodes.values()} == {(0, 0)}


def test_a_root_that_cannot_be_read_is_told(here: pathlib.Path, tmp_path: pathlib.Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may do everything, so this is made up."""
    def shut(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", f"{here}/a")

    monkeypatch.setattr(tarfile.TarFile, "add", shut)
    assert "/a' of --rootfs: Permission denied; check" in refused(
        folder.pack, str(here), tmp_path / "archive")


def test_help_looks_at_no_file_and_a_dry_run_at_no_output(here: pathlib.Path) -> None:
    assert not files.files_of(["--help", "none"]).inputs
    taken = files.files_of(["--dry-run", "none", "--results", "no/folder/r"])
    assert not taken.inputs and not taken.outputs
    assert len(files.files_of(["--dry-run", "a"]).inputs) == 1
    assert "cannot open" in refused(files.files_of, ["--dry-run", "a", "-i", "none"])


# --- what goes in -----------------------------------------------------------------

def script_of(given: list[str], source: str = "", size: tuple[int, int] = (0, 0),
              deterministic: bool = True) -> str:
    return contents.script("vmm", files.files_of(given), source, size, deterministic)


def test_the_script_makes_the_callers_folder_and_files(here: pathlib.Path) -> None:
    """Names are as the shell reads them: echo stands for what would be done."""
    lines = script_of(["b, c\nd", "-i", "a", "--results", "r"])
    plain = lines.replace("mkdir -p", "echo D").replace("ln -sfn", "echo L")
    shown = plain.split("export PATH")[0].replace("&& cd", "&& echo C")
    said = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    assert said == (f"D -- {here}\nL /.host/files/0 {here}/b, c\nd\n"
                    f"D -- {here}\nL /.host/files/1 {here}/a\n"
                    f"D -- {here}\nL /dev/vport0p8 {here}/r\nD -- {here}\nC {here}\n")
    assert lines.endswith("exec vmm 'b, c\nd' -i a --results r\n")
    assert "date" not in lines and "hvc0\nstty raw" not in lines


def test_the_script_has_the_stdin_that_the_caller_has(here: pathlib.Path) -> None:
    assert "</dev/vport0p6" in script_of(["a"], "pipe") and "/dev/vport0p6" not in script_of(["a"])
    lines = script_of(["a"], "tty", (33, 101))
    assert "exec </dev/hvc0\nstty raw -echo\nstty rows 33 cols 101\nexec vmm a\n" in lines
    assert "stty rows" not in script_of(["a"], "tty").split("done")[1]
    assert script_of(["a"], deterministic=False).startswith("date -s @")


def test_files_go_along_under_numbers(here, tmp_path, monkeypatch) -> None:
    program = tmp_path / "vmm"
    program.write_text("program")
    monkeypatch.setattr(contents, "BIN", tmp_path)
    monkeypatch.setattr(contents, "PROGRAMS", "/programs")
    tree = contents.tree_of("text \udcff\n", files.files_of(["a", "-i", "b, c\nd"]), tmp_path)
    assert {name: entry.content and entry.content.name for name, entry in tree.items()} == {
        "programs/vmm": "vmm", ".host/files/0": "a", ".host/files/1": "b, c\nd",
        ".host/command": "command"}
    assert (tmp_path / "command").read_bytes() == b"text \xff\n"


# --- options ----------------------------------------------------------------------

def host_of(*given: str, taken: int = 0) -> argparse.Namespace:
    chosen, rest = options.parse(list(given))
    return options.host_of(chosen, rest, words.values_of(rest[1:]), taken)


@pytest.mark.parametrize("given, says", [
    ([], "no command: doctor or run"), (["rnu"], "unknown command rnu; did you mean run?"),
    (["x"], "there are doctor and run"), (["--host", "here", "run"], "not here"),
    (["--host"], "--host wants a value"), (["--cpus", "3", "run"], "unknown option --cpus before"),
    (["--host=native", "--deterministic", "run"], "--host native forbids it")])
def test_a_mistake_before_the_command_is_one_line(given: list[str], says: str) -> None:
    assert says in refused(options.parse, given)


def test_a_host_is_large_enough_for_its_guest() -> None:
    usual = host_of("run", "K", "-c", "64")
    assert (usual.cpus, usual.memory, usual.deterministic, usual.live) == (4, "6G", False, True)
    assert host_of("--deterministic", "run", "-c64", "K").cpus == 64
    assert host_of("--deterministic", "run", "-c2", "K").cpus == 4
    assert host_of("--deterministic", "run", "-c512", "K").cpus == 512
    assert host_of("--deterministic", "run", "-c513", "K").cpus == 4  # vmm refuses it.
    assert host_of("--deterministic", "--host-cpus=3", "run", "-c64", "K").cpus == 3
    assert host_of("run", "-m", "5G", "K").memory == "6G"
    assert host_of("run", "-m", "5G", "K", taken=1).memory == "7G"
    assert host_of("run", "--memory=64g", "K").memory == "65G"
    assert host_of("--host-memory", "3G", "run", "-m", "64G", "K").memory == "3G"


def test_a_call_ends_some_time_after_its_run() -> None:
    assert host_of("run", "K").timeout == 300 + options.BOOT
    assert host_of("run", "K", "--timeout", "1h30m2s").timeout == 5402 + options.BOOT
    assert host_of("--deterministic", "run", "K", "--timeout", "7").timeout == 10 * (
        7 + options.BOOT)
    late = host_of("--deadline", "9m", "run", "K", "--timeout", "soon")
    assert (late.timeout, late.vmm_timeout, late.deadline_option) == (540, 300, "--deadline")


@pytest.mark.parametrize("given, says", [
    (["--host-cpus=0"], "--host-cpus"), (["--host-memory=1"], "--host-memory"),
    (["--deadline=soon"], "--deadline")])
def test_a_mistake_about_the_host_names_the_option(given: list[str], says: str) -> None:
    said = refused(host_of, *given, "run", "K")
    assert says in said and "tools/vmm --help" in said and "arm64-host" not in said


# --- where ------------------------------------------------------------------------

class Ran(Exception):
    """Stands for what would run, and where."""


@pytest.fixture
def places(here, tmp_path, monkeypatch: pytest.MonkeyPatch, usual_signals: None):
    """Stops where vmm would run."""
    def emulate(chosen: argparse.Namespace, _deadline: float, front: session.Front) -> int:
        reads = front._files.words[0] == "run" and not chosen.deterministic
        assert (front._source != "") == reads
        raise Ran("emulated", front._files.words)

    def become(program: pathlib.Path, given: list[str], _environment: dict[str, str]) -> None:
        raise Ran("native", given[1:], str(program))

    for name in ("vmm", "host-unpack", "Image", "busybox"):
        (tmp_path / name).touch()
    for constant, name in (("HOST_UNPACK", "host-unpack"), ("IMAGE", "Image"),
                           ("BUSYBOX", "busybox")):
        monkeypatch.setattr(command, constant, tmp_path / name)
    monkeypatch.setattr(command, "BIN", tmp_path)
    monkeypatch.setattr(command.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(command, "run_emulated", emulate)
    monkeypatch.setattr(command.os, "execve", become)
    monkeypatch.setattr(command, "lacking_here", lambda: None)
    monkeypatch.setattr(command, "kvm_here", lambda: None)
    # Whatever stdin the tests have, it is no terminal.
    monkeypatch.setattr(session.os, "isatty", lambda _: False)
    return monkeypatch


def where(*given: str) -> tuple[str, list[str]]:
    with pytest.raises(Ran) as ran:
        command.main(list(given))
    place, given_words = ran.value.args[:2]
    return place, given_words


def test_vmm_runs_here_if_this_machine_will_do(places) -> None:
    for given in (["run", "a"], ["--host", "native", "run", "a"], ["doctor", "--json"]):
        assert where(*given) == ("native", given[-2:])
    assert where("--host", "emulated", "run", "a") == ("emulated", ["run", "a"])
    assert where("--deterministic", "run", "a") == ("emulated", ["run", "a"])
    places.setattr(command, "lacking_here", lambda: "no filter")
    assert where("run", "a") == ("emulated", ["run", "a"])
    assert where("doctor", "--json") == ("emulated", ["doctor", "--json"])
    assert where("--version") == ("emulated", ["--version"])
    # A user who insists gets vmm's own answer to a KVM without the filter.
    assert where("--host=native", "run", "a") == ("native", ["run", "a"])
    places.setattr(command, "kvm_here", lambda: "no KVM")
    with pytest.raises(Failure, match="no KVM; --host emulated does without") as caught:
        command.main(["--host=native", "run", "a"])
    assert caught.value.status == UNAVAILABLE


def test_a_kernels_name_stands_for_its_file(places) -> None:
    places.setattr(command.kernels, "path_of", lambda word: pathlib.Path(f"/k/{word[7:]}"))
    assert where("run", "debian:7.3") == ("native", ["run", "/k/7.3"])


def test_an_arm64_machine_is_told_why_it_will_not_do(places, capsys) -> None:
    places.setattr(command, "lacking_here", lambda: "no filter")
    places.setattr(platform, "machine", lambda: "aarch64")
    where("run", "a")
    assert "no filter: emulating" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["vmm", "host-unpack", "Image", "busybox", "qemu"])
def test_what_a_clone_lacks_is_told_with_what_makes_it_ready(places, tmp_path, name) -> None:
    if name == "qemu":
        places.setattr(command.shutil, "which", lambda _: None)
    else:
        (tmp_path / name).unlink()
    with pytest.raises(Failure, match=f"{name}.* is missing; run tools/setup cross guest emulator "
                       "&& tools/build arm64 vmm host-unpack") as caught:
        command.main(["--host=emulated", "run", "a"])
    assert caught.value.status == UNAVAILABLE
    if name == "vmm":
        with pytest.raises(Failure, match="vmm is missing; run tools/setup cross && tools/build"):
            command.main(["run", "a"])
    else:
        assert where("run", "a") == ("native", ["run", "a"])


def said_by_a_copy(folder: pathlib.Path, given: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a copy of the tools that has nothing to boot: mistakes come first."""
    shutil.copytree(ROOT / "tools/parkvmm", folder / "clone/tools/parkvmm")
    tool = shutil.copy(TOOL, folder / "clone/tools")
    (folder / "my kernels").mkdir()
    (folder / "my kernels/Image").touch()
    return subprocess.run([tool, "--host=emulated", *given], cwd=folder, capture_output=True,
                          text=True, timeout=60, check=False)


@pytest.mark.parametrize("given, says", [
    (["run", "my kernels/Imgae"], "did you mean my kernels/Image?"),
    (["run", "my kernels/Image", "--results", "none/r"], "make the folder"),
    (["run", "--initrds", "x"], "did you mean --initrd?"), (["ran"], "did you mean run?")])
def test_the_command_itself_says_so_in_one_line(tmp_path, given, says) -> None:
    done = said_by_a_copy(tmp_path, given)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("vmm: error: ") and says in done.stderr


@pytest.mark.parametrize("given, status", [
    (["run", "--bisect", "none/Image"], 125), (["run", "my kernels/Image", "--bisect=true"], 125),
    (["run", "--bisect", "my kernels/Image", "--initrds", "x"], 255),
    (["run", "none/Image", "--", "--bisect"], 2)])
def test_a_bisection_skips_a_commit_without_a_kernel(tmp_path, given, status) -> None:
    """And stops at what is the same in every commit."""
    done = said_by_a_copy(tmp_path, given)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize("status, bisect", [
    (0, 0), (1, 1), (125, 125), (255, 255), (2, 255), (130, 255), (74, 125), (69, 125), (124, 125),
    (70, 125), (127, 125)])
def test_ends_of_the_front_door_are_what_a_bisection_wants(status, bisect) -> None:
    assert command.bisect_status(status) == bisect


def test_help_is_a_page_of_its_own() -> None:
    helped = subprocess.run([TOOL, "--help"], capture_output=True, text=True, timeout=60,
                            check=True)
    assert helped.stderr == "" and max(map(len, helped.stdout.splitlines())) <= 80
    for name in (*options.VALUED, "--deterministic"):
        assert f"  {name} " in helped.stdout


def test_closed_streams_are_no_reason_for_a_traceback() -> None:
    for words_, closed, status in (
            ("--help", "<&- >&- 2>&-", 0), ("--help", ">&-", 0), ("--help", ">/dev/full", 74),
            ("rnu", "<&- >&- 2>&-", 2), ("rnu", "2>&-", 2), ("rnu", "2>/dev/full", 2)):
        done = subprocess.run(["sh", "-c", f"exec {TOOL} {words_} {closed}"], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == status and "Traceback" not in done.stderr, (words_, closed)


# --- a command for the guest ------------------------------------------------------

def test_the_words_of_a_command_are_no_files_and_no_options(here: pathlib.Path) -> None:
    taken = files.files_of(["a", "--", "sh", "-i", "b", "--results", "/proc/x"])
    assert taken.command and not taken.outputs
    assert [file.path for file in taken.inputs] == [f"{here}/a"]
    assert taken.words == ["a", "--", "sh", "-i", "b", "--results", "/proc/x"]
    assert not files.files_of(["a"]).command and not files.files_of(["a", "--"]).command


@pytest.mark.parametrize("given, is_terminal, has, first", [
    (["K", "--", "x"], True, True, "--tty=on"),
    (["K", "--", "x"], False, False, "--tty=off"),
    (["--tty=auto", "K", "--", "x"], True, True, "--tty=on"),
    (["--tty=on", "K", "--", "x"], False, True, "--tty=on"),
    (["--tty=off", "K", "--", "x"], True, False, "--tty=off"),
])
def test_whether_a_command_has_a_terminal_is_settled_here(given, is_terminal, has, first) -> None:
    taken = list(given)
    assert words.settle_tty(taken, words.values_of(taken), is_terminal) == has
    assert taken[0] == first and taken[-3:] == ["K", "--", "x"]


def test_a_command_gets_the_callers_environment(here: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setenv("TRIAL", "a 'b'\nc")
    monkeypatch.setattr(contents, "stripped", lambda path: here / "a")  # It need not be built.
    taken = files.files_of(["a", "--", "x"])
    text = contents.script("vmm", taken, "", (0, 0), True)
    assert f"export PARKVMM_ENVIRONMENT={contents.ENVIRONMENT}\n" in text
    tree = contents.tree_of(text, taken, here)
    assert contents.ENVIRONMENT[1:] in tree
    assert b"TRIAL=a 'b'\nc" in (here / "environment").read_bytes().split(b"\0")
    taken = files.files_of(["a"])
    text = contents.script("vmm", taken, "", (0, 0), True)
    assert "ENVIRONMENT" not in text
    assert contents.ENVIRONMENT[1:] not in contents.tree_of(text, taken, here)
