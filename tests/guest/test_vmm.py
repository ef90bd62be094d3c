# SPDX-License-Identifier: Apache-2.0
"""tools/vmm with the real VMM in a real host: files, stdin, a terminal, signals."""

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from arm64_host import ROOT, needs_emulation
from payload_runs import STUB, WALL_CLOCK
from terminals import Terminals

TOOL = ROOT / "tools" / "vmm"
EMULATED = ("--host", "emulated")
DEADLINE = 120  # seconds for a call, which may have to boot a host; it takes a few
TIMEOUT = ("--timeout", "60s")  # of a run

pytestmark = [pytest.mark.usefixtures("host", "usual_signals"),
              pytest.mark.xdist_group(WALL_CLOCK)]


def vmm(*words: str, folder: pathlib.Path = ROOT, **how) -> subprocess.CompletedProcess:
    needs_emulation(EMULATED)
    how.setdefault("stdin", subprocess.DEVNULL)
    if "input" in how:
        del how["stdin"]
    return subprocess.run([TOOL, *EMULATED, *words], cwd=folder, capture_output=True,
                          timeout=DEADLINE, check=False, **how)


def payload(name: str) -> str:
    return str(ROOT / STUB / f"{name}.bin")


def test_a_bisection_finds_the_commit_that_loses_cpus(tmp_path) -> None:
    """Of eight, the fourth cannot be built, and since the seventh every CPU turns itself off."""
    guests = ["hello"] * 3 + ["nothing"] + ["hello"] * 2 + ["all_off"] * 2

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *words], cwd=tmp_path,
            check=True, capture_output=True, text=True, timeout=4 * DEADLINE).stdout

    git("init", "-q")
    for number, guest in enumerate(guests, 1):
        (tmp_path / "guest").write_text(f"{guest} {number}")
        git("add", "guest")
        git("commit", "-q", "-m", f"commit {number}")
    build = f"rm -f Image; read -r name rest <guest || :; cp {ROOT / STUB}/$name.bin Image"
    needs_emulation(EMULATED)
    git("bisect", "start", "HEAD", "HEAD~7")
    git("bisect", "run", "sh", "-c", f"{build}; exec {TOOL} {' '.join(EMULATED)} run --bisect "
        f"--raw Image -c 4 -m 64M {' '.join(TIMEOUT)}")
    log = git("bisect", "log")
    assert "first bad commit: " in log and log.rstrip().endswith("commit 7")
    assert "# skip: " in log and "commit 4" in log


def test_any_files_from_any_folder_and_outputs_where_they_were_asked_for(tmp_path) -> None:
    folder = tmp_path / "some folder"
    (folder / "out, put").mkdir(parents=True)
    kernel = "../it's a,\nkernel \u00e9"
    shutil.copy(payload("verdict_fail"), folder / kernel)
    done = vmm("run", "--raw", kernel, *TIMEOUT, "--results", "out, put/r", "--events=e",
               "--dump-dtb", str(tmp_path / "d"), folder=folder)
    assert done.returncode == 1, done.stderr
    assert b"[stub] FAIL verdict_fail" in done.stdout and b"[stub]" not in done.stderr.split(
        b"last lines")[0]
    results = json.loads((folder / "out, put/r").read_text())
    assert (results["config"]["kernel"], results["config"]["results"]) == (kernel, "out, put/r")
    assert results["label"] == "kvm-on-tcg"
    assert json.loads((folder / "e").read_text().splitlines()[-1])["event"] == "verdict"
    tree = (tmp_path / "d").read_bytes()
    assert int.from_bytes(tree[4:8], "big") == len(tree)
    assert sorted(os.listdir(folder)) == ["e", "out, put"]


def test_stdin_is_the_guests_byte_by_byte() -> None:
    given = bytes(byte for byte in range(256) if byte != 4) + b"\r\n\x01x"
    done = vmm("run", "--raw", payload("echo"), *TIMEOUT, input=given + b"\x04")
    assert (done.returncode, done.stdout) == (0, b"ready\n" + given + b"[stub] PASS echo\n")


def test_two_runs_in_virtual_time_say_the_same() -> None:
    one, other = (vmm("--deterministic", "run", "--raw", payload("hello"), "--seed", "1",
                      "--events", "/dev/stdout", input=b"not read") for _ in range(2))
    assert one.returncode == 0 and b'"verdict"' in one.stdout and one.stdout == other.stdout


