# SPDX-License-Identifier: Apache-2.0
"""Saved hosts of tools/arm64-host: their files, and QEMU's part played by a thread."""

import contextlib
import json
import os
import pathlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from parkvmm import cache, cpio
from parkvmm.failure import DEADLINE, INTERNAL, USAGE, Failure
from parkvmm.host import booting, emulated, machine, options, payload, qmp, saved
from parkvmm.host.session import Session

KEY = "0123"


@pytest.fixture(autouse=True)
def cached(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / saved.FOLDER


def soon() -> float:
    return time.monotonic() + 30


def save(stream: bytes, key: str = KEY) -> pathlib.Path:
    with saved.draft_of(key) as draft:
        draft.write(stream)
        saved.keep(draft, key)
    return saved.path_of(key)


# --- the files -----------------------------------------------------------------

def test_a_saved_host_is_read_as_it_was_written(cached: pathlib.Path) -> None:
    path = save(b"stream" * 300000)
    assert path.parent == cached and list(cached.iterdir()) == [path]
    with saved.SavedHost(KEY) as host:
        host.check()
        assert os.read(host.stream(), 12) == b"streamstream"
        host.check()
        assert os.read(host.stream(), 6) == b"stream"


def test_none_is_there_at_first_and_a_draft_that_is_given_up_leaves_nothing(cached) -> None:
    with pytest.raises(FileNotFoundError):
        saved.SavedHost(KEY)
    with pytest.raises(RuntimeError), saved.draft_of(KEY) as draft:
        draft.write(b"x")
        raise RuntimeError
    assert list(cached.iterdir()) == []


def truncate(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def extend(path: pathlib.Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def other_header(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes().replace(KEY.encode(), b"4567", 1))


def older_format(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"host 1", b"host 0", 1))


@pytest.mark.parametrize("damage, said", [
    (truncate, "not whole"), (extend, "not whole"), (other_header, "another one"),
    (older_format, "another one"), (lambda path: path.write_bytes(b""), "no saved host"),
    (lambda path: path.write_bytes(b"\n\nx\n\n"), "no saved host")])
def test_what_is_not_the_host_that_was_saved_is_not_opened(capsys, damage, said) -> None:
    path = save(b"stream")
    damage(path)
    with pytest.raises(saved.Damaged, match=said):
        saved.SavedHost(KEY)
    assert booting.open_saved(KEY) is None
    line, = capsys.readouterr().err.splitlines()
    assert f"the saved host {path} is not used: it is" in line and "booting afresh" in line
    assert not path.exists()
    assert booting.open_saved(KEY) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("at", [0, 1 << 20, 2_500_000 - 1])
def test_any_other_byte_is_found(at: int) -> None:
    path = save(bytes(2_500_000))
    with open(path, "r+b") as file:
        file.seek(saved.HEADER + at)
        file.write(b"\1")
    with saved.SavedHost(KEY) as host, pytest.raises(saved.Damaged, match="checksum"):
        host.check()


def test_a_saved_host_that_was_replaced_meanwhile_stays(cached) -> None:
    path = save(b"old")
    with saved.SavedHost(KEY) as old:
        save(b"new")
        old.remove()
        assert path.exists()
        with saved.SavedHost(KEY) as new:
            new.remove()
        assert not path.exists()
        old.remove()
        old.check()


def test_the_longest_unused_make_room(cached, monkeypatch) -> None:
    for age, key in enumerate("dcba"):
        path = save(b"x" * 10, key)
        os.utime(path, (time.time() - 100 + age,) * 2)
    with saved.SavedHost("d"):
        pass  # It has been used now.
    for name, age in (("x.1", saved.DRAFT_AGE + 60), ("y.2", saved.DRAFT_AGE - 60)):
        (cached / name).write_bytes(bytes(1 << 20))
        os.utime(cached / name, (time.time() - age,) * 2)
    monkeypatch.setattr(saved, "LIMIT", 3 * (saved.HEADER + 10))
    save(b"x" * 10, "e")
    assert sorted(path.name for path in cached.iterdir()) == ["a", "d", "e", "y.2"]


def test_the_newest_stays_however_large(cached, monkeypatch) -> None:
    monkeypatch.setattr(saved, "LIMIT", 1)
    save(b"x", "a")
    os.utime(saved.path_of("a"), (1, 1))
    save(b"x", "b")
    assert [path.name for path in cached.iterdir()] == ["b"]


def test_the_times_of_this_machine_are_not_saved() -> None:
    with saved.draft_of(KEY) as draft:
        draft.write(b"x" * 30 + saved.CLOCK + b"memory" + b"t" * 24 + saved.CLOCK + b"end")
        saved.clear_times(draft)
        saved.keep(draft, KEY)
    assert saved.path_of(KEY).read_bytes()[saved.HEADER:] == (
        b"x" * 30 + saved.CLOCK + b"memory" + bytes(24) + saved.CLOCK + b"end")


@pytest.mark.parametrize("stream", [b"", b"stream", bytes(24) + saved.CLOCK[1:]])
def test_a_stream_without_a_clock_is_told(stream: bytes) -> None:
    with saved.draft_of(KEY) as draft, pytest.raises(saved.Damaged, match="no clock"):
        draft.write(stream)
        saved.clear_times(draft)


def test_a_host_is_another_one_if_anything_it_depends_on_is(tmp_path, monkeypatch) -> None:
    binary = tmp_path / machine.QEMU
    binary.write_text("")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def key(*given: str, version: str = "7.2", initramfs: str = "i", kernel: str = "k",
            live: bool = False) -> str:
        monkeypatch.setattr(saved, "full_version", lambda: version)
        for name in (initramfs, kernel):
            (tmp_path / name).write_text(name)
        chosen = options.parse([*given, "--", "true"])
        chosen.live = live
        chosen.host_kernel = tmp_path / kernel
        return saved.key_of(chosen, tmp_path / initramfs)

    keys = [key(), key("--cpus", "3"), key("--memory", "1G"), key("--deterministic"),
            key("--threads", "multi"), key("--gic", "2"), key("--cpu-model", "max"),
            key("--host-params", "x"), key(version="7.3"), key(initramfs="j"), key(kernel="l"),
            key(live=True)]
    binary.write_text("other")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key("--out", "o", "--timeout", "5s", "--file", "tools") == keys[-1]


# --- the archive of a command's files -------------------------------------------

def test_large_files_are_handed_over_as_they_are(tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setattr(payload, "LARGE", 5)
    monkeypatch.setattr(payload, "LARGE_FILES", 2)
    tree: cpio.Tree = {}
    for name, size in (("a", 4), ("b/c", 6), ("d", 5), ("e", 7), ("f", 0)):
        path = tmp_path / name.replace("/", "-")
        path.write_bytes(b"x" * size)
        tree[name] = cpio.regular(path, executable=name == "f")
    run = tmp_path / "run"
    run.mkdir()
    parts = payload.write_parts(tree, run)
    assert parts == [run / "part0", tmp_path / "b-c", run / "part2", tmp_path / "e", run / "part4"]
    assert b"".join(path.read_bytes() for path in parts) == (
        b"f 644 4 a\nxxxxd 755 0 b\nf 644 6 b/c\nxxxxxxf 644 5 d\nxxxxxf 644 7 e\nxxxxxxx"
        b"f 755 0 f\ne 0 0 .\n")


@pytest.mark.parametrize("name", ["a\nb", "x" * 4001])
def test_a_path_is_one_line(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(Failure, match="cannot take") as caught:
        payload.write_parts({name: cpio.directory()}, tmp_path)
    assert caught.value.status == USAGE


# --- QEMU's monitor ---------------------------------------------------------------

class Machine:
    """Plays QEMU at the other end of a monitor, in a thread."""

    def __init__(self, connection: socket.socket, answers: dict[str, Any]) -> None:
        self.connection, self.answers = connection, answers
        self.calls: list[dict[str, Any]] = []
        self.files: list[int] = []

    def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def play(self) -> None:
        with contextlib.suppress(OSError), self.connection:
            self.say({"QMP": {}})
            while True:
                data, files, _, _ = socket.recv_fds(self.connection, 1 << 16, 4)
                if not data:
                    return
                self.files += files
                call = json.loads(data)
                self.calls.append(call)
                answer = self.answers.get(call["execute"], {"return": {}})
                if answer is None:
                    return
                messages = answer(self, call) if callable(answer) else [answer]
                self.say(*messages)


@contextlib.contextmanager
def played(**answers: Any) -> Iterator[tuple[qmp.Monitor, Machine]]:
    """Yields a monitor and what plays QEMU; a hyphen is an underscore in `answers`."""
    with booting.connection() as (ours, theirs):
        player = Machine(theirs, {name.replace("_", "-"): answer
                                  for name, answer in answers.items()})
        thread = threading.Thread(target=player.play)
        thread.start()
        try:
            yield qmp.Monitor(ours), player
        finally:
            with contextlib.suppress(OSError):
                theirs.shutdown(socket.SHUT_RDWR)
            thread.join()
            for file in player.files:
                os.close(file)


def event(name: str, **data: Any) -> dict[str, Any]:
    return {"event": name, "data": data}


def test_answers_and_events_are_told_apart() -> None:
    def answer(_machine: Machine, call: dict[str, Any]) -> list[dict[str, Any]]:
        return [event("A", x=1), event("B"), {"return": call["arguments"]}]

    with played(ask=answer) as (monitor, player):
        monitor.start(soon())
        assert monitor.call("ask", soon(), two_words=3) == {"two-words": 3}
        assert monitor.wait_for("B", soon()) == {}
        assert monitor.wait_for("A", soon()) == {"x": 1}
        with pytest.raises(TimeoutError):
            monitor.wait_for("A", time.monotonic())
    assert [call["execute"] for call in player.calls] == ["qmp_capabilities", "ask"]


def test_an_error_is_told_and_so_is_an_end() -> None:
    with played(bad={"error": {"desc": "no"}}, end=None) as (monitor, _):
        monitor.start(soon())
        with pytest.raises(qmp.Refused, match="bad: no"):
            monitor.call("bad", soon())
        with pytest.raises(qmp.Gone):
            monitor.call("end", soon())
        with pytest.raises(qmp.Gone):
            monitor.call("more", soon())


@pytest.fixture
def poke() -> Iterator[socket.socket]:
    """Our end of the connection by which a host goes on; PEERS has the other end."""
    with booting.connection() as (ours, theirs):
        PEERS[ours] = theirs
        yield ours
        del PEERS[ours]


PEERS: dict[socket.socket, socket.socket] = {}


# --- restoring ----------------------------------------------------------------------

def migrates(*statuses: str) -> Callable[..., list[dict[str, Any]]]:
    def answer(_machine: Machine, _call: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"return": {}}, *(event("MIGRATION", status=status) for status in statuses)]
    return answer


def test_a_saved_host_goes_on_once_its_state_is_read(poke) -> None:
    save(b"stream")
    with played(migrate_incoming=migrates("setup", "active", "completed")) as (monitor, player), \
            saved.SavedHost(KEY) as host:
        booting.restore(monitor, poke, host, soon())
        assert os.read(player.files[0], 100) == b"stream"
        assert [call["execute"] for call in player.calls][-3:] == [
            "getfd", "migrate-incoming", "cont"]
    assert PEERS[poke].recv(10) == b"\n"


def test_a_host_in_virtual_time_goes_on_without_a_byte() -> None:
    save(b"stream")
    with played(migrate_incoming=migrates("completed")) as (monitor, player), \
            saved.SavedHost(KEY) as host:
        booting.restore(monitor, None, host, soon())
        assert player.calls[-1]["execute"] == "cont"


@pytest.mark.parametrize("answers, said", [
    ({"migrate_incoming": migrates("failed")}, "QEMU does not take it"),
    ({"migrate_incoming": None}, "QEMU does not take it"),
    ({"getfd": {"error": {"desc": "no files"}}}, "QEMU refuses getfd: no files")])
def test_a_state_that_qemu_does_not_take_is_told(poke, answers, said) -> None:
    save(b"stream")
    with played(**answers) as (monitor, player), saved.SavedHost(KEY) as host:
        with pytest.raises(booting.NotRestored, match=said):
            booting.restore(monitor, poke, host, soon())
        assert "cont" not in [call["execute"] for call in player.calls]


@pytest.mark.parametrize("own, runs", [(0.2, 30), (30, 0.2)])
def test_a_restore_has_a_deadline(poke, monkeypatch, own, runs) -> None:
    save(b"stream")
    monkeypatch.setattr(booting, "STATE_DEADLINE", own)
    with played(migrate_incoming=migrates("active")) as (monitor, _), \
            saved.SavedHost(KEY) as host, pytest.raises(booting.NotRestored, match="too long"):
        booting.restore(monitor, poke, host, time.monotonic() + runs)


def test_a_stream_that_is_not_what_was_written_never_goes_on(poke) -> None:
    path = save(b"stream")
    with open(path, "r+b") as file:
        file.seek(saved.HEADER)
        file.write(b"S")
    with played(migrate_incoming=migrates("completed")) as (monitor, player), \
            saved.SavedHost(KEY) as host:
        with pytest.raises(booting.NotRestored, match="checksum"):
            booting.restore(monitor, poke, host, soon())
        assert "cont" not in [call["execute"] for call in player.calls]


# --- saving -----------------------------------------------------------------------

def test_a_state_is_written_to_the_file(tmp_path) -> None:
    def write(machine_: Machine, call: dict[str, Any]) -> list[dict[str, Any]]:
        assert call["arguments"] == {"uri": "fd:state"}
        os.write(machine_.files[0], b"state")
        return [{"return": {}}, event("MIGRATION", status="completed")]

    with played(migrate=write) as (monitor, _), open(tmp_path / "state", "wb") as file:
        monitor.start(soon())
        booting.write_state(monitor, file.fileno())
    assert (tmp_path / "state").read_bytes() == b"state"


@pytest.mark.parametrize("answers, said", [
    ({"migrate": migrates("failed"), "query_migrate": {"return": {"error-desc": "disk full"}}},
     "cannot write its state: disk full"),
    ({"migrate": migrates("failed")}, "it says not why"),
    ({"migrate": None}, "QEMU ended while"),
    ({"migrate": {"error": {"desc": "a device"}}}, "QEMU refuses migrate: a device")])
def test_a_state_that_cannot_be_written_is_told(tmp_path, answers, said) -> None:
    with played(**answers) as (monitor, _), open(tmp_path / "state", "wb") as file:
        monitor.start(soon())
        with pytest.raises(booting.NotSaved, match=said):
            booting.write_state(monitor, file.fileno())


def test_a_boot_is_awaited_up_to_its_stop_and_said_if_it_takes_long(monkeypatch) -> None:
    chosen = options.parse(["--timeout", "7s", "--", "true"])
    said: list[str] = []
    with played() as (monitor, player):
        monitor.start(soon())

        def say(message: str) -> None:
            if not said:
                player.say(event("WATCHDOG"), event("STOP"))
            said.append(message)

        monkeypatch.setattr(booting, "BOOT_NOTICE", 0)
        monkeypatch.setattr(booting, "say", say)
        booting.wait_until_it_stops(monitor, chosen, soon())
        assert said[0] == "the host is still booting after 0 s"
        with pytest.raises(Failure, match="waited 7 s for the emulated host to boot") as caught:
            booting.wait_until_it_stops(monitor, chosen, time.monotonic() - 1)
        assert caught.value.status == DEADLINE


# --- what runs where -----------------------------------------------------------------

@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what would be done; a test makes steps fail with `fails`."""
    done: list[str] = []

    def note(name: str) -> None:
        done.append(name)
        if name in FAILING:
            raise FAILING.pop(name)

    def boot(*_: object) -> None:
        note("boot")
        save(b"stream")

    def restored(*_: object) -> int:
        note("restore")
        return 3

    def plain(*_: object) -> int:
        note("plain")
        return 4

    FAILING.clear()
    monkeypatch.setattr(saved, "key_of", lambda *_: KEY)
    monkeypatch.setattr(emulated, "boot_and_save", boot)
    monkeypatch.setattr(emulated, "run_restored", restored)
    monkeypatch.setattr(emulated, "watch", plain)
    monkeypatch.setattr(emulated, "qemu_command", lambda *_, **__: [])
    return done


FAILING: dict[str, Exception] = {}


def ran(*given: str) -> int:
    chosen = options.parse([*given, "--", "true"])
    run = pathlib.Path("run")
    return emulated.run_command(chosen, run, run, [], soon(), Session(chosen))


def test_a_host_boots_once(steps) -> None:
    assert ran() == 3 and steps == ["boot", "restore"]
    assert ran("--deterministic") == 3 and steps[2:] == ["restore"]


@pytest.mark.parametrize("given", [["--cold"], ["--disk", __file__, "--host-kernel", "debian:6.1"],
                                   ["--cold", "--deterministic"]])
def test_a_cold_host_and_one_with_a_disk_are_not_saved(steps, given) -> None:
    assert ran(*given) == 4 and steps == ["plain"]


def test_a_saved_host_that_does_not_go_on_gives_way_to_a_new_one(steps, capsys) -> None:
    save(b"old")
    FAILING["restore"] = booting.NotRestored("its checksum is wrong")
    assert ran("--deterministic") == 3 and steps == ["restore", "boot", "restore"]
    assert re.search(r"the saved host \S+ is not used: its checksum is wrong; booting afresh\n",
                     capsys.readouterr().err)


@pytest.mark.parametrize("step, error", [("boot", booting.NotSaved("no room")),
                                         ("restore", booting.NotRestored("no room"))])
def test_without_a_saved_host_wall_clock_time_goes_on_and_virtual_time_ends(
        steps, capsys, step, error) -> None:
    FAILING[step] = error
    assert ran() == 4 and steps[-1] == "plain"
    assert "no room; booting without a saved host\n" in capsys.readouterr().err
    saved.path_of(KEY).unlink(missing_ok=True)
    FAILING[step] = error
    with pytest.raises(Failure, match="no room; --cold does without a saved host") as caught:
        ran("--deterministic")
    assert caught.value.status == INTERNAL


@pytest.mark.parametrize("given, hears", [
    (["--cold", "--out", "x"], True), (["--cold", "--out", "x", "--deterministic"], False)])
def test_a_command_in_a_cold_host_hears_orders_unless_time_is_virtual(
        steps, monkeypatch, given, hears) -> None:
    heard: list[bool] = []
    sockets: dict[str, int] = {}
    monkeypatch.setattr(emulated, "qemu_command", lambda *_, **how: sockets.update(how["sockets"]))

    def watch(*given_: Any) -> int:
        session: Session = given_[4]
        heard.append(session.order("signal TERM"))
        if heard[0]:
            assert os.read(sockets["poke"], 99) == b"signal TERM\n"
        return 4

    monkeypatch.setattr(emulated, "watch", watch)
    assert ran(*given) == 4 and heard == [hears] and ("poke" in sockets) == hears
