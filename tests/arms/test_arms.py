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
