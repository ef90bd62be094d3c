# SPDX-License-Identifier: Apache-2.0
"""tools/bench-micro and tools/demo --arms with machines that are made up, and the
statistics that all tables share."""

import argparse
import json
import pathlib
import subprocess
import sys

import pytest
from case_readers import ktap_cases
from done import Done
from parkvmm.bench import demo, hazards, micro, statistics
from parkvmm.bench.facts import PHASES
from parkvmm.bench.plan import Unit
from parkvmm.failure import INTERNAL, Failure
from parkvmm.guest import arms
from parkvmm.labels import VIRTUAL_TIME

# --- tools/bench-micro -----------------------------------------------------------


def figures_of(**changed: int) -> dict[str, micro.Figures]:
    """Figures that keep every bound, but for those of the VMM that are given."""
    vmm = {"psci_version": 2500, "psci_affinity_info": 5400, "mmio_read": 4100,
           "mmio_write": 3100, "cpu_on_1": 10_000}
    return {"floor": {"hypercall": 1000, "mmio_read": 4000, "mmio_write": 3000},
            "vmm": vmm | changed, "kvm": {**vmm, "cpu_on_1": 4000}}


def test_bounds_are_multiples_of_the_floor() -> None:
    limits = micro.bounds(figures_of())
    assert limits == pytest.approx({
        "mmio_read": 4200, "mmio_write": 3150, "psci_version": 1.05 * 2400,
        "psci_affinity_info": 1.05 * 5200, "cpu_on_1": 10_000})
    slow = figures_of()
    slow["floor"]["mmio_read"] = 7000
    assert micro.bounds(slow)["mmio_read"] == 6400


def checked(tmp_path, monkeypatch, recorded: dict[str, int], **changed: int) -> list[str]:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"figures": {"vmm": recorded}}))
    monkeypatch.setattr(micro, "RECORD", record)
    return micro.complaints(figures_of(**changed))


def test_a_figure_may_be_two_percent_worse_than_recorded(tmp_path, monkeypatch) -> None:
    assert checked(tmp_path, monkeypatch, {"other": 1000}, other=1020) == []
    assert checked(tmp_path, monkeypatch, {"other": 1000}, other=1021) == [
        "other was 1000 ns and is 1021 ns"]
    assert checked(tmp_path, monkeypatch, {"other": 1000}) == ["other was not measured"]


def test_a_figure_beyond_its_bound_is_told(tmp_path, monkeypatch) -> None:
    assert checked(tmp_path, monkeypatch, {}, cpu_on_1=10_000) == []
    assert checked(tmp_path, monkeypatch, {}, cpu_on_1=10_001) == [
        "cpu_on_1 is 10001 ns, its bound 10000 ns"]


def test_the_table_is_in_microseconds_and_has_what_was_measured() -> None:
    text = micro.table(figures_of())
    assert "| read of a device of ours | 4.10 | 4.20 | 4.10 |" in text
    assert "CPU_ON to the target's first C++ instruction | 10.00 | 10.00 | 4.00 |" in text
    assert "an IPI" not in text
    assert text.endswith(
        "\n\nThe floor, KVM alone: hypercall 1.00, mmio read 4.00, mmio write 3.00 us.")
    assert "| an IPI to 8 CPUs, until the last has taken it | 0.50 |  | 0.25 |" in micro.table(
        {"floor": figures_of()["floor"], "vmm": figures_of()["vmm"] | {"ipi_8": 500},
         "kvm": figures_of()["kvm"] | {"ipi_8": 250}})


def test_figures_are_read_from_what_programs_print(monkeypatch) -> None:
    done = Done(stdout="[floor] hypercall nanoseconds 12 of 34\nx\n[bench] ipi_1 nanoseconds 5 "
                "of 6\n[other] no nanoseconds 7 of 8\n")
    monkeypatch.setattr(micro.subprocess, "run", done)
    assert micro.measure(7)["kvm"] == {"hypercall": 12, "ipi_1": 5}
    assert [words[words.index("--cpus") + 1] for words in done.commands] == ["8"] * 3
    assert done.commands[0][-1] == "kvm-floor"
    assert [words[-2:] for words in done.commands[1:]] == [["vmm", micro.PAYLOAD],
                                                           ["kvm", micro.PAYLOAD]]
    assert done.commands[1][5:10] == ["vmm", "run", "--raw", "--cpus", "7"]


