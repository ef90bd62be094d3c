# SPDX-License-Identifier: Apache-2.0
"""The bench: plans, results and what they are turned into. And a measurement,
from the command to the files. What a kexec's samples hold: test_attribution.py."""

import concurrent.futures
import csv
import hashlib
import io
import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import arm64_host
import bench_results
import numpy
import pytest
from bench_results import GROUP, plan_of, result_of, unit
from parkvmm.bench import (analysis, effects, export, figures, hazards, markdown, plan, processes,
                           results, runner, statistics)
from parkvmm.failure import Failure
from parkvmm.guest.arms import take
from parkvmm.report import short

ROOT = pathlib.Path(__file__).resolve().parents[2]


# --- plans -------------------------------------------------------------------

def test_a_plan_is_a_product_of_its_axes() -> None:
    parsed = plan.parse(plan_of(
        GROUP | {"cpus": [4, 32], "host_cpus": [0, 8], "firmware": ["none", "off=1ms,on=2ms"]}))
    assert [unit.id for unit in parsed.units][:4] == [
        "stop-4cpu", "stop-4cpu-off1ms-on2ms", "stop-4cpu-on8", "stop-4cpu-on8-off1ms-on2ms"]
    assert len(parsed.units) == 8


@pytest.mark.parametrize("document, words", [
    (plan_of(GROUP | {"arms": ["halt"]}), "no arm 'halt'"),
    (plan_of(GROUP | {"cpus": [513]}), "a number from 1 to 512"),
    (plan_of(GROUP | {"cpus": []}), "'cpus' of a group wants a list"),
    (plan_of(GROUP | {"cpu": [4]}), "a group has 'cpu'"),
    (plan_of(GROUP | {"cycles": 0}), "a cycle at least"),
    (plan_of(GROUP, GROUP), "stop-4cpu is in it twice"),
    (plan_of(GROUP | {"kernels": ["no/Image"]}), "no kernel 'no/Image'"),
    (plan_of(GROUP | {"arms": ["module"], "kernels": [__file__]}), "no arm 'module'"),
    (plan_of(GROUP, colour="red"), "no field 'colour'"),
    (plan_of(), "'groups' is missing"),
    ({"schema_version": 2}, "schema_version 1 is wanted"),
])
def test_what_is_wrong_with_a_plan_is_said(document: dict, words: str) -> None:
    with pytest.raises(Failure, match=words) as caught:
        plan.parse(document)
    assert caught.value.status == 2


