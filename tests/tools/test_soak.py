# SPDX-License-Identifier: Apache-2.0
"""tools/soak, with runs that are made up."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from arm64_host import ROOT
from case_readers import junit_cases
from parkvmm import locks
from parkvmm.failure import DIFFERS, OUTPUT_LOST, TRY_LATER, USAGE, Failure
from parkvmm.soak import command, run
from parkvmm.soak.plan import MACHINES, STUB, Unit, draw, plan
from parkvmm.soak.run import Outcome

ARMS, CPUS = [STUB, "module", "park-host"], [1, 4, 16]
UNIT = Unit(7, STUB, 4, 100, ("--gic", "2"), "n1sdp", "guest", True, True, 5)
LINUX = dataclasses.replace(UNIT, arm="park-host", kexecs=10, idle_states=False, events=False)
# Of --seed 1 with these arms and CPUs.
GOLDEN = [Unit(1, "module", 1, 10, ("--cpu-model", "cortex-a72"), "thunderx2", "off", False, False,
               1166352638),
          Unit(2, STUB, 4, 100, ("--cpu-model", "cortex-a72"), "juno", "host", False, False,
               622047892)]
KEXEC = {"cpus": 4, "cpus_back": 4}


def results(kexecs: list[dict[str, int]], lost_events: int = 0) -> dict[str, Any]:
    return {"kexecs": kexecs, "lost_events": lost_events, "label": "kvm-on-tcg-icount",
            "tool": {"version": "1", "commit": "c"}, "cases": [
                {"name": "end", "outcome": "passed", "ns": None, "id": None, "message": None,
                 "details": []}]}


# --- the plan -----------------------------------------------------------------------------

def test_a_soak_has_as_many_kexecs_as_are_asked_for() -> None:
    units = list(plan(1, 1234, ARMS, CPUS))
    assert sum(unit.kexecs for unit in units) == 1234
    assert [unit.number for unit in units] == list(range(1, len(units) + 1))
    assert {unit.kexecs for unit in units[:-1]} == {100, 10}
    assert all(unit.kexecs == (100 if unit.arm == STUB else 10) for unit in units[:-1])
    assert {unit.arm for unit in units} == set(ARMS) and {unit.cpus for unit in units} == set(CPUS)


def test_a_unit_follows_from_the_seed_and_its_number() -> None:
    units = list(plan(3, 2000, ARMS, CPUS))
    assert units == list(plan(3, 2000, ARMS, CPUS))
    assert units[:5] == list(plan(3, 5000, ARMS, CPUS))[:5]
    assert units[4] == draw(3, 5, ARMS, CPUS, 10_000)
    assert units[:5] != list(plan(4, 2000, ARMS, CPUS))[:5]
    assert len({unit.seed for unit in units}) == len(units)


def test_a_seed_that_was_told_once_means_the_same_units() -> None:
    assert draw(1, 1, ARMS, CPUS, 100) == GOLDEN[0]
    assert draw(1, 2, ARMS, CPUS, 100) == GOLDEN[1]


def test_a_soak_is_short_unless_asked_otherwise() -> None:
    options = command.parse([])
    assert (options.kexecs, options.seed, options.unit) == (200, 1, None)
    assert options.arms == [STUB, "module", "park-host"] and options.cpus == [1, 2, 4, 8, 16]


def test_what_the_units_take_is_built_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[set[tuple[str, str, str]]] = []
    digested: list[str] = []
    monkeypatch.setattr(command.arms, "build", lambda *words: None)
    monkeypatch.setattr(command.arms, "prepare", prepared.append)
    monkeypatch.setattr(command.run, "write_image", lambda: None)

    def digest(path: pathlib.Path) -> str:
        digested.append(str(path))
        return "0"

    monkeypatch.setattr(command, "digest", digest)
    command.prepare([UNIT, LINUX])
    assert prepared == [{("park-host", "default", "")}]
    assert {str(command.VMM), str(ROOT / run.IMAGE), str(ROOT / run.PROBE)} < set(digested)


def test_what_is_held_early_is_that_of_a_quarter() -> None:
    said = "".join(sample(number, 5) for number in range(1, 9))
    assert run.held(said) == {"own_bytes": [3, 8], "threads": [5, 5], "files": [11, 11]}
    assert run.held(sample(4, 5)) == {"own_bytes": [4, 4], "threads": [5, 5], "files": [11, 11]}
    assert run.held("") == {}


def test_threads_that_become_more_are_seen() -> None:
    said = "".join(sample(1, threads) for threads in (5, 5, 5, 6))
    assert run.held(said)["threads"] == [5, 6]
    assert run.judged(UNIT, 0, results([KEXEC] * 100), said, "").wrong == "threads grew from 5 to 6"


def test_what_is_held_once_the_machine_is_gone_is_its_results() -> None:
    assert run.held(sample(1, 5) + sample(2, 5) + sample(9_999_999, 1))["own_bytes"] == [1, 2]


def test_all_kinds_are_drawn_and_none_that_cannot_be() -> None:
    units = [draw(1, number, ARMS, CPUS, 100) for number in range(1, 600)]
    stubs = [unit for unit in units if unit.arm == STUB]
    for field in ("firmware", "park", "idle_states", "events"):
        assert len({getattr(unit, field) for unit in units}) == (
            5 if field == "firmware" else 3 if field == "park" else 2)
    assert {unit.machine for unit in stubs} == set(MACHINES)
    assert {unit.machine for unit in units if unit.arm != STUB} == set(MACHINES[:3])
    assert all(unit.cpus <= 8 for unit in units if "--gic" in unit.machine)


@pytest.mark.parametrize("words, reason", [
    (["--kexecs", "0"], "wants a number from 1 on, not '0'"),
    (["--unit", "x"], "wants a number from 1 on"),
    (["--arms", "stub,boats"], "no arm 'boats'"),
    (["--cpus", "4,129"], "takes up to 128 CPUs, not 129"),
    (["--cpus", "4,"], "wants a number from 1 on, not ''"),
])
def test_a_mistake_is_told(words: list[str], reason: str,
                           capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.parse(words)
    assert ended.value.code == USAGE and reason in capsys.readouterr().err


def test_all_arms_may_be_asked_for() -> None:
    assert command.parse(["--arms", "all"]).arms[:2] == [STUB, "stock"]
    assert command.parse([]).arms == ARMS and command.parse([]).cpus == [1, 2, 4, 8, 16]


# --- a unit --------------------------------------------------------------------------------

def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_a_unit_is_a_call_of_the_host() -> None:
    words = run.command(UNIT, pathlib.Path("o"))
    assert words[0] == "tools/arm64-host" and "--deterministic" in words
    host, vmm = words[:words.index("--")], words[words.index("vmm"):]
    assert (after(host, "--cpus"), after(host, "--gic"), after(host, "--out")) == ("4", "2", "o")
    assert [after(vmm, f"--{name}") for name in
            ("cpus", "seed", "park", "firmware", "expect-kexecs", "params")] == [
                "4", "5", "guest", "n1sdp", "100", "kexecs=100"]
    assert "--idle-states" in vmm and after(vmm, "--events") == "@RESULTS@/events.jsonl"
    plain = run.command(dataclasses.replace(UNIT, cpus=1, idle_states=False, events=False),
                        pathlib.Path("o"))
    assert after(plain, "--cpus") == "2"  # The host's: one for the guest, one for us.
    assert "--idle-states" not in plain and "--events" not in plain


def test_a_unit_of_linux_is_its_arm() -> None:
    words = run.command(LINUX, pathlib.Path("o"))
    assert [after(words, f"--{name}") for name in ("arm", "seed", "expect-kexecs", "park")] == [
        "park-host", "5", "10", "host"]
    assert "park.cycles=10" in after(words, "--params") and "--events" not in words
    assert after(words, "--results") == "@RESULTS@/results.json"


def sample(own_bytes: int, threads: int, files: int = 11) -> str:
    """What the probe says each second."""
    return (f"[probe] 0007 own_bytes {own_bytes}\n[probe] 0007 threads {threads}\n"
            f"[probe] 0007 files {files}\n")


@pytest.mark.parametrize("status, kexecs, lost_events, late, files, wrong", [
    (0, [KEXEC] * 100, 0, 1000 + (1 << 20), 11, ""),
    (66, [KEXEC] * 100, 0, 1000, 11, "the last line"),
    (0, [KEXEC] * 99, 0, 1000, 11, "99 of 100 kexecs came up"),
    (0, [KEXEC] * 100 + [{"cpus": 4, "cpus_back": 0}], 0, 1000, 11, "4 CPUs were lost"),
    (0, [KEXEC] * 99 + [{"cpus": 4, "cpus_back": 3}], 0, 1000, 11, "1 CPUs were lost"),
    (0, [KEXEC] * 100, 3, 1000, 11, "3 events were lost"),
    (0, [KEXEC] * 100, 0, 1001 + (1 << 20), 11, "own_bytes grew from 1000 to 1049577"),
    (0, [KEXEC] * 100, 0, 1000, 12, "files grew from 11 to 12"),
])
def test_a_unit_is_judged(status: int, kexecs: list[dict[str, int]], lost_events: int, late: int,
                          files: int, wrong: str) -> None:
    outcome = run.judged(UNIT, status, results(kexecs, lost_events),
                         sample(1000, 5) + sample(late, 5, files), "the last line")
    assert outcome.wrong == wrong
    assert outcome.cpus_lost == sum(kexec["cpus"] - kexec["cpus_back"] for kexec in kexecs)
    assert outcome.held == {"own_bytes": [1000, late], "threads": [5, 5], "files": [11, files]}


def scripted(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(run, "command", lambda unit, out: ["sh", "-c", script, "sh", str(out)])


def test_what_a_run_leaves_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    document = json.dumps(results([KEXEC] * 100))
    scripted(monkeypatch, f"echo '{document}' >$1/results.json; echo '{sample(8, 7, 9)}'")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "old").touch()
    outcome = run.run(UNIT, tmp_path / "unit")
    assert outcome == Outcome(UNIT, 0, 100, 0, {"own_bytes": [8, 8], "threads": [7, 7],
                                                "files": [9, 9]}, "")
    assert not (tmp_path / "unit" / "old").exists()


@pytest.mark.parametrize("script, status, wrong", [
    ("echo early >&2; exit 69", 69, "no results: early"),
    ("exit 0", 1, "no results: nothing was said"),
    ("kill -9 $$", 137, "no results: nothing was said"),
    ("echo '{}' >$1/results.json; echo x >&2", 1, "no results: x"),
    ("echo '{' >$1/results.json", 1, "no results: nothing was said"),
])
def test_a_run_without_results_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path, script: str,
                                       status: int, wrong: str) -> None:
    scripted(monkeypatch, script)
    outcome = run.run(UNIT, tmp_path / "unit")
    assert (outcome.status, outcome.wrong, outcome.kexecs) == (status, wrong, 0)


def test_an_interruption_ends_what_runs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    started = tmp_path / "unit" / "started"
    scripted(monkeypatch, "trap 'touch $1/asked; exit' TERM; touch $1/started; "
             "sleep 1000 & wait")
    monkeypatch.setattr(run, "GRACE", 20)

    def interrupt(_number: int, _frame: object) -> None:
        if started.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.run(UNIT, tmp_path / "unit")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "unit" / "asked").exists()


# --- the command -----------------------------------------------------------------------------

FAILING: set[int] = set()
INTERRUPTING: set[int] = set()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of units that were run. Those in FAILING lose a CPU."""
    numbers: list[int] = []

    def made_up(unit: Unit, folder: pathlib.Path) -> Outcome:
        if unit.number in INTERRUPTING:
            raise KeyboardInterrupt
        numbers.append(unit.number)
        folder.mkdir(parents=True, exist_ok=True)
        failing = unit.number in FAILING
        (folder / "results.json").write_text(json.dumps(results([])))
        return Outcome(unit, 66 if failing else 0, unit.kexecs, int(failing), {},
                       "CPU 1 was lost" if failing else "")

    FAILING.clear()
    INTERRUPTING.clear()
    monkeypatch.setattr(run, "run", made_up)
    monkeypatch.setattr(command, "prepare", lambda units: "key")
    return numbers