def test_a_machine_that_fails_ends_the_measurement(monkeypatch, capsys) -> None:
    monkeypatch.setattr(micro.subprocess, "run", Done(69, stderr="no QEMU\n"))
    with pytest.raises(SystemExit) as ended:
        micro.measure(7)
    assert ended.value.code == 69 and capsys.readouterr().err == "no QEMU\n"


def micro_with(monkeypatch, *words: str, figures: dict | None = None) -> int:
    monkeypatch.setattr(micro, "measure", lambda cpus: figures or figures_of())
    return micro.main(list(words))


def test_figures_are_checked_and_written_if_asked_for(tmp_path, monkeypatch, capsys) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"figures": {"vmm": {"gone": 1}}}))
    monkeypatch.setattr(micro, "RECORD", record)
    assert micro_with(monkeypatch, "--json", str(tmp_path / "out")) == 0
    said = capsys.readouterr()
    assert said.out == micro.table(figures_of()) + "\n" and not said.err
    assert json.loads((tmp_path / "out").read_text()) == {
        "schema_version": 1, "label": VIRTUAL_TIME, "figures": figures_of()}
    assert micro_with(monkeypatch, "--check") == 1
    assert "bench-micro: gone was not measured\n" in capsys.readouterr().err
    record.write_text(json.dumps({"figures": {"vmm": {}}}))
    assert micro_with(monkeypatch, "--check") == 0


def test_the_vmm_is_compared_with_itself_confined(tmp_path, monkeypatch, capsys) -> None:
    done = Done(0, "[bench] psci_version nanoseconds 7480 of 100\n")
    monkeypatch.setattr(micro.subprocess, "run", done)
    assert micro_with(monkeypatch, "--confined", "--json", str(tmp_path / "out")) == 0
    assert [words[words.index("--seccomp") + 1] for words in done.commands] == ["off", "on"]
    assert "| PSCI_VERSION | 7.48 | 7.48 |" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "out").read_text())["figures"]) == ["off", "on"]


@pytest.mark.parametrize("words, status", [
    (["--cpus", "2"], 0), (["--cpus", "129"], 0), (["--cpus", "1"], 2), (["--cpus", "130"], 2),
    (["--check", "--cpus", "32"], 2), (["--check", "--confined"], 2)])
def test_a_payload_has_2_to_129_cpus(monkeypatch, capsys, words, status) -> None:
    if not status:
        assert micro_with(monkeypatch, *words) == 0
        return
    with pytest.raises(SystemExit) as ended:
        micro_with(monkeypatch, *words)
    assert ended.value.code == status


# --- tools/demo --arms --------------------------------------------------------------

def test_all_is_every_arm_that_takes_cpus_over_a_kexec() -> None:
    assert "stock" in demo.arms_of("all") and "stock-ipi" not in demo.arms_of("all")
    assert demo.arms_of("stock-ipi,stop") == ["stock-ipi", "stop"]
    with pytest.raises(argparse.ArgumentTypeError, match="no arm 'x'; there are: all, stock"):
        demo.arms_of("stop,x")


def kexec_of(total: int | None, back: int = 4, verdict: str = "pass") -> dict:
    return {"cpus": 4, "cpus_back": back, "verdict": verdict, "total_ns": total,
            "phase_ns": dict.fromkeys(PHASES, 1_500_000)}


def test_a_row_has_medians_and_the_fewest_cpus() -> None:
    kexecs = [kexec_of(1_000_000), kexec_of(9_000_000), kexec_of(2_000_000)]
    results = {"status": 0, "label": "kvm", "kexecs": kexecs}
    cells = demo.row("stop", results).split()
    assert cells[:4] == ["stop", "4", "of", "4"]
    assert cells[4:4 + len(PHASES) + 2] == ["1.500"] * len(PHASES) + ["2.000", "pass"]
    kexecs[1] = kexec_of(None, 3, "cpus-lost")
    cells = demo.row("stop", results).split()
    assert cells[1] == "3" and "1.500" in cells and "FAIL" in cells
    assert "FAIL" in demo.row("stop", results | {"status": 1, "kexecs": [kexec_of(1)]})
    none = demo.row("stop", results | {"kexecs": [], "config": {"cpus": 8}}).split()
    assert none[1:4] == ["0", "of", "8"] and none[4:4 + len(PHASES) + 1] == ["-"] * (
        len(PHASES) + 1)


