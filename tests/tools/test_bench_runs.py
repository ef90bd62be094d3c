# SPDX-License-Identifier: Apache-2.0
"""tools/bench from its words to its files, with runs that are made up."""

import dataclasses
import json
import os
import pathlib
import re

import pytest
from bench_results import GROUP, plan_of, unit
from case_readers import junit_cases
from parkvmm import locks
from parkvmm.bench import (analysis, command, export, hazards, markdown, plan, results,
                           runner, unit_cases)
from parkvmm.cases.cases import Case, Suite
from parkvmm.failure import DIFFERS, OUTPUT_LOST, TRY_LATER, UNAVAILABLE, USAGE, Failure
from parkvmm.guest import arms, kernel_file
from parkvmm.paths import IMAGE

VIRTUAL = runner.Clock(virtual=True, native=False)
NATIVE = runner.Clock(virtual=False, native=True)


def unit_of(**fields: object) -> plan.Unit:
    usual = plan.parse(plan_of(GROUP)).units[0]
    return dataclasses.replace(usual, **fields)


# --- units and plans -----------------------------------------------------------------

@pytest.mark.parametrize("fields, name", [
    ({}, "stop-4cpu"), ({"host_cpus": 4}, "stop-4cpu"), ({"host_cpus": 2}, "stop-4cpu-on2"),
    ({"firmware": "off=1ms,on=2ms"}, "stop-4cpu-off1ms-on2ms"),
    ({"psci": "kvm"}, "stop-4cpu-psci-kvm"),
    ({"variant": "64k"}, "stop-4cpu-64k"), ({"kernel": "/a/b c/Image"}, "stop-4cpu-b-c-Image"),
    ({"kernel": "debian:7.3"}, "stop-4cpu-debian-7.3"), ({"memory": "2G"}, "stop-4cpu-2G")])
def test_a_units_name_has_what_is_unusual(fields: dict, name: str) -> None:
    assert unit_of(**fields).id == name


@pytest.mark.parametrize("more, words", [
    ({"warmup": -1}, "warmup is -1"), ({"cycles": "5"}, "cycles is '5'"),
    ({"cpus": [0]}, "0 CPUs; a number"), ({"host_cpus": [513]}, "513 CPUs; a number"),
    ({"kernels": ["debian:7"]}, "is no kernel's name"), ({"arms": "stop"}, "wants a list")])
def test_a_group_that_makes_no_sense_is_refused(more: dict, words: str) -> None:
    with pytest.raises(Failure, match=words):
        plan.parse(plan_of(GROUP | more))


def test_a_group_may_be_small() -> None:
    one, = plan.parse(plan_of(GROUP | {"cycles": 1, "warmup": 0, "cpus": [1]})).units
    assert (one.cycles, one.warmup, one.kexecs, one.cpus) == (1, 0, 1, 1)
    usual = plan.parse(plan_of(GROUP))
    assert (usual.seed, usual.rounds, usual.question) == (1, 1, "")
    assert (usual.units[0].cycles, usual.units[0].warmup) == (5, 1)
    with pytest.raises(Failure, match="'name' is missing"):
        plan.parse(plan_of(GROUP) | {"name": ""})


def test_a_plan_is_a_file_or_a_name(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(plan_of(GROUP)))
    assert plan.load(str(file)).name == "test"
    assert plan.is_plan(str(tmp_path / "no.json")) and plan.is_plan("rutland")
    file.rename(tmp_path / "Image")
    assert not plan.is_plan(str(tmp_path / "Image")) and not plan.is_plan("debian:7.3")
    with pytest.raises(Failure, match="no plan of that name; there are: .*rutland"):
        plan.load("no-such-plan")
    file.write_text("{")
    with pytest.raises(Failure, match="mine.json is no JSON: Expecting"):
        plan.load(str(file))


# --- what is run ----------------------------------------------------------------------

def words_of(fields: dict, clock: runner.Clock = VIRTUAL) -> str:
    return " ".join(runner.command(unit_of(arm="stock", **fields), clock, pathlib.Path("/out")))