def test_a_soak_that_ends_well(ran, tmp_path, capsys) -> None:
    words = ["--kexecs", "450", "--arms", "stub", "--cpus", "4", "--out", str(tmp_path / "o"),
             "--format", f"junit:{tmp_path}/junit.xml"]
    assert command.main(words) == 0
    assert ran == [1, 2, 3, 4, 5]
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == ["stub", "5", "450", "1800", "0", "0"]
    assert "1 of 5: stub, 4 CPUs, 100 kexecs" in said.err and "again" not in said.err
    document = json.loads((tmp_path / "o" / "soak.json").read_text())
    assert (document["kexecs"], document["cpus_lost"], document["failed"]) == (450, 0, [])
    assert [unit["kexecs"] for unit in document["units"]] == [100] * 4 + [50]
    assert len(junit_cases((tmp_path / "junit.xml").read_text())) == 5
    assert command.main(words) == 0
    assert ran == [1, 2, 3, 4, 5], "each of them once"


def test_how_long_it_will_take_is_told(ran, tmp_path, capsys, monkeypatch) -> None:
    clock = iter(range(0, 100_000, 600))  # seconds: each unit takes ten minutes
    monkeypatch.setattr(command.time, "monotonic", lambda: next(clock))
    words = ["--kexecs", "300", "--arms", "stub", "--cpus", "4", "--out", str(tmp_path)]
    assert command.main(words) == 0
    said = capsys.readouterr().err
    assert [f"about {left} min left" in said for left in (20, 10, 0)] == [True] * 3


