# SPDX-License-Identifier: Apache-2.0
"""tools/bench-vmm with machines that are made up."""

import json
import sys

import pytest
from done import Done
from parkvmm.bench import vmm
from parkvmm.labels import VIRTUAL_TIME

SAID = """[probe] small-1 start_ns 3440000
vmm: something else
[probe] small-1 end_ns 15170000
[probe] linux-1 own_bytes 266000
"""
FIGURES = {"small-1 start_ns": 3_440_000, "small-1 end_ns": 15_170_000,
           "linux-1 own_bytes": 266_000}


@pytest.mark.parametrize("cpus, host_cpus", [(1, "4"), (8, "8")])
def test_figures_are_read_from_what_the_probe_says(monkeypatch, cpus, host_cpus) -> None:
    done = Done(stdout=SAID)
    monkeypatch.setattr(vmm.subprocess, "run", done)
    assert vmm.measure(cpus) == FIGURES
    (words,) = done.commands
    assert "--deterministic" in words and words[words.index("--cpus") + 1] == host_cpus
    script = words[-1]
    assert script.count(f"vmm run --cpus {cpus} ") == 5
    assert script.count("--results") == 2 and "park.end=idle" in script


def test_a_machine_that_fails_ends_the_measurement(monkeypatch, capsys) -> None:
    monkeypatch.setattr(vmm.subprocess, "run", Done(69, stderr="no QEMU\n"))
    with pytest.raises(SystemExit) as ended:
        vmm.measure(1)
    assert ended.value.code == 69 and capsys.readouterr().err == "no QEMU\n"


def test_the_table_has_a_column_for_each_guest() -> None:
    lines = vmm.table(FIGURES).splitlines()
    assert lines[0] == "| virtual time | small-1 | linux-1 |"
    assert "| start to the guest's first instruction, ms | 3.44 |  |" in lines
    assert "| own memory, without program text, KB |  | 266 |" in lines


def checked(tmp_path, monkeypatch, **changed: int) -> list[str]:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"figures": FIGURES}))
    monkeypatch.setattr(vmm, "RECORD", record)
    renamed = {name.replace("__", " ").replace("_1", "-1"): number
               for name, number in changed.items()}
    return vmm.complaints({**FIGURES, **renamed})


def test_a_figure_may_be_three_percent_worse_than_recorded(tmp_path, monkeypatch) -> None:
    assert checked(tmp_path, monkeypatch, linux_1__own_bytes=273_980) == []
    assert checked(tmp_path, monkeypatch, linux_1__own_bytes=273_981) == [
        "linux-1 own_bytes was 266000 and is 273981"]
    # The host's grace periods.
    assert checked(tmp_path, monkeypatch, small_1__end_ns=99_000_000) == []


def test_a_figure_that_is_gone_is_told(tmp_path, monkeypatch) -> None:
    checked(tmp_path, monkeypatch)
    assert vmm.complaints({"linux-1 own_bytes": 1}) == ["small-1 start_ns was not measured"]


def bench(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench-vmm", *words])
    monkeypatch.setattr(vmm, "measure", lambda cpus: dict(FIGURES))
    return vmm.main()


def test_figures_are_checked_and_written_if_asked_for(tmp_path, monkeypatch, capsys) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"figures": {"linux-1 threads": 2}}))
    monkeypatch.setattr(vmm, "RECORD", record)
    assert bench(monkeypatch, "--json", str(tmp_path / "out")) == 0
    said = capsys.readouterr()
    assert said.out == vmm.table(FIGURES) + "\n" and not said.err
    assert json.loads((tmp_path / "out").read_text()) == {
        "schema_version": 1, "label": VIRTUAL_TIME, "figures": FIGURES}
    assert bench(monkeypatch, "--check") == 1
    assert capsys.readouterr().err == "bench-vmm: linux-1 threads was not measured\n"


@pytest.mark.parametrize("words", [["--cpus", "0"], ["--cpus", "513"], ["--cpus", "1,"],
                                   ["--cpus", "many"], ["--check", "--cpus", "1"]])
def test_what_it_cannot_measure_is_a_usage_error(monkeypatch, capsys, words) -> None:
    with pytest.raises(SystemExit) as ended:
        bench(monkeypatch, *words)
    assert ended.value.code == 2