@contextlib.contextmanager
def started(*words: str, **how) -> Iterator[subprocess.Popen]:
    needs_emulation(EMULATED)
    with subprocess.Popen(words, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def children(process: subprocess.Popen) -> list[str]:
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return file.read().split()


def runs(pid: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_killed_leaves_what_there_is_and_nothing_else(tmp_path, number,
                                                                    status) -> None:
    with started(str(TOOL), *EMULATED, "run", "--raw", payload("hang"), *TIMEOUT, "--events", "e",
                 "--results", "r", cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline() == b"[stub] PASS hang\n"
        for _ in until("an event"):
            if (tmp_path / "e").exists() and (tmp_path / "e").stat().st_size:
                break
        known = children(process)
        folders = {os.readlink(f"/proc/{pid}/fd/{file}").rpartition("/")[0] for pid in known
                   for file in os.listdir(f"/proc/{pid}/fd")
                   if os.readlink(f"/proc/{pid}/fd/{file}").endswith("/stdout")}
        assert len(known) == 2 and len(folders) == 1
        process.send_signal(number)
        assert process.wait(DEADLINE) == status
    for _ in until("QEMU and its folder to go away"):
        if not any(map(runs, known)) and not any(map(os.path.exists, folders)):
            break
    assert b"start" in (tmp_path / "e").read_bytes()
    if number == signal.SIGTERM:
        assert json.loads((tmp_path / "r").read_text())["stop"]["id"] == "interrupted"


def until(what: str) -> Iterator[None]:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        yield
        select.select([], [], [], 0.01)
    pytest.fail(f"waited {DEADLINE} s for {what}")


# --- a terminal --------------------------------------------------------------------

def test_a_terminals_keys_are_the_guests_and_ctrl_a_x_ends_it(terminals: Terminals) -> None:
    needs_emulation(EMULATED)
    window = terminals.open(str(TOOL), *EMULATED, "run", "--raw", payload("echo"),
                            *TIMEOUT)
    window.shows(b"ready\r\n")
    assert window.modes() != window.before
    window.type(b"hi\x03\x1a\r\x01\x01.")
    assert window.shows(b".") == b"hi\x03\x1a\r\x01."
    window.type(b"\x01x")
    window.shows(b"ctrl-a x [interrupted]\r\n")
    assert window.process.wait(DEADLINE) == 130
    assert window.modes() == window.before


def test_ctrl_a_x_ends_a_guest_that_reads_nothing_and_sigkill_mends_the_terminal(
        terminals: Terminals) -> None:
    needs_emulation(EMULATED)
    hang = (str(TOOL), *EMULATED, "run", "--raw", payload("hang"), *TIMEOUT)
    window = terminals.open(*hang)
    window.shows(b"PASS hang\r\n")
    window.type(b"z" * 600)
    window.type(b"\x01x")
    window.shows(b"[interrupted]\r\n")
    assert window.process.wait(DEADLINE) == 130
    killed = terminals.open(*hang)
    killed.shows(b"PASS hang\r\n")
    assert killed.modes() != killed.before
    killed.process.kill()
    for _ in until("the terminal to be as it was"):
        if killed.modes() == killed.before:
            break


SHELL = """
import sys
sys.path.insert(0, "tools")
import parkvmm.front.session as session
class Shell(session.Front):
    def __init__(self, options, files, reads):
        super().__init__(options, files, reads, "sh")
        files.words[:] = ["-c", "stty size; read x; stty size; tty; exit 7"]
import parkvmm.front.command as command
command.Front = Shell
sys.argv[1:] = ["--host", "emulated", "run", "tools/vmm"]
command.run()
"""


def test_the_terminal_in_there_has_the_windows_size(terminals: Terminals) -> None:
    """A shell in the place of vmm says what vmm would find."""
    window = terminals.open(sys.executable, "-c", SHELL)
    window.shows(b"33 101\r\n")
    window.resize(40, 120)
    window.type(b"\n")
    assert b"/dev/hvc0" in window.shows(b"hvc0\r\n")
    assert window.process.wait(DEADLINE) == 7