def test_a_unit_that_fails_is_named_and_run_again(ran, tmp_path, capsys) -> None:
    words = ["--kexecs", "300", "--arms", "stub", "--cpus", "4,8", "--out", str(tmp_path)]
    FAILING.add(3)
    assert command.main(words) == DIFFERS
    said = capsys.readouterr()
    assert "CPU 1 was lost" in said.err
    again = said.err.partition("again: tools/soak ")[2].splitlines()[0].split()
    assert again == ["--kexecs", "300", "--arms", "stub", "--cpus", "4,8", "--seed", "1",
                     "--unit", "3"]
    assert json.loads((tmp_path / "soak.json").read_text())["failed"] == [3]
    ran.clear()
    FAILING.clear()
    assert command.main([*again, "--out", str(tmp_path)]) == 0
    assert ran == [3]
    assert json.loads((tmp_path / "soak.json").read_text())["kexecs"] == 300
    ran.clear()
    assert command.main(words) == 0 and not ran, "it has passed meanwhile"


def test_a_soak_that_is_interrupted_goes_on(ran, tmp_path) -> None:
    words = ["--kexecs", "400", "--arms", "stub", "--out", str(tmp_path)]
    INTERRUPTING.add(3)
    with pytest.raises(KeyboardInterrupt):
        command.main(words)
    assert ran == [1, 2]
    assert json.loads((tmp_path / "soak.json").read_text())["kexecs"] == 200
    INTERRUPTING.clear()
    assert command.main(words) == 0
    assert ran == [1, 2, 3, 4]


