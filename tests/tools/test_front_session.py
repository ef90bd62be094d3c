# SPDX-License-Identifier: Apache-2.0
"""A call of tools/vmm while it runs: a script stands for QEMU and all that is in it."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from parkvmm.failure import DEADLINE, INTERNAL, OUTPUT_LOST, Failure
from parkvmm.front import options, session, terminal, words
from parkvmm.front.files import files_of
from parkvmm.front.session import Front
from parkvmm.host import contents, emulated, outputs
from parkvmm.host.booting import connection
from parkvmm.host.outputs import Sink, Tail, drain

TREE = b"\xd0\x0d\xfe\xed" + (12).to_bytes(4, "big") + b"tree"


def until(condition: Any, what: str) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        select.select([], [], [], 0.01)


# --- outputs -----------------------------------------------------------------------

@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:  # A test has closed it.
            pass


def test_a_full_pipe_is_not_waited_for_and_its_flags_stay(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    taken = 0
    while count := sink.write(b"x" * 5000):
        taken += count
    assert taken >= 1 << 15 and not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    assert len(os.read(reader, 1 << 20)) > 0
    assert sink.write(b"y") == 1


def test_a_file_goes_on_where_it_is(tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(b"before ")
        assert Sink(file.fileno()).write(b"after") == 5
    assert (tmp_path / "file").read_bytes() == b"before after"


def test_what_cannot_be_opened_again_is_asked_first() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno())
        while sink.write(b"x" * 4096):
            pass
        assert theirs.recv(1 << 20)
        assert sink.write(b"x" * 4096) == outputs.SURE


def test_a_tail_passes_on_what_is_taken(tmp_path, pipe) -> None:
    reader, writer = pipe
    tail = Tail(tmp_path / "out", Sink(writer), "out")
    assert tail.pump()
    content = bytes(range(256)) * 1000
    (tmp_path / "out").write_bytes(content)
    assert not tail.pump()
    assert drain([tail], time.monotonic()) == [tail]
    read = b""
    while not tail.pump() or len(read) < len(content):
        read += os.read(reader, 1 << 16)
    assert read == content and not drain([tail], time.monotonic())


def test_a_tail_gives_others_a_turn(tmp_path: pathlib.Path) -> None:
    tail = Tail(tmp_path / "out", Sink(os.open(os.devnull, os.O_WRONLY)), "out")
    with open(tmp_path / "out", "wb") as file:
        file.truncate(outputs.ROUNDS * outputs.CHUNK + 1)
    assert not tail.pump() and tail.pump()


def test_a_tail_drops_what_nobody_can_have(tmp_path, pipe) -> None:
    os.close(pipe[0])
    for sink, error in ((Sink(pipe[1]), BrokenPipeError), (
            Sink(os.open("/dev/full", os.O_WRONLY)), OSError)):
        tail = Tail(tmp_path / "out", sink, "out")
        (tmp_path / "out").write_bytes(b"x" * 100_000)
        assert tail.pump() and isinstance(tail.error, error)


def test_a_new_file_takes_the_place_of_another_one_whole(tmp_path, monkeypatch) -> None:
    (tmp_path / "source").write_bytes(b"new" * 100_000)
    target = tmp_path / "target"
    target.write_bytes(b"old")
    monkeypatch.setattr(outputs.os, "rename", lambda *_: os.stat(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        outputs.replace(tmp_path / "source", str(target))
    assert target.read_bytes() == b"old"
    monkeypatch.undo()
    outputs.replace(tmp_path / "source", str(target))
    assert target.read_bytes() == b"new" * 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


# --- a folder that goes away ---------------------------------------------------------

SCRATCH = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from parkvmm.host.scratch import scratch_folder
def mend():
    pathlib.Path(sys.argv[2], "mended").touch()
with scratch_folder(pathlib.Path(sys.argv[2], "deep"), "x.", mend) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_does_not_outlive_its_process(tmp_path: pathlib.Path, killed: bool) -> None:
    with subprocess.Popen(
            [sys.executable, "-c", SCRATCH, str(contents.ROOT / "tools"), str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        folder = pathlib.Path(process.stdout.readline().strip())
        assert (folder / "file").exists()
        if killed:
            process.kill()
        process.stdin.close()
        assert process.stdout.read() == ""  # Nobody else holds it open.
        assert process.wait(30) == (-signal.SIGKILL if killed else 0)
    until(lambda: not folder.exists(), "the folder to go away")
    assert (tmp_path / "mended").exists() == killed


# --- the terminal ------------------------------------------------------------------------

@pytest.mark.parametrize("typed, quits", [
    ([b"\x01x"], True), ([b"a\x01", b"xb"], True), ([b"\x01\x01x"], False), ([b"x\x01y x"], False),
    ([b"\x01\x01\x01x"], True), ([b"\x01", b"h", b"x"], False)])
def test_ctrl_a_x_is_seen_as_vmm_sees_it(typed: list[bytes], quits: bool) -> None:
    keys = terminal.Keys()
    assert any([keys.quits(part) for part in typed]) == quits


def test_a_terminal_is_raw_and_back() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 101, 0, 0))
    before = termios.tcgetattr(theirs)
    window = terminal.Terminal(theirs)
    modes = termios.tcgetattr(theirs)
    modes[0] |= termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
    modes[1] &= ~termios.OPOST
    modes[6][termios.VMIN] = modes[6][termios.VTIME] = 3
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    window.make_raw()
    modes = termios.tcgetattr(theirs)
    assert not modes[0] & (termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
    assert (modes[6][termios.VMIN], modes[6][termios.VTIME]) == (1, 0)
    os.write(ours, b"\x03\r\x1a\x11")
    assert os.read(theirs, 9) == b"\x03\r\x1a\x11"
    os.write(theirs, b"line\n")
    assert os.read(ours, 99) == b"line\r\n"
    window.restore()
    assert termios.tcgetattr(theirs) == before
    assert terminal.size_of(theirs) == (33, 101)
    assert not terminal.is_ours(theirs)  # It is nobody's controlling terminal.
    os.close(ours)
    os.close(theirs)
    window.restore()
    assert terminal.size_of(theirs) == (0, 0) and not terminal.is_ours(theirs)


# --- sessions --------------------------------------------------------------------------------

BEGIN = """
import os, socket, sys, time
stdin = socket.socket(fileno=int(sys.argv[1]))
tty = socket.socket(fileno=int(sys.argv[2]))
def say(name, text):
    with open(name, "ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
def begin():
    say("control", "started\\n")
def end(status):
    say("control", f"status {status}\\n")
    time.sleep(60)
"""


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The caller's folder, with a kernel in it. Stdin is a pipe, which `typed` writes to."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "K").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def typed() -> Iterator[int]:
    """Makes stdin a pipe. Returns the end to write to."""
    saved = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    yield writer
    os.dup2(saved, 0)
    os.close(saved)
    try:
        os.close(writer)
    except OSError:
        pass


def front_of(*given: str) -> Front:
    chosen, rest = options.parse(list(given))
    return Front(options.host_of(chosen, rest, words.values_of(rest[1:]), 0), files_of(rest[1:]))


def ran(front: Front, script: str, run: pathlib.Path, seconds: float = 30) -> int:
    """Runs a Python script in the place of QEMU."""
    run.mkdir()
    front._run = run
    with front.connected() as sockets:
        return emulated.watch(
            front.options, run, [sys.executable, "-c", f"import os; os.chdir({str(run)!r})\n"
                                 f"{BEGIN}{script}", *map(str, sockets.values())],
            time.monotonic() + seconds, front, front.begin, sockets.values())


def test_stdin_arrives_with_its_end(here, typed, tmp_path, capfdbinary) -> None:
    os.write(typed, bytes(range(256)))
    os.close(typed)
    assert ran(front_of("run", "K"), """
begin()
while data := stdin.recv(100):
    say("stdout", data)
    say("stderr", "some")
end(7)""", tmp_path / "run") == 7
    said = capfdbinary.readouterr()
    assert said.out == bytes(range(256)) and b"somesome" in said.err


def test_stdin_is_read_once_vmm_runs_and_no_faster_than_it(here, typed, tmp_path) -> None:
    size = 3 * session.PIPED_LIMIT

    def write() -> None:
        for _ in range(size // 1024):
            os.write(typed, b"x" * 1024)
        os.close(typed)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert ran(front_of("run", "K"), f"""
stdin.setblocking(False)
try:
    stdin.recv(1)
    end(1)
except BlockingIOError:
    pass
stdin.setblocking(True)
begin()
count = 0
while data := stdin.recv(1 << 16):
    count += len(data)
end(3 if count == {size} else 2)""", tmp_path / "run") == 3
    thread.join(30)


def test_virtual_time_has_no_stdin(here, typed, tmp_path) -> None:
    front = front_of("--deterministic", "run", "K")
    os.write(typed, b"x")
    assert ran(front, "begin(); say('stdout', 'x'); end(0)", tmp_path / "run") == 0
    assert select.select([0], [], [], 0)[0]


def test_outputs_lie_where_they_were_asked_for(here, typed, tmp_path, capfd) -> None:
    (here / "r").write_text("old")
    (here / "link").symlink_to("r")
    (here / "d").write_text("old")
    front = front_of("run", "K", "--events", "e", "--results", "link", "--dump-dtb", "d")
    assert ran(front, f"""
begin()
say("file0", "one\\n")
say("file1", "new")
here = {str(here)!r}
while not os.path.exists(here + "/e") or not os.stat(here + "/e").st_size:
    time.sleep(0.01)
say("stdout", open(here + "/r").read())
say("file0", "two\\n")
end(0)""", tmp_path / "run") == 0
    assert (here / "e").read_text() == "one\ntwo\n"
    assert (here / "r").read_text() == "new" and (here / "link").is_symlink()
    assert (here / "d").read_text() == "old"
    assert sorted(os.listdir(here)) == ["K", "d", "e", "link", "r"]
    assert capfd.readouterr().out == "old"


def test_a_summary_is_appended(here, typed, tmp_path) -> None:
    (here / "summary").write_text("before ")
    assert ran(front_of("run", "K", "--format", "github:summary"),
               "begin(); say('file0', 'after'); end(0)", tmp_path / "run") == 0
    assert (here / "summary").read_text() == "before after"


def test_a_pipe_is_written_to(here, typed, tmp_path) -> None:
    os.mkfifo(here / "fifo")
    reader = os.open(here / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert ran(front_of("run", "K", "--results", "fifo"), "begin(); say('file0', 'x'); end(0)",
               tmp_path / "run") == 0
    assert os.read(reader, 9) == b"x" and (here / "fifo").is_fifo()
    os.close(reader)


@pytest.mark.parametrize("status, comes_to", [(0, OUTPUT_LOST), (65, 65)])
def test_an_output_that_is_lost_is_told_and_vmms_status_counts(
        here, typed, tmp_path, monkeypatch, capfd, status, comes_to) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0.1)
    os.mkfifo(here / "unread")
    (here / "gone").mkdir()
    front = front_of("run", "K", "--timeout", "1ms", "--events", "/dev/./full", "--results",
                     "unread", "--dump-dtb", "gone/d")
    assert ran(front, f"""
begin()
for number in range(3):
    say(f"file{{number}}", "x")
os.rmdir({str(here / "gone")!r})
end({status})""", tmp_path / "run") == comes_to
    assert not session.is_pipe(str(here / "gone/d"))
    assert sorted(line for line in capfd.readouterr().err.splitlines() if "cannot" in line) == [
        "arm64-host: error: cannot write --dump-dtb gone/d: No such file or directory",
        "arm64-host: error: cannot write --events /dev/./full: No space left on device",
        "arm64-host: error: cannot write --results unread: nobody reads it"]


def test_a_late_run_is_asked_to_end_and_leaves_its_results(here, typed, tmp_path,
                                                           monkeypatch) -> None:
    front = front_of("run", "K", "--results", "r")
    with connection() as (ours, theirs), front.connected() as sockets:
        front.orders = ours
        # The script's stdin stands for its orders.
        monkeypatch.setattr(front, "connected", lambda: contextlib.nullcontext(
            {"orders": theirs.fileno(), "tty": sockets["tty"]}))
        with pytest.raises(Failure, match="for the command to end .*--deadline allows") as caught:
            ran(front, """
begin()
say("file0", stdin.recv(100))
end(130)""", tmp_path / "run", 1)
    assert caught.value.status == DEADLINE
    assert (here / "r").read_text() == "signal TERM\n"


@pytest.mark.parametrize("asked, timeout, seconds", [
    (False, "1ms", session.PATIENCE), (False, "20s", 20), (False, "60s", 30),
    (True, "20s", session.HASTE)])
def test_how_long_a_reader_is_waited_for(here, typed, tmp_path, monkeypatch, asked, timeout,
                                         seconds) -> None:
    ends: list[float] = []

    def drained(_tails: list[Tail], end: float) -> list[Tail]:
        ends.append(end)
        return []

    monkeypatch.setattr(session, "drain", drained)
    front = front_of("run", "K", "--timeout", timeout)
    front._begun = before = time.monotonic()
    front._asked = before if asked else None
    assert front.finish([], 0, before + 30) == 0
    assert before + seconds <= ends[0] <= time.monotonic() + seconds


def test_what_the_terminal_in_there_says_is_dropped_and_ours_is_put_back(here, tmp_path,
                                                                         monkeypatch) -> None:
    window, other = pty.openpty()
    monkeypatch.setattr(session, "is_ours", lambda _: True)
    monkeypatch.setattr(session, "Terminal", lambda _: terminal.Terminal(other))
    before = termios.tcgetattr(other)
    front = front_of("run", "K")
    assert ran(front, """
begin()
tty.sendall(b"x" * 3000000)  # It would wait if nobody read.
end(5)""", tmp_path / "run") == 5
    assert termios.tcgetattr(other) == before
    os.close(window)
    os.close(other)


def test_what_dies_leaves_what_is_whole(here, typed, tmp_path) -> None:
    front = front_of("run", "K", "--events", "e", "--results", "r", "--dump-dtb", "d")
    with pytest.raises(Failure, match="status 3 while we waited for the command") as caught:
        ran(front, f"begin(); say('file0', 'x'); say('file1', '[1, '); say('file2', {TREE!r}); "
            "sys.exit(3)", tmp_path / "run")
    assert caught.value.status == INTERNAL
    assert (here / "e").read_text() == "x" and (here / "d").read_bytes() == TREE
    assert not (here / "r").exists()


@pytest.mark.parametrize("content, whole", [
    (TREE, True), (TREE[:-1], False), (json.dumps({"a": 1}).encode(), True), (b'{"a": ', False),
    (b"", False)])
def test_what_is_whole(tmp_path: pathlib.Path, content: bytes, whole: bool) -> None:
    (tmp_path / "x").write_bytes(content)
    assert session.is_whole(tmp_path / "x") == whole


# --- signals -------------------------------------------------------------------------------

def test_the_first_signal_is_vmms_and_the_second_ends_all(here, typed, tmp_path) -> None:
    front = front_of("run", "K")
    with pytest.raises(session.Interrupted):
        front.on_signal(signal.SIGTERM, None)  # It does not run yet.
    with connection() as (ours, theirs):
        front.orders = ours
        front.look([], True)
        front.on_signal(signal.SIGHUP, None)
        assert theirs.recv(100) == b"signal HUP\n"
        front.look([], True)
        with pytest.raises(session.Interrupted):
            front.on_signal(signal.SIGINT, None)


def test_who_asked_for_the_end_does_not_wait_for_ever(here, typed, monkeypatch) -> None:
    front = front_of("run", "K")
    front.look([], True)
    front.ask("TERM")
    front.look([], True)
    monkeypatch.setattr(session, "ASKED_GRACE", -1)
    with pytest.raises(session.Interrupted):
        front.look([], True)


def test_ctrl_a_x_that_vmm_does_not_hear_becomes_a_signal(here, typed, monkeypatch) -> None:
    front = front_of("run", "K")
    with connection() as (ours, theirs):
        front.orders = ours
        front.look([], True)
        front._asked = time.monotonic()  # Typed.
        front.look([], True)
        assert not select.select([theirs], [], [], 0)[0]
        monkeypatch.setattr(session, "KEYS_GRACE", 0)
        front._asked -= 1
        front.look([], True)
        front.look([], True)
        assert theirs.recv(100) == b"signal INT\n"


def test_a_window_that_changes_is_told(here, typed, monkeypatch) -> None:
    window, other = pty.openpty()
    front = front_of("run", "K")
    monkeypatch.setattr(session, "size_of", lambda _: (40, 120))
    with connection() as (ours, theirs):
        front.orders = ours
        front.look([], True)
        assert not select.select([theirs], [], [], 0)[0]  # Its stdin is no terminal.
        front._terminal, front._begun = terminal.Terminal(other), None
        front.on_resize(0, None)
        assert not select.select([theirs], [], [], 0)[0]
        front.look([], True)  # It runs now.
        assert theirs.recv(100) == b"size 40 120\n"
        front.on_resize(0, None)  # It is as it was.
        assert not select.select([theirs], [], [], 0)[0]
        monkeypatch.setattr(session, "size_of", lambda _: (41, 120))
        front.on_resize(0, None)
        assert theirs.recv(100) == b"size 41 120\n"
    os.close(window)
    os.close(other)


@pytest.mark.parametrize("line, done", [("signal TERM", "kill -TERM"), ("size 3 4", "hvc0 rows 3")])
def test_the_script_around_a_command_does_what_it_is_told(tmp_path, line, done) -> None:
    """The port is a file here, and what would be done is written down."""
    (tmp_path / "port").write_text(f"\n{line}\nnonsense\n")
    loop = contents.ORDERS.replace("/dev/vport0p5", f"{tmp_path}/port").replace(
        ">/dev/null", f">{tmp_path}/said").replace("& )", ")")
    subprocess.run(["sh", "-c", f"kill() {{ echo kill $*; }}; stty() {{ echo $*; }}; {loop}"],
                   check=True, timeout=60)
    assert done in (tmp_path / "said").read_text()


def test_a_shell_that_a_signal_ended_was_interrupted(here, typed, tmp_path) -> None:
    front = front_of("run", "K")
    front._asked = time.monotonic()
    assert ran(front, "end(143)", tmp_path / "run") == 130
    assert ran(front_of("run", "K"), "end(143)", tmp_path / "other") == 143