def test_a_run_is_a_guest_in_a_host_of_its_size() -> None:
    line = words_of({})
    assert line.startswith("tools/arm64-host --deterministic --emulated --cpus 4 --memory 4G "
                           "--out /out --timeout 1428s -- vmm run --cpus 4 --memory 1G ")
    assert "--park host " in line and "park.cycles=6 " in line + " " and "park.steps" not in line
    assert "--firmware" not in line and "--label" not in line
    assert line.endswith(f"initramfs-stock.cpio {IMAGE.relative_to(runner.ROOT)}")
    assert "--memory 4G" in words_of({"cpus": 64}) and "--memory 6G" in words_of({"cpus": 65})
    assert "--firmware off=1ms " in words_of({"firmware": "off=1ms"})
    assert "--psci kvm --park off" in words_of({"psci": "kvm"})
    assert words_of({}, dataclasses.replace(NATIVE, label="kvm")).endswith(" --label kvm")


def test_steps_are_traced_by_kernels_that_can() -> None:
    words = " ".join(runner.vmm_words(unit_of(arm="hotplug", variant="trace")))
    assert "park.steps kexec_teardown=hotplug" in words
    assert "park.steps" not in " ".join(runner.vmm_words(unit_of(arm="stock", variant="trace")))


def test_wall_clock_hosts_have_no_more_cpus_than_there_are(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert [runner.host_cpus(unit_of(cpus=cpus), NATIVE) for cpus in (1, 2, 3)] == [1, 2, 2]
    assert runner.host_cpus(unit_of(host_cpus=8), NATIVE) == 8
    assert runner.host_cpus(unit_of(), VIRTUAL) == 4
    assert runner.host_cpus(unit_of(host_cpus=8), VIRTUAL) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert runner.host_cpus(unit_of(), NATIVE) == 1


def test_the_emulator_is_named_by_version_and_content(tmp_path, monkeypatch) -> None:
    emulator = runner.emulator.__wrapped__
    assert emulator(NATIVE) is None
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(runner, "QEMU", "qemu-of-this-test")
    monkeypatch.setattr(runner, "HOST_KERNEL", tmp_path / "kernel")
    with pytest.raises(Failure, match="qemu-of-this-test is not installed") as caught:
        emulator(VIRTUAL)
    assert caught.value.status == UNAVAILABLE
    (tmp_path / "kernel").write_text("kernel")
    program = tmp_path / "qemu-of-this-test"
    program.write_text("#!/bin/sh\necho version 7.2\necho more\n")
    program.chmod(0o755)
    found = emulator(VIRTUAL)
    assert found and found["version"] == "version 7.2"
    assert found["sha256"] == runner.digest(program) != found["kernel_sha256"]
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Failure, match="qemu-of-this-test does not run: ") as caught:
        emulator(VIRTUAL)
    assert caught.value.status == UNAVAILABLE


def test_a_run_is_done_again_if_anything_differs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runner, "emulator", lambda clock: {"version": str(clock.native)})
    monkeypatch.setattr(runner, "digest", lambda path: content.get(path, "x"))
    content: dict[pathlib.Path, str] = {}
    first = runner.key(runner.Run(unit_of(), 0), VIRTUAL)
    assert runner.key(runner.Run(unit_of(), 0), VIRTUAL) == first
    others = [runner.key(runner.Run(unit_of(), 1), VIRTUAL),
              runner.key(runner.Run(unit_of(cpus=8), 0), VIRTUAL),
              runner.key(runner.Run(unit_of(), 0), NATIVE)]
    for path in (runner.VMM, runner.HOST, *runner.files(unit_of()),
                 runner.TOOLS / "parkvmm/process.py", runner.TOOLS / "parkvmm/host/init"):
        content = {path: "y"}
        others.append(runner.key(runner.Run(unit_of(), 0), VIRTUAL))
    assert len({first, *others}) == 1 + len(others)


