# SPDX-License-Identifier: Apache-2.0
"""Every way to take CPUs over a kexec, on real Linux, side by side.

Builds a kernel and a module the first time, so it is a group of its own:
tools/test arms. In virtual time; the bounds are the project's own.
"""

import json
import pathlib
import subprocess
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CPUS = 8
CYCLES = 2
IPI_NS = 16  # parkvmm-ipi's mark
DEADLINE = 3000  # seconds, with everything that has to be built
ARMS = ("stock", "stock-expedited", "module", "hotplug", "expedited", "stop",
        "hotplug-page", "park-guest", "park-host", "park-device")


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("arms")
    demo = subprocess.run(
        ["tools/demo", "--arms", "all", "--cpus", str(CPUS), "--cycles", str(CYCLES),
         "--deterministic", "--json", str(folder / "arms.json"), "--out", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print(demo.stdout)
    assert (folder / "arms.json").exists(), demo.stderr[-3000:]
    report = json.loads((folder / "arms.json").read_text())
    return {arm["arm"]: arm["results"] for arm in report["arms"]}


def down_ms(results: dict[str, Any]) -> float:
    return max(kexec["phase_ns"]["down"] for kexec in results["kexecs"]) / 1e6


@pytest.mark.parametrize("arm", ARMS)
def test_all_cpus_are_back(arms: dict[str, Any], arm: str) -> None:
    results = arms[arm]
    assert results["status"] == 0, results["diagnoses"]
    assert [kexec["cpus_back"] for kexec in results["kexecs"]] == [CPUS] * CYCLES
    assert results["diagnoses"] == []


def test_hotplug_is_slow(arms: dict[str, Any]) -> None:
    assert down_ms(arms["stock"]) > 100


def test_expedited_is_faster(arms: dict[str, Any]) -> None:
    assert down_ms(arms["expedited"]) < 15
    assert down_ms(arms["stock-expedited"]) < down_ms(arms["stock"])


@pytest.mark.parametrize("arm", ("module", "stop", "park-host", "park-device"))
def test_all_at_once_is_fast(arms: dict[str, Any], arm: str) -> None:
    assert down_ms(arms[arm]) < 1.5


def results_of(arm: str, out: pathlib.Path) -> dict[str, Any]:
    """Of one kexec; its events are in `out`, in a folder with the arm's name."""
    demo = subprocess.run(
        ["tools/demo", "--arms", arm, "--cpus", str(CPUS), "--cycles", "1",
         "--deterministic", "--json", str(out / "arms.json"), "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert demo.returncode == 0, demo.stderr[-3000:]
    only, = json.loads((out / "arms.json").read_text())["arms"]
    return only["results"]


def test_uncore_pmus_wait_for_a_grace_period_each(tmp_path) -> None:
    """Four dies of two CPUs: who goes first in a die that has not the boot CPU
    hands 14 PMUs on, as Linux before 6.3 did it; the other has nobody to."""
    kexec, = results_of("stock-uncore", tmp_path)["kexecs"]
    ms = {cpu["vcpu"]: cpu["kernel_before_off_ns"] / 1e6 for cpu in kexec["per_cpu"]}
    assert min(ms[cpu] for cpu in (2, 4, 6)) > 150, ms
    assert max(ms[cpu] for cpu in (3, 5, 7)) < 50, ms


def test_an_empty_ipi_reaches_all_others(tmp_path) -> None:
    """Five times in each of the two kernels, and no CPU takes it at once."""
    results_of("stock-ipi", tmp_path)
    events = (tmp_path / "stock-ipi" / "events.jsonl").read_text().splitlines()
    taken_ns = [event["value"] for event in map(json.loads, events)
                if event["event"] == "mark" and event["code"] == IPI_NS]
    assert len(taken_ns) == 5 * 2
    assert min(taken_ns) > 1000 * (CPUS - 1)
