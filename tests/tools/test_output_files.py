# SPDX-License-Identifier: Apache-2.0
"""Files that the user names to be written: tools/parkvmm/outputs.py."""

import argparse
import errno
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest
from parkvmm import outputs
from parkvmm.failure import OUTPUT_LOST, USAGE, Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG = b"".join(b"%d\n" % number for number in range(40000))  # more than a pipe holds
TIMEOUT = 60
# Writes two files by the names it is given, and to stdout before and after.
WRITER = """
import os, sys
from parkvmm import outputs
os.write(1, b"console\\n")
for path in sys.argv[1:]:
    outputs.write(path, b"results\\n")
os.write(1, b"end\\n")
"""


def other_files(folder: pathlib.Path, *but: str) -> list[str]:
    return sorted(set(os.listdir(folder)) - set(but))


def test_a_new_file_takes_the_place_of_an_old_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    kept = tmp_path / "kept"
    os.link(path, kept)
    outputs.write(str(path), b"new")
    assert (path.read_bytes(), kept.read_bytes()) == (b"new", b"old")
    assert other_files(tmp_path, "file", "kept") == []


def test_a_link_stays_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there/file")
    outputs.write(str(link), b"text")
    assert link.is_symlink()
    assert (tmp_path / "there/file").read_bytes() == b"text"


def test_what_cannot_be_replaced_leaves_no_draft(tmp_path: pathlib.Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="Input/output error"):
        outputs.write(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert other_files(tmp_path, "file") == []


# faults.md C1.
def test_the_file_that_is_stdout_already_goes_on(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    with open(log, "wb") as stdout:
        subprocess.run([sys.executable, "-c", WRITER, str(log), "/dev/stdout"], stdout=stdout,
                       env=os.environ | {"PYTHONPATH": str(ROOT / "tools")}, check=True,
                       timeout=TIMEOUT)
    assert log.read_bytes() == b"console\nresults\nresults\nend\n"


def test_whose_stream_a_file_is(tmp_path: pathlib.Path) -> None:
    assert outputs.own_stream("/dev/stderr") is not None
    for path in ("file", "no/folder", "a\0b"):
        assert outputs.own_stream(str(tmp_path / path)) is None


def test_a_device_is_written_to_and_stays_one() -> None:
    outputs.write("/dev/null", b"text")
    assert pathlib.Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        outputs.write("/dev/full", b"text")
    assert pathlib.Path("/dev/full").is_char_device()


def test_all_of_it_goes_through_a_pipe(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    outputs.write(str(pipe), LONG)
    reader.join(TIMEOUT)
    assert got == [LONG]
    assert pipe.is_fifo()


# faults.md C4: a reader that does not come, or does not read, is not waited for for ever.
def test_a_pipe_that_nobody_reads_is_an_error(tmp_path: pathlib.Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PATIENCE", 0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="waited 0 s for its reader"):
        outputs.write(str(pipe), b"text")
    idle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="waited 0 s for its reader"):
        outputs.write(str(pipe), LONG)
    os.close(idle)


def test_only_a_pipe_may_get_a_reader_yet(tmp_path: pathlib.Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # A socket's name is short.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError, match="No such device or address"):
            outputs.write("socket", b"text")


@pytest.mark.parametrize(("path", "says"), [
    ("no/x", "No such file or directory; make the folder {0}/no first"),
    (".", "Is a directory; name a file in it"),
    ("file/x", "Not a directory; choose another path"),
    ("a\0b", "embedded null byte; choose another path"),
])
def test_where_nothing_can_be_written_is_told_first(tmp_path: pathlib.Path, path: str,
                                                    says: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure) as caught:
        outputs.check(f"{tmp_path}/{path}")
    assert caught.value.status == USAGE
    assert str(caught.value).endswith(f": {says.format(tmp_path)}")
    assert str(caught.value).startswith("cannot write ")


def test_who_may_write_where_is_looked_at(tmp_path: pathlib.Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """As somebody who owns a file, but not its folder; and a device in a folder of root's."""
    path = tmp_path / "file"
    path.touch()
    access = os.access
    denied = {str(tmp_path)}
    monkeypatch.setattr(os, "access", lambda asked, mode: access(asked, mode)
                        and str(asked) not in denied)
    assert outputs.check(str(path)) is False
    outputs.write(str(path), b"in its place")
    assert path.read_bytes() == b"in its place"
    with pytest.raises(Failure, match=f"Permission denied; choose another folder than {tmp_path}"):
        outputs.check(str(tmp_path / "new"))
    denied = {str(path)}
    with pytest.raises(Failure, match="Permission denied; choose another path"):
        outputs.check(str(path))
    denied = {"/dev"}
    assert outputs.check("/dev/full") is False
    denied = set()
    assert outputs.check(str(path)) is True
    assert outputs.check(str(tmp_path / "new")) is True


# --- what commands have found out --------------------------------------------------------

def test_what_cannot_be_written_is_refused_at_once(tmp_path: pathlib.Path, capsys) -> None:
    parser = argparse.ArgumentParser(prog="measure")
    parser.add_argument("--json", type=outputs.argument)
    assert parser.parse_args(["--json", f"{tmp_path}/new"]).json == tmp_path / "new"
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--json", f"{tmp_path}/no/file"])
    assert ended.value.code == USAGE
    assert f"cannot write {tmp_path}/no/file: No such file or directory; make the folder" in (
        capsys.readouterr().err)


def test_what_is_lost_is_told_in_a_line() -> None:
    with pytest.raises(Failure, match="^cannot write /dev/full: No space left on device$") as lost:
        outputs.save(pathlib.Path("/dev/full"), "figures")
    assert lost.value.status == OUTPUT_LOST
    assert outputs.lost(pathlib.Path("/dev/null"), "figures") == []


def test_a_bench_that_is_killed_leaves_a_result_that_is_whole(tmp_path: pathlib.Path) -> None:
    """Whenever that is: it writes a large one again and again, and does nothing else."""
    path = tmp_path / "result.json"
    script = ("import pathlib, sys; from parkvmm.bench import results\n"
              "text = '{}' + ' ' * (16 << 20) + 'end'\n"
              "results.text_of = lambda _: text\n"
              "while True:\n"
              "    results.save({}, pathlib.Path(sys.argv[1]))\n"
              "    print('written', flush=True)\n")
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE,
                              env=os.environ | {"PYTHONPATH": f"{ROOT}/tools"}) as process:
            assert process.stdout and process.stdout.readline() == b"written\n"
            process.kill()
        with open(path, "rb") as file:
            file.seek(-3, os.SEEK_END)
            assert file.read() == b"end"
