# SPDX-License-Identifier: Apache-2.0
"""How runs of payloads are spread over boots of a host, with a host that is not there."""

import pathlib
from collections.abc import Callable

import pytest

import payload_runs
from payload_runs import BOOTS, Boot, Run

RUNS = tuple(Run("hello", cpus=cpus) for cpus in (1, 2, 3, 4))
Host = Callable[[tuple[Run, ...], pathlib.Path], bool]


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch,
          tmp_path: pathlib.Path) -> Callable[[Host], tuple[Boot, list[list[int]]]]:
    """Makes a kind of host that does what `host` does. Returns it with a list that will say
    which runs each of its boots was given, by their CPUs."""
    def make(host: Host) -> tuple[Boot, list[list[int]]]:
        given: list[list[int]] = []

        def boot(self: Boot, runs: tuple[Run, ...], out: pathlib.Path, number: int) -> bool:
            assert number == len(given)
            given.append([run.cpus for run in runs])
            return host(runs, out)
        monkeypatch.setattr(Boot, "boot", boot)
        monkeypatch.setattr(payload_runs, "ROOT", tmp_path)
        return Boot(tmp_path.name, (), RUNS), given
    return make


def make(run: Run, out: pathlib.Path) -> None:
    (out / f"{run.name}.status").write_text("0 1.0 2.0\n")
    for kind in ("out", "err"):
        (out / f"{run.name}.{kind}").touch()


def test_one_boot_makes_all_runs(boots) -> None:
    def quick(runs: tuple[Run, ...], out: pathlib.Path) -> bool:
        for run in runs:
            make(run, out)
        return False
    host, given = boots(quick)
    assert [host.outcome(run).status for run in RUNS] == [0] * 4
    assert given == [[1, 2, 3, 4]]


def test_what_one_boot_has_no_time_for_the_next_one_makes(boots) -> None:
    def slow(runs: tuple[Run, ...], out: pathlib.Path) -> bool:
        for run in runs[:2]:
            make(run, out)
        return len(runs) > 2
    host, given = boots(slow)
    assert [host.outcome(run).status for run in RUNS] == [0] * 4
    assert given == [[1, 2, 3, 4], [3, 4]]


def test_a_run_that_hangs_its_host_fails_alone(boots) -> None:
    """Nothing comes back from such a host, not even what it had made before."""
    def hangs_with_two(runs: tuple[Run, ...], out: pathlib.Path) -> bool:
        names = [run.name for run in runs]
        hung = next((run for run in runs if run.cpus == 2), None)
        if hung is None:
            for run in runs:
                make(run, out)
            return False
        (out / "host.log").write_text("\n".join(names[:names.index(hung.name) + 1]))
        return True
    host, given = boots(hangs_with_two)
    assert [host.outcome(RUNS[number]).status for number in (0, 2, 3)] == [0] * 3
    with pytest.raises(AssertionError, match="hello-2cpu-vmm did not end within"):
        host.outcome(RUNS[1])
    assert given == [[1, 2, 3, 4], [1, 3, 4]]


def test_a_host_that_never_comes_up_is_not_booted_for_ever(boots) -> None:
    def dead(runs: tuple[Run, ...], out: pathlib.Path) -> bool:
        (out / "host.log").write_text("")
        return True
    host, given = boots(dead)
    with pytest.raises(AssertionError, match="hello-1cpu-vmm did not end within"):
        host.outcome(RUNS[0])
    assert len(given) == BOOTS
