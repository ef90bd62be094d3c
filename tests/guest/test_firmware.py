# SPDX-License-Identifier: Apache-2.0
"""Firmware models: what they add to CPU_ON and CPU_OFF, in virtual time.

All runs share one boot of a host; each test looks at one or two of them.
"""

import json
import re
import statistics

import pytest

from payload_runs import Boot, Run, check

CPUS = 9  # eight are turned on and off
ON, OFF = 500_000, 300_000  # ns
LATE = 1_000  # ns that a CPU with nobody in its way may take longer
NEAR = 20_000  # ns: what the guest's own measurement differs by, run by run

MODEL = f"off={OFF}ns,on={ON}ns"
NONE = Run("firmware_bench", cpus=CPUS, events=True)
PARALLEL = Run("firmware_bench", cpus=CPUS, firmware=MODEL, events=True)
LOCK = Run("firmware_bench", cpus=CPUS, firmware=f"{MODEL},lock", events=True)
FAR = Run("firmware_bench", cpus=CPUS, firmware=f"{MODEL},far-on=1ms,socket=4", events=True)
DOORS = (Run("park_release", cpus=4, park="host", firmware=MODEL),
         Run("park_soak", cpus=4, params="rounds=10", park="host", firmware=f"{MODEL},lock"),
         Run("on_off_chase", cpus=4, params="rounds=50", firmware="off=14us,on=17us,lock"))
HOST = Boot("firmware", ("--deterministic", "--cpus", str(CPUS + 1)),
            (NONE, PARALLEL, LOCK, FAR, *DOORS))

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("host"),
              pytest.mark.xdist_group("firmware")]


def figures(run: Run) -> dict[str, int]:
    """What the guest measured, ns."""
    console = HOST.outcome(run).console
    return {name: int(ns)
            for name, ns in re.findall(r"\[bench\] (\w+) nanoseconds (\d+) of", console)}


def events(run: Run, kind: str) -> list[dict]:
    """Of CPUs that were turned on or off."""
    lines = HOST.file(run, "events").read_text().splitlines()
    return [event for event in map(json.loads, lines)
            if event["event"] == kind and event["vcpu"] != 0]


@pytest.mark.parametrize("run", HOST.runs, ids=lambda run: run.name)
def test_payload(run: Run) -> None:
    check(HOST, run)


def test_none_takes_no_time() -> None:
    assert not any("firmware_ns" in event
                   for kind in ("start", "off") for event in events(NONE, kind))


def test_cpu_on_takes_that_much_longer() -> None:
    # The host may do something else in most rounds of a run, but not in all.
    longer = figures(PARALLEL)["cpu_on_one_fastest"] - figures(NONE)["cpu_on_one_fastest"]
    print(longer)
    assert abs(longer - ON) < NEAR


@pytest.mark.parametrize("run", [PARALLEL, FAR], ids=lambda run: run.name)
def test_alone_it_is_exact(run: Run) -> None:
    """The first rounds have one CPU, the near one. Somebody else may have the
    clock of virtual time in one of them, not in most."""
    for kind, latency in (("start", ON), ("off", OFF)):
        alone = [event["firmware_ns"] for event in events(run, kind)][:5]
        print(kind, alone)
        assert latency <= min(alone)
        assert statistics.median(alone) < latency + LATE


def test_with_a_lock_one_waits_for_the_other() -> None:
    parallel, lock = figures(PARALLEL)["cpu_on_all"], figures(LOCK)["cpu_on_all"]
    print(figures(NONE)["cpu_on_all"], parallel, lock)
    assert parallel < 2 * ON
    # Each has the lock for its own CPU_ON; some turn themselves off meanwhile.
    assert 8 * ON <= lock < 8 * (ON + OFF) + figures(NONE)["cpu_on_all"]


def test_the_far_socket_is_slower() -> None:
    for event in events(FAR, "start"):
        assert event["firmware_ns"] >= (ON if event["vcpu"] < 4 else 1_000_000)


def test_it_is_in_the_results() -> None:
    results = HOST.outcome(FAR).results
    assert results["config"]["firmware"] == "off=300us,on=500us,far-on=1ms,socket=4,parallel"
    assert results["guest"]["firmware"] == {
        "name": "custom", "off_ns": OFF, "on_ns": ON, "far_on_ns": 1_000_000,
        "cpus_per_socket": 4, "lock": False}