def test_rounds_have_every_unit_in_an_order_of_their_own() -> None:
    made = plan.parse(plan_of(GROUP | {"cpus": list(range(1, 9))}, rounds=2))
    names = [run.name for run in runner.order_of(made)]
    assert sorted(names) == sorted(f"stop-{cpus}cpu-{number}" for cpus in range(1, 9)
                                   for number in range(2))
    assert all(name.endswith("-0") for name in names[:8])
    assert [name[:-2] for name in names[:8]] != [name[:-2] for name in names[8:]]
    assert [run.name for run in runner.order_of(made)] == names


def test_the_time_left_is_by_the_work_that_is_left(monkeypatch) -> None:
    """A boot and each kexec cost 4 and the CPUs: here 7 x 8, 7 x 12 and 7 x 4."""
    said: list[str] = []
    now = iter((100.0, 6100.0, 7000.0))
    monkeypatch.setattr(runner, "say", said.append)
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(now))
    one, two, three = (runner.Run(unit_of(cpus=cpus), 0) for cpus in (4, 8, 0))
    progress = runner.Progress([one, two, three])
    progress.skip(three)
    progress.end(one, "done")
    progress.end(two, "FAILED")
    assert said == ["1 of 2: stop-4cpu-0: done; about 150 min left", "2 of 2: stop-8cpu-0: FAILED"]


@pytest.mark.parametrize("script, status, said", [
    ("exit 0", 0, "done"), ("echo one >&2; echo two >&2; exit 3", 3, "FAILED, exit status 3: two"),
    ("kill -9 $$", 137, "FAILED, exit status 137: nothing was said")])
def test_a_run_leaves_its_status_and_what_it_said(tmp_path, monkeypatch, script, status, said,
                                                  ) -> None:
    monkeypatch.setattr(runner, "command", lambda unit, clock, out: [
        "sh", "-c", f"echo out; {script}"])
    monkeypatch.setattr(runner, "key", lambda run, clock: "the key")
    made = runner.Runner(plan.parse(plan_of(GROUP)), VIRTUAL, tmp_path, 1)
    run = runner.Run(unit_of(), 0)
    assert made.folder(run) == tmp_path / "runs/stop-4cpu-0"
    for _ in range(2):  # What an earlier one left is gone.
        assert made.run(run) == said
        assert (made.folder(run) / "status").read_text() == f"{status}\n"
        assert (made.folder(run) / "console.log").read_text() == "out\n"
        assert made.is_done(run) == (status == 0)
        assert not (made.folder(run) / "old").exists()
        (made.folder(run) / "old").touch()


def test_runs_that_are_there_are_counted(tmp_path, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(runner, "say", said.append)
    monkeypatch.setattr(runner, "command", lambda unit, clock, out: ["true"])
    monkeypatch.setattr(runner, "key", lambda run, clock: run.name)
    few, more = (plan.parse(plan_of(GROUP | {"cpus": cpus})) for cpus in ([1, 2], [1, 2, 3]))
    runner.Runner(few, VIRTUAL, tmp_path, 1).run_all()
    assert [text for text in said if "already" in text] == []
    said.clear()
    runner.Runner(more, VIRTUAL, tmp_path, 1).run_all()
    assert said == ["2 of 3 runs are there already", "stop-3cpu-0 begins",
                    "1 of 1: stop-3cpu-0: done"]


def test_two_measurements_do_not_write_to_one_folder(tmp_path) -> None:
    made = runner.Runner(plan.parse(plan_of(GROUP)), VIRTUAL, tmp_path, 1)
    with locks.alone_in(tmp_path, "tools/bench"):
        with pytest.raises(Failure, match=f"another tools/bench writes to {tmp_path}; wait") as why:
            made.run_all()
    assert why.value.status == TRY_LATER


def test_a_run_that_does_not_end_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runner, "command", lambda unit, clock, out: ["sleep", "300"])
    monkeypatch.setattr(runner, "host_deadline", lambda kexecs, cpus: -119.9)
    made = runner.Runner(plan.parse(plan_of(GROUP)), VIRTUAL, tmp_path, 1)
    assert "FAILED, exit status 124: bench: gave up after 0." in made.run(
        runner.Run(unit_of(), 0))