def test_a_row_fits_into_80_columns() -> None:
    kexec = kexec_of(899_999_499_999) | {"cpus": 99, "cpus_back": 10}
    kexec["phase_ns"] = dict.fromkeys(PHASES, 899_999_499_999)
    results = {"status": 1, "label": "kvm", "kexecs": [kexec]}
    for line in (demo.heading(results), demo.row("stock-expedited", results)):
        assert len(line) <= 80
    assert max(map(len, arms.ARMS)) == len("stock-expedited")


@pytest.mark.parametrize("ns, text", [
    (1_499, "0.001"), (99_999_400, "99.999"), (99_999_600, "100.00"), (999_996_000, "1000.0"),
    (9_999_960_000, "10000")])
def test_a_time_has_as_many_digits_as_fit(ns, text) -> None:
    assert demo.milliseconds([ns, None]) == text


def test_times_that_mean_nothing_are_left_out() -> None:
    results = {"status": 0, "label": "kvm-on-tcg", "kexecs": [kexec_of(1_000_000)]}
    assert demo.heading(results).split() == ["CPUs", "back"]
    assert demo.row("stop", results).split() == ["stop", "4", "of", "4", "pass"]


def options_of(out: pathlib.Path, **more: object) -> argparse.Namespace:
    return argparse.Namespace(**{"cpus": 4, "host_cpus": None, "cycles": 3, "out": out,
                                 "host_option": ["--deterministic"]} | more)


def test_an_arm_runs_in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    done = Done(5)

    def run(words: list[str], **keywords: object) -> subprocess.CompletedProcess[str]:
        assert not (tmp_path / "stop" / "results.json").exists(), "an earlier call's"
        (tmp_path / "stop" / "results.json").write_text('{"label": "x", "kexecs": []}')
        return done(words, **keywords)

    monkeypatch.setattr(demo.subprocess, "run", run)
    for host_cpus, given in ((None, "4"), (2, "2")):
        assert demo.run("stop", options_of(tmp_path, host_cpus=host_cpus)) == {
            "label": "x", "kexecs": [], "status": 5}
        words = done.commands[-1]
        assert words[:2] == ["tools/arm64-host", "--deterministic"]
        assert words[words.index("--cpus") + 1] == given
        assert words[words.index("--out") + 1] == str(tmp_path / "stop")
        assert words[words.index("--timeout") + 1] == f"{600 + 3 * (90 + 12 * 4)}s"


@pytest.mark.parametrize("status, log, ends", [
    (7, "first\nlast\n", (7, "stop: last")), (0, "", (INTERNAL, "stop: no results"))])
def test_an_arm_without_results_says_why(tmp_path, monkeypatch, status, log, ends) -> None:
    def run(words: list[str], **keywords) -> subprocess.CompletedProcess[str]:
        keywords["stderr"].write(log.encode())
        return subprocess.CompletedProcess(words, status)

    monkeypatch.setattr(demo.subprocess, "run", run)
    with pytest.raises(Failure) as caught:
        demo.run("stop", options_of(tmp_path))
    assert (caught.value.status, str(caught.value)) == ends


