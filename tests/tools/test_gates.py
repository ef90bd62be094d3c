# SPDX-License-Identifier: Apache-2.0
"""tools/bench --max and --baseline."""

import argparse
import pathlib

import pytest
from bench_results import result_of, unit
from parkvmm.bench import gates, results
from parkvmm.bench.gates import Limit
from parkvmm.cases.cases import FAILED, PASSED, Case, Suite
from parkvmm.failure import DIFFERS, USAGE, Failure

MS = 1_000_000


@pytest.mark.parametrize("text, ns", [
    ("5ms", 5 * MS), ("0.5us", 500), ("1h30m", 5400 * 10 ** 9), ("2m", 120 * 10 ** 9),
    ("1s500ms", 1500 * MS), ("7ns", 7), (".5s", 500 * MS),
    ("", None), ("5", None), ("ms", None), ("5 ms", None), ("0ms", None), ("-5ms", None),
    ("5msx", None), ("1.2.3s", None)])
def test_a_duration_is_read_as_the_vmm_reads_it(text: str, ns: int | None) -> None:
    assert gates.duration(text) == ns


def test_limits_are_those_of_vmm_run() -> None:
    assert gates.parse_max("down=5ms,up/cpu=30us,teardown=1s,") == [
        Limit("down", False, 5 * MS), Limit("up", True, 30_000),
        Limit("teardown", False, 1000 * MS)]
    assert gates.parse_max("") == []
    for text in ("down", "down=5", "sideways=5ms", "=5ms", "down/cpus=5ms"):
        with pytest.raises(Failure, match=f"--max: {text} is no limit; say down=5ms"):
            gates.parse_max(text)


def held(*samples: int, limit: str) -> Case:
    measured = unit("stop", list(samples))
    return gates.case_of_limit(gates.parse_max(limit)[0], measured)


def test_a_limit_says_by_how_much_it_was_missed() -> None:
    assert held(MS, 5 * MS, limit="down=5ms") == Case("down at most 5.000 ms")
    over = held(MS, 5 * MS, 7 * MS, limit="down=5ms")
    assert (over.outcome, over.id) == (FAILED, "too-slow")
    assert over.message == ("down took up to 7.000 ms, 2.000 ms more than --max allows; 1 of 3 "
                            "kexecs took too long")


def test_a_limit_per_cpu_is_for_those_beside_the_first() -> None:
    assert held(9 * MS, limit="down/cpu=3ms").outcome == PASSED  # 4 CPUs
    assert held(9 * MS + 3, limit="down/cpu=3ms").outcome == FAILED


def test_what_was_not_seen_is_not_kept() -> None:
    for case in (held(limit="down=5ms"), held(1, limit="teardown=5ms")):
        assert (case.outcome, case.id) == (FAILED, "not-measured")
    assert "teardown of 1 of 1 kexecs was not seen" in held(1, limit="teardown=5ms").message
    alone = unit("stop", [5]) | {"samples": [unit("stop", [5])["samples"][0] | {"cpus": 1}]}
    assert gates.case_of_limit(Limit("down", True, 5), alone).id == "not-measured"


def against(old: list[int], new: list[int], margin: float = 5,
            label: str = "kvm-on-tcg-icount") -> list[Case]:
    return gates.held_to_baseline(
        result_of(unit("stop", new, label=label), unit("hotplug", [1], label=label)),
        result_of(unit("stop", old, label=label), unit("gone", [1], label=label)),
        margin, ["down", "up"])["stop-4cpu"]


def test_a_baseline_is_kept_within_its_margin() -> None:
    names = ["down within 5 % of the baseline", "up within 5 % of the baseline"]
    assert against([100], [105]) == [Case(name) for name in names]
    assert against([100], [1]) == [Case(name) for name in names]
    worse = against([100 * MS, 100 * MS], [110 * MS, 112 * MS])
    assert [case.outcome for case in worse] == [FAILED, PASSED]
    assert (worse[0].id, worse[0].message) == (
        "slower", "the median of down is 111.00 ms, 11.0 % more than the baseline's 100.00 ms; "
        "5 % is allowed")
    assert [case.outcome for case in against([100], [111], margin=11)] == [PASSED, PASSED]


def test_in_wall_clock_time_chance_is_no_regression() -> None:
    assert against([100, 200], [150, 300], label="kvm")[0].outcome == PASSED
    assert against(list(range(100, 110)), list(range(200, 210)), label="kvm")[0].outcome == FAILED


def test_units_of_one_side_alone_are_not_compared() -> None:
    found = gates.held_to_baseline(result_of(unit("new", [9])), result_of(unit("old", [1])), 5,
                                   ["down"])
    assert found == {}


def test_labels_are_never_mixed_and_some_have_no_times() -> None:
    with pytest.raises(Failure, match="labels differ, kvm and kvm-on-tcg-icount"):
        gates.held_to_baseline(result_of(unit("stop", [1])),
                               result_of(unit("stop", [1], label="kvm")), 5, ["down"])
    gate = gates.Gates(gates.parse_max("down=1s"), None, 5, ["down"])
    with pytest.raises(Failure, match="--max: times mean nothing under label kvm-on-tcg"):
        gate.held(result_of(unit("stop", [1], label="kvm-on-tcg")), [])


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    gates.add_options(parser)
    return parser.parse_args(words)


def test_gates_add_cases_to_the_suite_of_their_unit(tmp_path: pathlib.Path) -> None:
    baseline = tmp_path / "result.json"
    results.save(result_of(unit("stop", [100])), baseline)
    gate = gates.parse(options("--max", "down=150ns", "--baseline", str(baseline), "--measures",
                               "down"), True)
    suites = [Suite("stop-4cpu", (Case("boot"),)), Suite("other-4cpu", (Case("boot"),))]
    found = gate.held(result_of(unit("stop", [200]), unit("other", [1])), suites)
    assert [[case.id for case in suite.cases] for suite in found] == [
        ["", "too-slow", "slower"], ["", ""]]
    assert [line.rpartition("[")[2] for line in gates.missed(found)] == ["too-slow]", "slower]"]
    assert gates.parse(options(), False).held(result_of(unit("stop", [1])), suites) == suites


def test_a_gate_that_cannot_be_held_is_told_before_anything_runs(tmp_path) -> None:
    with pytest.raises(Failure, match="--baseline: no file") as caught:
        gates.parse(options("--baseline", str(tmp_path / "none")), True)
    assert caught.value.status == USAGE
    (tmp_path / "empty").write_text("{}")
    with pytest.raises(Failure, match="is no result") as caught:
        gates.parse(options("--baseline", str(tmp_path / "empty")), True)
    assert caught.value.status == DIFFERS
    with pytest.raises(Failure, match="leave out --wall-clock"):
        gates.parse(options("--max", "down=1s"), False)
    with pytest.raises(Failure, match="no measure 'sideways'"):
        gates.parse(options("--measures", "sideways"), True)