def test_what_a_plan_needs_is_built_first(monkeypatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(arms, "build", lambda *words: done.append(words))
    monkeypatch.setattr(arms, "prepare", done.append)
    runner.prepare(plan.parse(plan_of(GROUP | {"cpus": [1, 2]})))
    assert done == [("tools/setup", "--quiet"), ("tools/build", "arm64"),
                    {("stop", "default", "")}]


# --- what the runs left ----------------------------------------------------------------

def kexec_of(total: int | None) -> dict:
    return {"total_ns": total, "cpus": 4}


def left(folder: pathlib.Path, *totals: int | None, status: int = 0, version: int = 2,
         boot: int = 7) -> pathlib.Path:
    folder.mkdir()
    (folder / "status").write_text(f"{status}\n")
    (folder / "results.json").write_text(json.dumps({
        "schema_version": version, "kexecs": [kexec_of(total) for total in totals],
        "label": "kvm", "label_insisted": False, "unlocked": [], "tool": "t", "host": "h",
        "guest": "g", "boots": [{"total_ns": boot}, {"total_ns": 1}],
        "stop": {"id": "stopped" if status else None},
        "diagnoses": [{"id": "cpus-lost"}, {"id": "stopped"}] if status else []}))
    return folder


def test_a_unit_has_the_samples_of_all_its_rounds_but_not_the_warm_up(tmp_path) -> None:
    folders = [left(tmp_path / "0", 1, 2, 3, boot=7), left(tmp_path / "1", 4, 5, 6, boot=8)]
    found = results.read_unit(unit_of(cycles=2, warmup=1), folders)
    assert [sample["total_ns"] for sample in found["samples"]] == [2, 3, 5, 6]
    assert found["failures"] == [] and found["run"]["boot_ns"] == 7
    assert found["run"]["label"] == "kvm" and found["host_cpus"] == 4
    assert results.read_unit(unit_of(host_cpus=8), folders)["host_cpus"] == 8


def test_what_went_wrong_is_kept_with_the_unit(tmp_path) -> None:
    folders = [left(tmp_path / "0", 1, None, 3, status=20), tmp_path / "nothing"]
    found = results.read_unit(unit_of(cycles=2, warmup=0), folders)
    assert [sample["total_ns"] for sample in found["samples"]] == [1, 3]
    assert found["failures"] == ["exit status 20: stopped; cpus-lost", "no results",
                                 "2 samples of 4"]
    with pytest.raises(Failure, match="has format 1, and this parkvmm reads format 2"):
        results.read_unit(unit_of(), [left(tmp_path / "2", 1, version=1)])


# --- the command -----------------------------------------------------------------------

class Runs:
    """Stands for runner.Runner; its runs are results of bench_results."""

    units: list[dict] = []
    failure: Failure | None = None
    made: list[tuple] = []

    def __init__(self, plan_: plan.Plan, clock: runner.Clock, out: pathlib.Path, jobs: int):
        self.made.append((plan_, clock, out, jobs))

    def run_all(self) -> None:
        if self.failure:
            raise self.failure

    def collect(self, read: object) -> list:
        if read is results.read_unit:
            return self.units
        assert read is unit_cases.suite_of
        return [Suite(each["id"], (Case("boot"),), each["run"]["label"]) for each in self.units]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> type[Runs]:
    monkeypatch.setattr(Runs, "units", [unit("stop", [100, 120])])
    monkeypatch.setattr(Runs, "failure", None)
    monkeypatch.setattr(Runs, "made", [])
    monkeypatch.setattr(runner, "Runner", Runs)
    monkeypatch.setattr(runner, "prepare", lambda plan_: None)
    monkeypatch.setattr(runner, "emulator", lambda clock: None)
    monkeypatch.setattr(runner, "can_be_native", lambda: False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    return Runs


def test_a_measurement_writes_every_format(runs, tmp_path, capsys) -> None:
    out = tmp_path / "deep/out"
    assert command.main(["--arms", "stop", "--out", str(out)]) == 0
    made, clock, folder, jobs = runs.made[0]
    assert (clock, folder, jobs) == (VIRTUAL, out, 3)
    assert made.name == "adhoc" and made.units[0].cpus == 8 and made.units[0].cycles == 5
    assert sorted(path.name for path in out.iterdir()) == [
        "google-benchmark.json", "result.json", "samples.csv", "trace.json"]
    result = results.load(out / "result.json")
    assert result["units"] == runs.units
    assert (out / "samples.csv").read_text() == export.csv_text(result)
    assert json.loads((out / "trace.json").read_text()) == export.trace(result)
    assert json.loads((out / "google-benchmark.json").read_text()) == export.google_benchmark(
        result)
    said = capsys.readouterr()
    assert said.out.startswith("## adhoc: medians") and "warning" not in said.err
    assert f"label kvm-on-tcg-icount; everything: {out}/" in said.err


def test_a_unit_that_failed_and_an_interrupt_are_its_status(runs, tmp_path, capsys) -> None:
    runs.units = [unit("stop", [100]) | {"failures": ["no results", "1 samples of 2"]}]
    words = ["--arms", "stop", "--out", str(tmp_path)]
    assert command.main(words) == DIFFERS
    assert "bench: stop-4cpu: no results; 1 samples of 2\n" in capsys.readouterr().err
    (tmp_path / "result.json").unlink()
    runs.failure = Failure(130, "interrupted")
    with pytest.raises(Failure, match="interrupted"):
        command.main(words)
    assert (tmp_path / "result.json").exists()


def test_formats_have_a_case_for_what_is_missing_and_for_each_gate(runs, tmp_path, capsys) -> None:
    runs.units = [unit("stop", [100, 300]), unit("hotplug", [5]) | {"failures": ["no results"]}]
    words = ["--arms", "stop", "--out", str(tmp_path / "out"), "--max", "down=200ns",
             "--format", f"junit:{tmp_path}/j.xml", "--format", "text"]
    assert command.main(words) == DIFFERS
    assert junit_cases((tmp_path / "j.xml").read_text()) == {
        "stop-4cpu": {"boot": "passed", "down at most 0.000 ms": "failed too-slow"},
        "hotplug-4cpu": {"boot": "passed", "samples": "failed samples-missing",
                         "down at most 0.000 ms": "passed"}}
    said = capsys.readouterr()
    assert said.out.endswith("3 passed, 2 failed\n")
    assert "bench: stop-4cpu: down took up to 0.000 ms, 0.000 ms more than --max" in said.err
    runs.units = [unit("stop", [100])]
    assert command.main(words) == 0


def test_an_earlier_result_is_a_baseline(runs, tmp_path, capsys) -> None:
    words = ["--arms", "stop", "--out"]
    assert command.main([*words, str(tmp_path / "old")]) == 0
    baseline = ["--baseline", str(tmp_path / "old/result.json")]
    assert command.main([*words, str(tmp_path / "new"), *baseline]) == 0
    runs.units = [unit("stop", [200, 220])]
    assert command.main([*words, str(tmp_path / "new"), *baseline]) == DIFFERS
    assert "stop-4cpu: the median of down is" in capsys.readouterr().err
    assert command.main([*words, str(tmp_path / "new"), *baseline, "--margin", "100"]) == 0


def test_a_format_that_cannot_be_written_is_74_unless_a_run_failed(runs, tmp_path, capsys) -> None:
    words = ["--arms", "stop", "--out", str(tmp_path), "--format", "tap:/dev/full"]
    assert command.main(words) == OUTPUT_LOST
    assert "bench: cannot write --format tap:/dev/full: No space left" in capsys.readouterr().err
    runs.units = [unit("stop", [100]) | {"failures": ["no results"]}]
    assert command.main(words) == DIFFERS


def test_a_shard_without_units_has_formats_without_cases(runs, tmp_path) -> None:
    assert command.main(["--arms", "stop", "--shard", "2/2", "--format",
                         f"junit:{tmp_path}/j.xml"]) == 0
    assert junit_cases((tmp_path / "j.xml").read_text()) == {}


def test_a_unit_has_the_cases_of_all_its_rounds(tmp_path) -> None:
    for number, status in ((0, "0\n"), (1, "70\n")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "status").write_text(status)
    (tmp_path / "0/results.json").write_text(json.dumps({
        "label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": [
            {"name": "boot", "outcome": "passed", "ns": 1, "id": None, "message": None,
             "details": []}]}))
    suite = unit_cases.suite_of(unit_of(), [tmp_path / "0", tmp_path / "1", tmp_path / "2"])
    assert [(case.name, case.outcome) for case in suite.cases] == [
        ("round 1, boot", "passed"), ("round 2, end", "broken"), ("round 3, end", "skipped")]
    assert (suite.name, suite.label) == (unit_of().id, "kvm")
    alone = unit_cases.suite_of(unit_of(), [tmp_path / "0"])
    assert [case.name for case in alone.cases] == ["boot"]
    assert unit_cases.with_failures(suite, ["no results"]) == suite
    assert unit_cases.verdict("p", [suite, alone]) == (
        f"p: 1 of 2 units went well; not {suite.name}")


def test_options_make_a_plan(runs, tmp_path) -> None:
    command.main(["--arms", "stop,hotplug", "--cpus", "2,4", "--firmware", "none off=1ms",
                  "--psci", "vmm,kvm", "--cycles", "9", "--out", str(tmp_path), "--jobs", "2"])
    made, _, _, jobs = runs.made[0]
    assert jobs == 2 and len(made.units) == 2 * 2 * 2 * 2
    assert {each.cycles for each in made.units} == {9}
    assert {each.psci for each in made.units} == {"vmm", "kvm"}
    command.main(["rutland", "--cycles", "2", "--out", str(tmp_path)])
    assert {each.cycles for each in runs.made[1][0].units} == {2}
    command.main(["rutland", "--out", str(tmp_path)])
    assert runs.made[2][0] == plan.load("rutland")


def test_a_dry_run_only_prints_names(runs, capsys) -> None:
    assert command.main(["--arms", "stop", "--cpus", "2", "--dry-run"]) == 0
    assert capsys.readouterr().out == "stop-2cpu-0\n" and not runs.made


@pytest.mark.parametrize("native, given, clock, jobs", [
    (False, [], VIRTUAL, 3), (True, [], NATIVE, 1), (True, ["--emulated"], VIRTUAL, 3),
    (False, ["--wall-clock"], runner.Clock(virtual=False, native=False), 1),
    (True, ["--label", "kvm"], dataclasses.replace(NATIVE, label="kvm"), 1)])
def test_time_is_virtual_unless_the_machine_or_the_user_wants(
        runs, monkeypatch, tmp_path, native, given, clock, jobs) -> None:
    monkeypatch.setattr(runner, "can_be_native", lambda: native)
    command.main(["--arms", "stop", "--out", str(tmp_path), *given])
    assert runs.made[0][1] == clock and runs.made[0][3] == jobs


def test_wall_clock_runs_one_at_a_time_and_is_warned_of(runs, tmp_path, monkeypatch,
                                                        capsys) -> None:
    words = ["--arms", "stop", "--cpus", "4,8", "--cycles", "3", "--out", str(tmp_path),
             "--wall-clock"]
    with pytest.raises(Failure, match="--jobs: only in virtual time") as caught:
        command.main([*words, "--jobs", "2"])
    assert caught.value.status == USAGE
    monkeypatch.setattr(hazards, "find", lambda *given: [f"found {given}"])
    monkeypatch.setattr(hazards, "seen", lambda result: ["seen"])
    command.main([*words, "--jobs", "1"])
    said = capsys.readouterr().err
    assert "warning: found (8, 3, False)" in said and "warning: seen" not in said
    monkeypatch.setattr(runner, "can_be_native", lambda: True)
    command.main(words[:-1])
    assert "bench: warning: seen\n" in capsys.readouterr().err


def test_nothing_to_measure_and_a_kernel_that_cannot_are_refused(runs, tmp_path, monkeypatch,
                                                                 ) -> None:
    with pytest.raises(Failure, match="a plan, kernels or --arms are wanted"):
        command.main([])
    kernel = tmp_path / "Image"
    kernel.write_text("kernel")
    monkeypatch.setattr(kernel_file, "complaint", lambda path: f"is bad: {path.name}")
    with pytest.raises(Failure, match=re.escape(f"{kernel} is bad: Image")) as caught:
        command.main([str(kernel), "--out", str(tmp_path / "out")])
    assert caught.value.status == USAGE and not runs.made
    monkeypatch.setattr(kernel_file, "complaint", lambda path: "")
    command.main([str(kernel), "--out", str(tmp_path / "out")])
    assert {each.arm for each in runs.made[0][0].units} == {"stock"}


# --- arithmetic ------------------------------------------------------------------------

def test_shares_of_a_fit_are_of_its_largest() -> None:
    assert analysis.Fit("a", "down", (6, 2, 1), 2).shares == pytest.approx(
        (6 / 14, 4 / 14, 4 / 14))


def test_a_cpus_cost_is_of_samples_that_show_it() -> None:
    both, half = unit("stop", [1200, 1200])["samples"]
    both["split_ns"]["up"]["vmm"] = 60
    half["split_ns"]["up"] = None
    found = unit("stop", []) | {"samples": [both, half]}
    assert analysis.vmm_ns_per_cpu(found) == (300 + 60) / 3
    assert analysis.split(found, "up") is None and analysis.split(found, "down")


def test_intervals_are_tabled_where_there_are_several() -> None:
    one = unit("stop", [1])
    one["samples"][0]["per_cpu"] = [
        {"kernel_before_off_ns": gap, "called_ns": called}
        for gap, called in ((1_000_000, 5), (3_000_000, 2_000_005), (None, None))]
    rows = markdown.intervals_table([one, unit("hotplug", [1])]).splitlines()[2:]
    assert rows == ["| `stop-4cpu` | down | 2.000 | 1.000 | 3.000 |"]


def test_shares_are_tabled_where_they_were_seen() -> None:
    one, two = unit("stop", [4_000_000]), unit("hotplug", [4_000_000])
    one["samples"][0]["split_ns"]["up"] = None
    two["samples"][0]["split_ns"]["up"] = {"firmware": 0, "vmm": 200_000, "polling": 0,
                                           "kernel": 600_000}
    two["samples"][0]["per_cpu"] = [{"vmm_off_ns": 1000, "vmm_on_ns": 500}]
    rows = markdown.split_table([one, two]).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| `stop-4cpu`", "down"], ["| `hotplug-4cpu`", "down"], ["| `hotplug-4cpu`", "up"]]
    assert "| 1.000 (25%) | 0.000 (0%) | 3.000 (75%) |  |  |" in rows[0]
    assert rows[2].endswith("| 0.200 (25%) | 0.000 (0%) | 0.600 (75%) | 400.0 | 1.5 |")


def test_steps_are_tabled_by_cpu_and_by_share() -> None:
    one = unit("hotplug", [1000], cpus=5)
    one["samples"][0]["steps_ns"] = {"up": {}, "down": {"1": {"a": 3_000_000, "b": 1_000_000}}}
    assert markdown.steps_table([one]).splitlines()[2:] == [
        "| `hotplug-5cpu` | down | `a` | 3.000 | 750.0 | 75% |",
        "| `hotplug-5cpu` | down | `b` | 1.000 | 250.0 | 25% |"]


def test_times_that_touch_are_one_time() -> None:
    assert export.merged([(5, 6), (1, 3), (3, 4), (2, 2), (10, 12), (10, 11)]) == [
        [1, 4], [5, 6], [10, 12]]


def test_a_benchmark_has_no_repetition_of_what_was_not_seen() -> None:
    one = unit("stop", [100, 120])
    one["samples"][0]["phase_ns"]["down"] = None
    found = [(each["repetition_index"], each["repetitions"], each["real_time"])
             for each in export.google_benchmark({"label": "x", "units": [one]})["benchmarks"]
             if each["name"] == "down/stop-4cpu"]
    assert found == [(1, 2, 120)]