def test_a_demo_ends_with_the_first_status_that_is_not_0(tmp_path, monkeypatch, capsys) -> None:
    prepared: list[set[tuple[str, str, str]]] = []
    monkeypatch.setattr(arms, "prepare", prepared.append)
    statuses = {"stock": 0, "stop": 3, "module": 4}
    monkeypatch.setattr(demo, "run", lambda name, _: {
        "label": "kvm", "status": statuses[name], "kexecs": [kexec_of(1_000_000)]})
    monkeypatch.setattr(sys, "argv", ["demo", "--arms", "stock,stop,module", "--out",
                                      str(tmp_path), "--json", str(tmp_path / "report"),
                                      "--format", "ktap:ktap", "--caller", str(tmp_path)])
    assert demo.main() == 3
    assert ktap_cases((tmp_path / "ktap").read_text()) == {
        f"{name}: end": "error no-results" for name in statuses}
    assert prepared == [{(name, "default", "") for name in statuses}]
    said = capsys.readouterr()
    heading, *rows = said.out.splitlines()
    assert heading.split()[-2:] == ["user", "total"]
    assert [row.split()[0] for row in rows] == list(statuses)
    assert "medians of 2 kexecs an arm, label kvm; everything else" in said.err
    report = json.loads((tmp_path / "report").read_text())
    assert (report["label"], report["cpus"]) == ("kvm", 4)
    assert [each["arm"] for each in report["arms"]] == list(statuses)


# --- plans and hazards ------------------------------------------------------------------

def test_a_unit_boots_once_and_kexecs_warm_up_and_cycles() -> None:
    assert Unit("stop", 4, 0, "none", "vmm", "default", "", "1G", 5, 2).kexecs == 7


def test_a_quiet_machine_has_no_hazard(tmp_path, monkeypatch) -> None:
    system = tmp_path / "sys/devices/system/cpu"
    (system / "cpu0/cpufreq").mkdir(parents=True)
    (system / "cpufreq").mkdir()
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(hazards.os, "cpu_count", lambda: 4)

    def found(governor: str = "performance", boost: str = "0", load: str = "0.80",
              isolated: str = "1-3", cpus: int = 4, samples: int = 10) -> list[str]:
        (system / "cpu0/cpufreq/scaling_governor").write_text(f"{governor}\n")
        (system / "cpufreq/boost").write_text(f"{boost}\n")
        (system / "isolated").write_text(f"{isolated}\n")
        (tmp_path / "proc/loadavg").write_text(f"{load} 0 0 1/2 3\n")
        return hazards.find(cpus, samples, True, tmp_path)

    assert found() == []
    for hazard, words in ((found(governor="powersave"), "governor powersave"),
                          (found(boost="1"), "boost as long"), (found(load="0.81"), "load 0.81"),
                          (found(isolated=""), "isolcpus"), (found(samples=9), "9 samples"),
                          (found(cpus=5), "5 vCPUs on 4 CPUs")):
        assert len(hazard) == 1 and words in hazard[0]
    one, = hazards.find(1, 100, False, tmp_path)
    assert "emulated machine" in one


def test_a_host_without_fwb_is_told() -> None:
    def units(*fwb: str | None) -> dict:
        return {"units": [{"run": each and {"host": {"fwb": each}}} for each in fwb]}
    assert hazards.seen(units("yes", None)) == []
    assert "FEAT_S2FWB" in hazards.seen(units("yes", "no"))[0]


# --- statistics ---------------------------------------------------------------------------

def test_the_median_leaves_out_what_was_not_seen() -> None:
    assert statistics.median([1, None, 2, 9]) == 2
    assert statistics.median([None]) is None


def test_chance_alone_is_told_from_a_difference() -> None:
    assert statistics.permutation_p([1, 2, 3, 4, 5], [11, 12, 13, 14, 15]) < 0.05
    assert statistics.permutation_p([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) == 1
    assert statistics.cliffs_delta([1, 2], [3, 4]) == 1
    assert statistics.cliffs_delta([3, 4], [1, 2]) == -1
    assert statistics.cliffs_delta([1, 3], [2, 2]) == 0


def test_a_fit_is_by_relative_errors() -> None:
    xs = [1, 2, 4, 8, 16]
    assert statistics.quadratic_fit(xs, [5 + 3 * x + 2 * x * x for x in xs]) == pytest.approx(
        (5, 3, 2))
    # One per cent at the far end outweighs nothing at the near one.
    ys = [5 + 3 * x + 2 * x * x for x in xs[:-1]] + [1.01 * (5 + 3 * 16 + 2 * 256)]
    near, *_ = statistics.quadratic_fit(xs, ys)
    assert near == pytest.approx(5, rel=0.05)