# A soak whose second unit goes on until it is asked to end.
KILLED = """
import sys
sys.path[:0] = [{tools!r}]
from parkvmm.soak import command, run
command.prepare = lambda units: "key"
run.command = lambda unit, out: ["sh", "-c", {script!r}, "sh", str(out)]
command.main(["--kexecs", "300", "--arms", "stub", "--cpus", "4", "--out", {out!r}])
"""
UNTIL_ASKED = """
echo '{results}' >$1/results.json
case $1 in *0002)
  trap 'touch $1/asked; exit' TERM
  touch $1/started
  sleep 1000 & wait
esac
"""


def wait_for(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"waited 60 s for {path}"
        time.sleep(0.01)


def test_a_soak_that_is_killed_leaves_nothing_that_runs_and_goes_on(ran, tmp_path) -> None:
    script = UNTIL_ASKED.replace("{results}", json.dumps(results([KEXEC] * 100)))
    with subprocess.Popen([sys.executable, "-c", KILLED.format(
            tools=str(ROOT / "tools"), script=script, out=str(tmp_path))]) as soak:
        wait_for(tmp_path / "0002" / "started")
        soak.kill()
    wait_for(tmp_path / "0002" / "asked")
    assert json.loads((tmp_path / "soak.json").read_text())["kexecs"] == 100
    assert command.main(["--kexecs", "300", "--arms", "stub", "--cpus", "4", "--out",
                         str(tmp_path)]) == 0
    assert ran == [2, 3]


def test_what_was_run_with_other_code_counts_no_more(ran, tmp_path, monkeypatch) -> None:
    words = ["--kexecs", "200", "--arms", "stub", "--out", str(tmp_path)]
    assert command.main(words) == 0
    monkeypatch.setattr(command, "prepare", lambda units: "another")
    assert command.main(words) == 0
    assert ran == [1, 2, 1, 2]
    (tmp_path / "0001.json").write_text("{")
    (tmp_path / "0002.json").write_text("{}")
    assert command.main(words) == 0
    assert ran == [1, 2, 1, 2, 1, 2]
    assert command.main([*words, "--seed", "2"]) == 0
    assert ran[6:] == [1, 2]


def test_two_soaks_do_not_write_to_one_folder(ran, tmp_path) -> None:
    words = ["--kexecs", "100", "--arms", "stub", "--out", str(tmp_path)]
    with locks.alone_in(tmp_path, "tools/soak"):
        with pytest.raises(Failure, match=f"another tools/soak writes to {tmp_path}; wait for it, "
                           "or say --out for another folder") as caught:
            command.main(words)
    assert caught.value.status == TRY_LATER and not ran
    assert command.main(words) == 0


def test_a_unit_there_is_not_is_told(ran, tmp_path) -> None:
    with pytest.raises(Failure, match="--unit 3: this soak has 2") as caught:
        command.main(["--kexecs", "200", "--arms", "stub", "--unit", "3", "--out", str(tmp_path)])
    assert caught.value.status == USAGE and not ran


def test_where_nothing_can_be_written_nothing_runs(ran, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot write") as caught:
        command.main(["--out", str(tmp_path / "file" / "o")])
    assert caught.value.status == OUTPUT_LOST and not ran


def test_a_format_that_is_lost_has_a_status(ran, tmp_path) -> None:
    words = ["--kexecs", "100", "--arms", "stub", "--out", str(tmp_path)]
    assert command.main([*words, "--format", "tap:/dev/full"]) == OUTPUT_LOST


def test_the_program_says_its_mistakes_before_any_setup(tmp_path) -> None:
    done = subprocess.run([ROOT / "tools/soak", "--arms", "boats"], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60, check=False,
                          env=os.environ | {"PARKVMM_OFFLINE": "1"})
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "no arm 'boats'" in done.stderr and "setup" not in done.stderr