def test_kernels_of_the_users_take_the_place_of_ours(tmp_path, monkeypatch) -> None:
    for name in ("old/Image", "new/Image"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    units = plan.parse(plan_of(GROUP | {"kernels": ["old/Image", "new/Image"]})).units
    assert [unit.id for unit in units] == ["stop-4cpu-old-Image", "stop-4cpu-new-Image"]
    words = [runner.vmm_words(unit) for unit in units]
    sha, other = (hashlib.sha256(name).hexdigest()[:16] for name in (b"old/Image", b"new/Image"))
    assert words[0][-1] == f"build/guest/given/{sha}/Image" != words[1][-1]
    assert words[1][-2] == f"build/guest/given/{other}/initramfs.cpio"


def test_a_copied_kernel_is_whole_or_not_there(tmp_path, monkeypatch) -> None:
    given, kernel = tmp_path / "Image", tmp_path / "given/Image"
    given.write_bytes(b"kernel")

    def stops_halfway(_from, to) -> None:
        pathlib.Path(to).write_bytes(b"ker")
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr("parkvmm.guest.arms.shutil.copyfile", stops_halfway)
        with pytest.raises(OSError):
            take(str(given), kernel)
    assert not kernel.exists()
    take(str(given), kernel)
    assert kernel.read_bytes() == b"kernel"


@pytest.mark.parametrize("file", sorted(plan.PLANS.glob("*.json")), ids=lambda f: f.stem)
def test_the_plans_that_we_ship_are_good(file: pathlib.Path) -> None:
    assert plan.load(file.stem).name == file.stem


# --- results -----------------------------------------------------------------

def test_a_result_that_was_not_touched_is_taken() -> None:
    result = json.loads(json.dumps(result_of(unit("stop", [100, 120]))))
    assert results.check(result, "it") is result


def touch(result: dict, how: str) -> None:
    if how == "sample":
        result["units"][0]["samples"][0]["phase_ns"]["down"] += 1
    elif how == "field":
        del result["units"][0]["samples"][0]["phase_ns"]["up"]
    elif how == "label":
        result["label"] = "kvm"
    elif how == "label-and-sum":
        result["label"] = "kvm"
        result["sha256"] = results.digest(result)
    elif how == "negative":
        result["units"][0]["samples"][0]["total_ns"] = -1
    elif how == "unknown":
        result["units"][0]["samples"][0]["colour"] = "red"
    elif how == "version-1":
        result["schema_version"] = 1


@pytest.mark.parametrize("how, words", [
    ("sample", "was changed after it was written"),
    ("field", "'up' is a required property"),
    ("label", "was changed after it was written"),
    ("label-and-sum", "stop-4cpu has the label kvm-on-tcg-icount, and the whole kvm"),
    ("negative", "at units/0/samples/0/total_ns"),
    ("unknown", "'colour' was unexpected"),
    ("version-1", "has format 1, and this parkvmm reads format 2: measure again"),
])
def test_a_result_that_was_touched_is_refused(how: str, words: str) -> None:
    result = json.loads(json.dumps(result_of(unit("stop", [100, 120]))))
    touch(result, how)
    with pytest.raises(Failure, match=words):
        results.check(result, "it")


def test_runs_of_different_labels_make_no_result() -> None:
    with pytest.raises(Failure, match="different labels: kvm, kvm-on-tcg-icount"):
        result_of(unit("stop", [1]), unit("hotplug", [1], label="kvm"))


# --- what it says ------------------------------------------------------------

def test_intervals_run_from_one_cpu_to_the_next() -> None:
    unit_ = bench_results.measured("hotplug", 4, 50_000)
    assert analysis.intervals(unit_, "down")[:3] == [100_000, 50_000, 50_000]
    assert analysis.intervals(unit_, "up") == [450_000] * (2 * 3)


def test_the_middle_of_samples_is_their_median() -> None:
    assert analysis.middle(unit("stop", [100, 120, 9000]), "down") == 120


def test_shares_are_medians_of_each() -> None:
    unit_ = unit("stop", [100, 200, 9000])
    assert analysis.split(unit_, "down") == {
        "firmware": 0, "vmm": 50, "polling": 0, "kernel": 150}


def test_chance_is_drawn_the_same_every_time() -> None:
    cells = [[3, 17, 20, 22, 31, 46, 58], [1, 4, 9, 26, 25, 36, 49]]
    numpy.random.seed(7)
    first = statistics.permutation_p(*cells)
    numpy.random.seed(8)
    assert statistics.permutation_p(*cells) == first


def scaled(*cpus: int) -> list[dict]:
    """Units whose "down" grows with the square of the CPUs but the first."""
    return [unit("stop", [10 * (n - 1) ** 2], cpus=n) for n in cpus]


def test_a_curve_needs_four_points() -> None:
    # One CPU takes no other down. With two, down begins at the kexec mark.
    for few in ((3, 4), (3, 4, 5), (1, 2, 3, 4, 5), (8, 8, 8, 8)):
        assert analysis.fits(scaled(*few), ["down"]) == []
    fit, = analysis.fits(scaled(2, 3, 4, 5, 9), ["down"])
    assert fit.coefficients == pytest.approx((0, 0, 10), abs=1e-6)
    assert (fit.arm, fit.measure, fit.largest) == ("stop", "down", 8)


def test_a_curve_is_told_from_a_line() -> None:
    xs = [1, 3, 7, 15, 31]
    assert statistics.quadratic_fit(xs, [5 + 2 * x for x in xs]) == pytest.approx(
        (5, 2, 0), abs=1e-6)
    assert statistics.quadratic_fit(xs, [5 + 2 * x + 3 * x * x for x in xs]) == pytest.approx(
        (5, 2, 3), abs=1e-6)


def test_chance_and_difference() -> None:
    low, high = list(range(10)), list(range(100, 110))
    assert statistics.permutation_p(low, high) < 0.01
    assert statistics.permutation_p(low, low) > 0.5
    assert statistics.cliffs_delta(low, high) == 1
    assert statistics.cliffs_delta(low, low) == 0


# --- what spoils wall-clock times --------------------------------------------

def test_a_quiet_machine_has_no_hazards(tmp_path: pathlib.Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu"
    (cpu / "cpu0/cpufreq").mkdir(parents=True)
    (cpu / "cpu0/cpufreq/scaling_governor").write_text("performance\n")
    (cpu / "isolated").write_text("1-7\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("0.00 0.00 0.00 1/99 1\n")
    assert hazards.find(1, 20, native=True, root=tmp_path) == []
    (cpu / "cpu0/cpufreq/scaling_governor").write_text("schedutil\n")
    (cpu / "isolated").write_text("\n")
    (tmp_path / "proc/loadavg").write_text("999.0 0.00 0.00 1/99 1\n")
    found = " ".join(hazards.find(4096, 2, native=True, root=tmp_path))
    for words in ("governor schedutil", "no CPU is isolated", "load 999.0", "4096 vCPUs",
                  "2 samples"):
        assert words in found


def test_an_emulated_machines_wall_clock_is_warned_of() -> None:
    assert "says nothing about any machine" in hazards.find(4, 20, native=False)[0]


def test_a_host_whose_first_boots_are_slow_is_warned_of() -> None:
    document = result_of(unit("stop", [100]))
    assert "FEAT_S2FWB" in hazards.seen(document)[0]
    document["units"][0]["run"]["host"]["fwb"] = "yes"
    assert hazards.seen(document) == []


def cpu_times(ns: int | None) -> dict:
    return {"vmm_off_ns": 1, "vmm_on_ns": ns}


def test_the_median_cpu_is_not_moved_by_one_that_waited() -> None:
    slow = unit("stop", [100])
    slow["samples"][0]["per_cpu"] = [cpu_times(ns) for ns in (20, 22, 900)]
    assert analysis.vmm_ns_of_median_cpu(slow) == 23
    slow["samples"][0]["per_cpu"][1]["vmm_on_ns"] = None
    assert analysis.vmm_ns_of_median_cpu(slow) == 461


def test_what_the_vmm_takes_of_a_cpu_is_both_ways_of_all_but_the_first() -> None:
    unit_ = unit("stop", [1200])
    unit_["samples"][0]["split_ns"]["up"]["vmm"] = 60
    assert analysis.vmm_ns_per_cpu(unit_) == (300 + 60) / 3


# --- tables ------------------------------------------------------------------

def test_figures_are_milliseconds() -> None:
    assert [figures.ms(ns) for ns in (1_234_567, 0, None)] == ["1.235", "0.000", "-"]
    assert figures.of_spread(None) == "-"
    assert figures.of_spread(analysis.Spread(2e6, 1e6, 9e6, 3)) == "2.000 (1.000 to 9.000)"
    assert figures.of_spread(analysis.Spread(2e6, 2e6, 2e6, 1)) == "2.000"


def test_the_main_table_has_each_phase_in_its_column() -> None:
    phases = {name: i * 1_000_000 for i, name in enumerate(
        ("prepare", "down", "jump", "early", "up", "userspace"), 1)}
    unit_ = unit("stop", [1])
    unit_["samples"][0] |= {"phase_ns": phases, "total_ns": 21_000_000}
    assert markdown.main_table([unit_]) == (
        "| unit | samples | CPUs back | prepare, ms | down, ms | jump, ms | early, ms | up, ms | "
        "userspace, ms | total, ms |\n|---|---|---|---|---|---|---|---|---|---|\n"
        "| `stop-4cpu` | 1 | 4 of 4 | 1.000 | 2.000 | 3.000 | 4.000 | 5.000 | 6.000 | 21.000 |\n")


def test_the_effects_table_has_a_row_for_each_question() -> None:
    units = [unit("hotplug", [1_000_000, 1_200_000]), unit("stop", [100_000, 110_000]),
             unit("park-host", [104_000])]
    found = effects.effects(units)
    rows = markdown.effects_table(found, boots=1).splitlines()[2:]
    assert rows[0] == (
        "| Does stopping all CPUs at once, with CPU\\_OFF, shorten down? | 4 CPUs | `hotplug`: "
        "1.100 (1.000 to 1.200), n 2 | `stop`: 0.105 (0.100 to 0.110), n 2 | yes: 10 times "
        "shorter, in one boot |")
    assert "| `park-host`: 0.104, n 1 | no answer: a single sample |" in rows[1]
    assert "in one boot" not in markdown.effects_table(found, boots=5)
    assert markdown.effects_table([], boots=1) == ""


# --- other formats -----------------------------------------------------------

def test_the_csv_has_a_line_for_each_sample() -> None:
    text = export.csv_text(result_of(unit("stop", [100, 120])))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["down_ns"] for row in rows] == ["100", "120"]
    assert rows[0]["down_vmm_ns"] == "25"


def test_google_benchmark_gets_repetitions() -> None:
    document = export.google_benchmark(result_of(unit("stop", [100, 120])))
    down = [b for b in document["benchmarks"] if b["name"] == "down/stop-4cpu"]
    assert [b["real_time"] for b in down] == [100, 120]
    assert [b["repetition_index"] for b in down] == [0, 1]


def ns_of(span: dict) -> tuple[int, int]:
    begin = round(span["ts"] * 1000)
    return begin, begin + round(span["dur"] * 1000)


def test_spans_of_a_track_are_strictly_nested() -> None:
    sample_ = bench_results.measured("hotplug", 3, 50_000)["samples"][-1]
    spans = [e for e in export.trace_of(1, "it", sample_) if e["ph"] == "X"]
    assert {span["name"] for span in spans} >= {"kexec", "down", "parked", "leaves (vmm)"}
    for one in spans:
        for other in spans:
            if one is other or one["tid"] != other["tid"]:
                continue
            begin = max(ns_of(one)[0], ns_of(other)[0])
            end = min(ns_of(one)[1], ns_of(other)[1])
            assert end <= begin or (begin, end) in (ns_of(one), ns_of(other)), (one, other)


def test_a_trace_has_what_the_sample_has() -> None:
    sample_ = bench_results.measured("hotplug", 2, 50_000)["samples"][0]
    sample_["per_cpu"][0] |= {"firmware_off_ns": 100}
    cpu, begin = sample_["per_cpu"][0], sample_["begin_ns"]
    spans = {e["name"]: ns_of(e) for e in export.trace_of(1, "it", sample_) if e["ph"] == "X"}
    assert spans["kexec"] == (begin, begin + sample_["total_ns"])
    left, off, called, started = (begin + cpu[moment] for moment in (
        "left_ns", "off_ns", "called_ns", "started_ns"))
    assert spans["leaves (firmware)"] == (left, left + 100)
    assert spans["leaves (vmm)"] == (left + 100, off)
    assert spans["parked"] == (off, called)
    assert spans["starts (vmm)"] == (called, started)
    assert spans["down"] == (begin, off)  # One CPU leaves.
    busy = [ns_of(e) for e in export.trace_of(1, "it", sample_) if e["name"] == "busy"]
    assert busy == [(left + 100, off), (called, started)]  # The firmware model's is not ours.


# --- running ----------------------------------------------------------------

UNITS = plan.parse(plan_of(GROUP | {"cpus": [1, 2]}))


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, usual_signals: None):
    """A runner of UNITS, one at a time, whose runs are `words`."""
    def with_words(*words: str) -> runner.Runner:
        monkeypatch.setattr(runner, "command", lambda unit, clock, out: list(words))
        return runner.Runner(UNITS, runner.Clock(virtual=True, native=False), tmp_path, jobs=1)

    monkeypatch.setattr(runner, "key", lambda run, clock: run.name)
    return with_words


def test_a_run_that_failed_is_run_again(running, tmp_path) -> None:
    running("sh", "-c", "echo no such luck >&2; exit 3").run_all()
    first, *_ = runner.order_of(UNITS)
    assert not running("true").is_done(first)
    assert (tmp_path / "runs" / first.name / "status").read_text() == "3\n"
    running("true").run_all()
    assert running("true").is_done(first)


def test_a_second_interrupt_ends_what_runs(running, tmp_path, monkeypatch) -> None:
    """The first is sent by the run itself, once it runs; the second when the
    first has been heard."""
    def say(message: str) -> None:
        if message.startswith("finishing"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(runner, "say", say)
    with pytest.raises(Failure, match="goes on from here") as failed:
        running("sh", "-c", f"kill -INT {os.getpid()}; exec sleep 300").run_all()
    assert failed.value.status == 128 + signal.SIGINT
    status, = (tmp_path / "runs").glob("*/status")  # the other one never began
    assert status.read_text() == f"{128 + signal.SIGTERM}\n"


def test_the_first_interrupt_lets_what_runs_end(running, tmp_path, monkeypatch) -> None:
    """The run ends by itself once its interrupt has been heard."""
    heard = tmp_path / "heard"
    os.mkfifo(heard)

    def say(message: str) -> None:
        if message.startswith("finishing"):
            heard.write_text("yes\n")

    monkeypatch.setattr(runner, "say", say)
    with pytest.raises(Failure, match="goes on from here"):
        running("sh", "-c", f"kill -INT {os.getpid()}; read word <{heard}").run_all()
    status, = (tmp_path / "runs").glob("*/status")  # the other one never began
    assert status.read_text() == "0\n"


def test_an_interrupt_while_runs_are_submitted_is_heard(running, tmp_path, monkeypatch) -> None:
    """D9: an exception raised there left the pool waiting for ever."""
    real = concurrent.futures.ThreadPoolExecutor.submit

    def submit(pool, *arguments):
        future = real(pool, *arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return future

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", submit)
    with pytest.raises(Failure, match="goes on from here"):
        running("sleep", "300").run_all()  # two runs, two interrupts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_ends_what_runs(running, tmp_path, number) -> None:
    with pytest.raises(Failure, match="goes on from here") as failed:
        running("sh", "-c", f"kill -{number} {os.getpid()}; exec sleep 300").run_all()
    assert failed.value.status == 128 + number
    status, = (tmp_path / "runs").glob("*/status")
    assert status.read_text() == f"{128 + signal.SIGTERM}\n"


@pytest.mark.parametrize("number", processes.SIGNALS)
def test_a_signal_that_was_ignored_from_the_start_ends_nothing(running, tmp_path, number) -> None:
    """nohup lets a bench ignore SIGHUP, and a shell without job control SIGINT."""
    signal.signal(number, signal.SIG_IGN)
    running("sh", "-c", f"kill -{number} {os.getpid()}; exit 0").run_all()
    assert signal.getsignal(number) == signal.SIG_IGN
    assert [path.read_text() for path in (tmp_path / "runs").glob("*/status")] == ["0\n"] * 2


def test_what_runs_dies_with_a_bench_that_is_killed(tmp_path) -> None:
    """D5: the emulated hosts of a killed bench ran on."""
    script = ("import sys; from parkvmm.bench import processes\n"
              "processes.Processes().start(['sh', '-c', 'echo $$; exec sleep 300']).wait()\n")
    with subprocess.Popen([sys.executable, "-c", script], text=True, stdout=subprocess.PIPE,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "tools")}) as bench_process:
        assert bench_process.stdout
        pid = int(bench_process.stdout.readline())
        ended = os.pidfd_open(pid)
        bench_process.kill()
        assert select.select([ended], [], [], 60)[0], "the run lives on"


# --- a measurement -----------------------------------------------------------

on_one_worker = pytest.mark.xdist_group("measured")  # or each would measure for itself


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    arm64_host.require()
    out = tmp_path_factory.mktemp("bench")
    bench(out)
    return out


def words_of(out: pathlib.Path, cpus: str = "2") -> list[str]:
    return ["tools/bench", "--arms", "stock", "--cpus", cpus, "--cycles", "1", "--jobs", "1",
            "--out", str(out)]


def bench(out: pathlib.Path, cpus: str = "2") -> str:
    done = subprocess.run(words_of(out, cpus), cwd=ROOT, capture_output=True, text=True,
                          timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.long
def test_an_interrupted_measurement_goes_on_to_the_same_bytes(tmp_path, usual_signals) -> None:
    arm64_host.require()
    whole, out = tmp_path / "whole", tmp_path / "out"
    bench(whole, "1,2")
    with subprocess.Popen(words_of(out, "1,2"), cwd=ROOT, stdout=subprocess.DEVNULL, text=True,
                          stderr=subprocess.PIPE) as running:
        assert running.stderr
        for line in running.stderr:
            if line.endswith(" begins\n"):
                running.send_signal(signal.SIGINT)
                break
        said = running.stderr.read()
        assert running.wait(timeout=300) == 130, said
    assert "finishing what runs" in said and "goes on from here" in said
    units = results.load(out / "result.json")["units"]
    assert sorted(len(unit_["samples"]) for unit_ in units) == [0, 1]
    assert "1 of 2 runs are there already" in bench(out, "1,2")
    for name in ("result.json", "samples.csv", "trace.json", "google-benchmark.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@on_one_worker
def test_what_is_measured_adds_up(measured: pathlib.Path) -> None:
    result = results.load(measured / "result.json")
    only, = result["units"]
    if result["label"] == "kvm-on-tcg-icount":
        assert "QEMU" in result["emulator"]["version"]
    assert (only["id"], len(only["samples"]), only["failures"]) == ("stock-2cpu", 1, [])
    sample_, = only["samples"]
    assert sample_["total_ns"] > 0
    for name, ns in sample_["phase_ns"].items():
        if ns is None:  # Of two CPUs the first to leave is the last.
            assert (name, sample_["split_ns"][name]) == ("prepare", None)
        else:
            assert sum(sample_["split_ns"][name].values()) == ns


@on_one_worker
def test_what_is_there_is_not_measured_again(measured: pathlib.Path) -> None:
    before = (measured / "result.json").read_bytes()
    assert "1 of 1 runs are there already" in bench(measured)
    assert (measured / "result.json").read_bytes() == before


# --- comparing ---------------------------------------------------------------

def compare(tmp_path: pathlib.Path, old: dict, new: dict,
            *words: str) -> subprocess.CompletedProcess:
    for name, result in (("old", old), ("new", new)):
        results.save(result, tmp_path / f"{name}.json")
    return subprocess.run(
        ["tools/compare", str(tmp_path / "old.json"), str(tmp_path / "new.json"), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("downs, status, words", [
    ([100, 120], 0, "no difference, to the ns"),
    ([101, 121], 0, "| exact |"),
    ([200, 220], 1, "is 90.9 % longer; at most 5 % is allowed"),
    ([20, 30], 0, "-77.3 %"),
    ([104, 125], 0, "+4.1 %"),
    ([106, 126], 1, "is 5.5 % longer; at most 5 % is allowed"),
])
def test_virtual_time_is_compared_exactly(tmp_path, downs, status, words) -> None:
    done = compare(tmp_path, result_of(unit("stop", [100, 120])),
                   result_of(unit("stop", downs)), "--measures", "down")
    assert done.returncode == status
    assert words in done.stdout + done.stderr


@pytest.mark.parametrize("percent, status", [("30", 0), ("19.9", 1)])
def test_the_threshold_is_the_users(tmp_path, percent, status) -> None:
    done = compare(tmp_path, result_of(unit("stop", [100])), result_of(unit("stop", [120])),
                   "--measures", "down", "--threshold", percent)
    assert done.returncode == status


def test_packages_that_took_the_place_of_locked_ones_are_named(tmp_path) -> None:
    locked, other = unit("stop", [100, 120]), unit("stop", [100, 120])
    other["run"] |= {"unlocked": ["linux-image 6.12.118"]}
    told = compare(tmp_path, result_of(locked), result_of(other))
    assert told.stderr.count("linux-image 6.12.118") == 1
    assert "linux-image 6.12.118" in short.markdown(result_of(other))
    assert "packages.lock" not in short.markdown(result_of(locked))


def test_hardware_is_not_compared_with_a_virtual_machine_unless_the_user_insists(tmp_path) -> None:
    hardware = result_of(unit("stop", [100, 120], label="kvm"))
    virtual = unit("stop", [100, 120], label="kvm-on-vm")
    refused = compare(tmp_path, hardware, result_of(virtual))
    assert refused.returncode == 1
    assert "labels differ, kvm and kvm-on-vm" in refused.stderr
    virtual["run"] |= {"label": "kvm", "label_insisted": True}
    told = compare(tmp_path, hardware, result_of(virtual))
    assert told.returncode == 0
    assert told.stderr.count("the user insisted on the label kvm") == 1
    assert "insisted on this label" in short.markdown(result_of(virtual))
    assert "insisted" not in short.markdown(hardware)


def test_wall_clock_noise_is_no_regression(tmp_path) -> None:
    def wall(*downs: int) -> dict:
        return result_of(unit("stop", list(downs), label="kvm"))

    noise = compare(tmp_path, wall(100, 140, 90, 120, 100, 110),
                    wall(150, 90, 120, 130, 140, 95), "--measures", "down")
    assert noise.returncode == 0, noise.stderr
    slower = compare(tmp_path, wall(*range(100, 110)), wall(*range(200, 210)),
                     "--measures", "down")
    assert slower.returncode == 1
    assert "longer" in slower.stderr


@pytest.mark.parametrize("new, words", [
    (lambda: result_of(unit("stop", [1], label="kvm")), "never compared"),
    (lambda: result_of(unit("stop", [1], label="kvm-on-vm")), "never compared"),
    (lambda: result_of(unit("hotplug", [1])), "the new result has no stop-4cpu"),
    (lambda: result_of(unit("stop", [1])) | {"name": "other"}, "was changed after"),
])
def test_what_cannot_be_compared_is_refused_in_a_sentence(tmp_path, new, words) -> None:
    done = compare(tmp_path, result_of(unit("stop", [1])), new())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
