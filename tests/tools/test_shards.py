# SPDX-License-Identifier: Apache-2.0
"""tools/bench --shard: parts of a plan, and the whole that tools/report makes of them."""

import json
import pathlib
import subprocess

import pytest
from arm64_host import ROOT
from bench_results import plan_of, unit
from parkvmm.bench import command, plan, results, shards
from parkvmm.bench.shards import Shard
from parkvmm.failure import DIFFERS, USAGE, Failure
from parkvmm.report import command as report

WHOLE = plan.parse(plan_of({"arms": ["stock", "stop"], "cpus": [2, 4, 8]}))
UNITS = [unit(one.arm, [10 * number], one.cpus) for number, one in enumerate(WHOLE.units, 1)]
EMULATOR = {"version": "7.2", "sha256": "1" * 64, "kernel_sha256": "2" * 64}


def part(index: int, of: int, whole: plan.Plan = WHOLE, units=tuple(UNITS)) -> results.Result:
    ids = {one.id for one in shards.part_of(whole, Shard(index, of)).units}
    measured = [one for one in units if one["id"] in ids]
    return shards.marked(results.make(whole, measured, EMULATOR), whole, Shard(index, of))


@pytest.mark.parametrize("text, environment, shard", [
    ("2/4", {}, Shard(2, 4)), ("1/1", {"CI_NODE_INDEX": "7"}, Shard(1, 1)),
    ("auto", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}, Shard(2, 3)),
    ("auto", {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "4",
              "SLURM_ARRAY_TASK_COUNT": "2"}, Shard(2, 2)),
    ("auto/4", {"JOB_COMPLETION_INDEX": "0"}, Shard(1, 4))])
def test_a_shard_is_said_or_known(text, environment, shard) -> None:
    assert shards.parse(text, environment) == shard


@pytest.mark.parametrize("text, environment", [
    ("", {}), ("3/2", {}), ("0/2", {}), ("2", {}), ("a/b", {}), ("auto", {}), ("1/2/3", {}),
    ("auto", {"JOB_COMPLETION_INDEX": "1"}), ("auto/1", {"JOB_COMPLETION_INDEX": "1"}),
    ("auto", {"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "3"})])
def test_what_is_no_shard_is_told_with_what_is(text, environment) -> None:
    with pytest.raises(Failure, match="say 2/4") as caught:
        shards.parse(text, environment)
    assert caught.value.status == USAGE


@pytest.mark.parametrize("of", range(1, 9))
def test_each_unit_is_in_one_shard(of: int) -> None:
    found = [one for index in range(1, of + 1)
             for one in shards.part_of(WHOLE, Shard(index, of)).units]
    assert sorted(found) == sorted(WHOLE.units)


@pytest.mark.parametrize("of", (1, 2, 4, 6))
def test_all_shards_are_the_result_that_one_machine_would_have_written(of: int) -> None:
    unsplit = results.text_of(results.make(WHOLE, UNITS, EMULATOR))
    parts = [results.check(part(index, of), "part") for index in range(of, 0, -1)]
    whole, = shards.joined(json.loads(json.dumps(parts)))[0]
    assert results.text_of(whole) == unsplit
    assert results.check(whole, "whole") == whole


def test_what_is_missing_is_named_with_its_units() -> None:
    joined, missing = shards.joined([part(3, 4), part(1, 4)])
    ids = [one.id for one in WHOLE.units]
    assert [one["id"] for one in joined[0]["units"]] == [ids[0], ids[2], ids[4]]
    assert missing == [f"test: shard 2 of 4 is missing, and with it {ids[1]}, {ids[5]}",
                       f"test: shard 4 of 4 is missing, and with it {ids[3]}"]


def test_a_shard_without_units_is_not_missed() -> None:
    assert shards.joined([part(index, 9) for index in range(1, 7)])[1] == []


def test_a_shard_is_there_once() -> None:
    with pytest.raises(Failure, match="test: shard 2 of 4 is there twice"):
        shards.joined([part(2, 4), part(2, 4)])


def test_shards_of_different_measurements_stay_apart() -> None:
    other = [one | {"run": one["run"] | {"label": "kvm"}} for one in UNITS]
    whole = results.make(WHOLE, UNITS, EMULATOR)
    joined, missing = shards.joined(
        [part(1, 2), whole, part(1, 2, units=tuple(other)), part(2, 2), part(1, 3)])
    assert [(one["label"], len(one["units"])) for one in joined] == [
        ("kvm-on-tcg-icount", 6), ("kvm-on-tcg-icount", 6), ("kvm", 3), ("kvm-on-tcg-icount", 2)]
    assert len(missing) == 3


def test_a_report_is_of_the_whole_and_says_what_is_missing(tmp_path: pathlib.Path, capsys) -> None:
    paths = []
    for index in (1, 2):
        paths.append(tmp_path / f"{index}.json")
        results.save(part(index, 2), paths[-1])
    results.save(results.make(WHOLE, UNITS, EMULATOR), tmp_path / "whole.json")
    merged = tmp_path / "merged.json"
    html = [str(tmp_path / name) for name in ("parts.html", "whole.html")]
    assert report.main([*map(str, paths), "--result", str(merged), "--html", html[0]]) == 0
    assert report.main([str(tmp_path / "whole.json"), "--html", html[1]]) == 0
    assert merged.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert pathlib.Path(html[0]).read_bytes() == pathlib.Path(html[1]).read_bytes()
    capsys.readouterr()
    assert report.main([str(paths[0]), "--markdown", "-"]) == DIFFERS
    assert "report: test: shard 2 of 2 is missing, and with it " in capsys.readouterr().err
    with pytest.raises(Failure, match="2 measurements, not shards of one"):
        report.main([str(merged), str(merged), "--result", "-"])


def test_a_shard_of_a_plan_is_measured(capsys) -> None:
    words = ["--arms", "stock", "--cpus", "2,4,8", "--dry-run"]
    assert command.main([*words, "--shard", "2/3"]) == 0
    assert capsys.readouterr().out == "stock-4cpu-0\n"
    assert command.main([*words[:-1], "--shard", "4/4"]) == 0
    assert "shard 4 of 4 has nothing to do: the plan has 3 units" in capsys.readouterr().err


def test_a_mistake_is_one_line() -> None:
    done = subprocess.run([ROOT / "tools/bench", "--arms", "stock", "--shard", "5/4"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (USAGE, 1), done.stderr
