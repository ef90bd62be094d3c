# SPDX-License-Identifier: Apache-2.0
"""Parking: the payloads that play kernels, right and wrong, in the real VMM.

All runs share one boot of a host; each test looks at one run.
"""

import json
import re
import statistics

import pytest

import park_matrix
from payload_runs import WALL_CLOCK, Boot, Run, check, rounds

MATRIX = park_matrix.cells(cycles=2)

# What the VMM has to name, and nothing else; no CPU is lost by any of it.
FAULTS = [Run("park_faults", cpus=4, params=f"fault={fault}", park=park)
          for park, faults in {
              "host": ["release-before-park", "double-release", "exit-not-ram",
                       "exit-misaligned", "exit-in-region", "exit-in-mmio",
                       "magic-without-cpu", "cpu-without-magic", "page-shared",
                       "page-of-cpu0", "page-past-region", "page-rewritten",
                       "foreign-loop", "park-foreign-slot", "park-bad-magic",
                       "release-not-parked"],
              "guest": ["cpu-without-magic", "page-of-cpu0", "page-past-region",
                        "foreign-loop", "stale-magic", "cpu-on-while-spinning",
                        "release-lost"],
          }.items() for fault in faults]
# Nothing is wrong with these, and nothing may be named.
RIGHT = [
    Run("park_release", cpus=8, park="host"),
    Run("entry_state", cpus=2, params="door=page"),
    Run("entry_state", cpus=2, params="door=device"),
    *(Run("park_matrix", cpus=8, params=f"old={door} new={door} between cycles=6",
          next=("park_matrix",)) for door in ("page", "device")),
    SOAK := Run("park_soak", cpus=16, params=rounds(20, soak=134), park="host", watched=True),
]
IDLE = {(door, park): Run("park_idle", cpus=3, params=f"door={door} ms=100", park=park,
                          clocked=True)
        for door, park in [("psci", "host"), ("page", "host"), ("device", "host"),
                           ("page", "guest")]}
# One CPU goes and comes, 25 times by each door, while the others are off.
FEW, MANY = (Run("park_bench", cpus=cpus, params="most=1", park="host", events=True)
             for cpus in (4, 128))
# Wrong on purpose: what is named is not the point.
WRONG = [
    Run("park_device", cpus=4),
    Run("park_forms", cpus=4),
    Run("park_storm", cpus=8, params=rounds(20, soak=50)),
    Run("park_soak", cpus=8, params="rounds=20 loop=mixed"),
    Run("park_soak", cpus=8, params="rounds=20 loop=pair"),
]
# The VMM looks at a guest's own loops now and then, so where those share a few
# CPUs with it, in wall-clock time, it may misread what it sees. Not in virtual
# time: there all is exact, the others' diagnoses too.
GUEST_RIGHT = [
    Run("park_release", cpus=4, params="late=20", park="guest"),
    Run("park_soak", cpus=4, params="rounds=10", park="guest"),
]
GUEST_MATRIX = [cell for row in MATRIX for cell in row if cell.row.park == "guest"]

HOST = Boot("park", (), (*FAULTS, *RIGHT, *WRONG))
MATRIX_HOST = park_matrix.boot("park-matrix-short", MATRIX)
VIRTUAL_HOST = Boot("park-virtual", ("--deterministic", "--cpus", "10"),
                    (*GUEST_RIGHT, *IDLE.values(), FEW, MANY, *(cell.run for cell in GUEST_MATRIX)))

pytestmark = pytest.mark.usefixtures("host")
# Those of one boot go to one of pytest's workers.
on_host = on_matrix_host = pytest.mark.xdist_group(WALL_CLOCK)
on_virtual_host = pytest.mark.xdist_group("park-virtual")


def named(run: Run) -> str:
    return run.name


@on_host
@pytest.mark.parametrize("run", FAULTS, ids=named)
def test_fault_is_named_and_costs_no_cpu(run: Run) -> None:
    diagnoses = check(HOST, run).diagnoses
    assert run.params.removeprefix("fault=") in diagnoses
    assert len(diagnoses) == 1 or run.park == "guest"


@on_host
@pytest.mark.parametrize("run", RIGHT, ids=named)
def test_what_is_right_is_not_named(run: Run) -> None:
    assert check(HOST, run).diagnoses == set()


@on_virtual_host
@pytest.mark.parametrize("run", GUEST_RIGHT, ids=named)
def test_what_is_right_is_not_named_in_mode_guest(run: Run) -> None:
    assert check(VIRTUAL_HOST, run).diagnoses == set()


@on_host
@pytest.mark.parametrize("run", WRONG, ids=named)
def test_survives(run: Run) -> None:
    check(HOST, run)


@on_matrix_host
@pytest.mark.parametrize("cell", [cell for row in MATRIX for cell in row],
                         ids=lambda cell: cell.run.name)
def test_matrix(cell: park_matrix.Cell) -> None:
    complaint = cell.complaint(MATRIX_HOST.outcome(cell.run))
    assert not complaint


@on_virtual_host
@pytest.mark.parametrize("cell", GUEST_MATRIX, ids=lambda cell: cell.run.name)
def test_matrix_of_mode_guest_exactly(cell: park_matrix.Cell) -> None:
    complaint = cell.complaint(VIRTUAL_HOST.outcome(cell.run), exact=True)
    assert not complaint


@on_host
def test_soak_leaks_nothing() -> None:
    """750 cycles further on, or 2010: the same threads, files and memory."""
    samples = HOST.file(SOAK, "watch").read_text()
    for what, slack in [("VmRSS", 256), ("Threads", 0), ("files", 0)]:  # KiB
        values = [int(value) for value in re.findall(rf"{what}:\s+(\d+)", samples)]
        assert len(values) > 3  # How many is the speed of the machine.
        early, late = values[len(values) // 4], values[len(values) * 3 // 4]
        print(what, len(values), early, late)
        assert late - early <= slack


def ways_ns(run: Run) -> list[float]:
    """What the VMM takes to start a CPU, from the call or store to its first
    instruction: for each door the median. (Away is the same few stores.)
    Each round starts it to send it away, by CPU_ON, and then by the door."""
    check(VIRTUAL_HOST, run)
    called: dict[str, int] = {}
    ways = []
    for event in map(json.loads, VIRTUAL_HOST.file(run, "events").read_text().splitlines()):
        if event["event"] == "release" or event.get("call") == "CPU_ON":
            called[event["target"]] = event["ns"]
        elif event["event"] == "start" and event["mpidr"] in called:
            ways.append(event["ns"] - called.pop(event["mpidr"]))
    assert len(ways) == 3 * 2 * 25
    return [statistics.median(ways[door + 1:door + 50:2]) for door in (0, 50, 100)]


@on_virtual_host
def test_what_a_cpu_costs_does_not_grow_with_their_number() -> None:
    few, many = ways_ns(FEW), ways_ns(MANY)
    print(few, many)
    assert max(few) < 50_000
    assert all(b < 1.03 * a for a, b in zip(few, many))


def host_cpu_shares(run: Run) -> list[float]:
    """Of each parked CPU's thread, of one core, while all were parked."""
    check(VIRTUAL_HOST, run)
    text = VIRTUAL_HOST.file(run, "clock").read_text()
    begin, end = map(float, re.findall(r"^([\d.]+)$", text, re.M))
    names = dict(re.findall(r"/(\d+)/comm:(.+)$", text, re.M))
    used: dict[str, list[int]] = {}
    for task, nanoseconds in re.findall(r"/(\d+)/schedstat:(\d+) ", text):
        if names[task].startswith("vcpu"):
            used.setdefault(names[task], []).append(int(nanoseconds))
    del used["vcpu0"]
    assert len(used) == run.cpus - 1
    assert end - begin > 0.08
    shares = [(late - early) / 1e9 / (end - begin) for early, late in used.values()]
    print(f"{run.name}: {sum(shares):.4f} cores for {len(shares)} CPUs")
    return shares


@on_virtual_host
@pytest.mark.parametrize("door", ["psci", "page", "device"])
def test_parked_cpus_cost_nothing(door: str) -> None:
    assert sum(host_cpu_shares(IDLE[door, "host"])) == 0


@on_virtual_host
def test_cpus_that_spin_cost_much() -> None:
    """So the measurement can tell."""
    assert min(host_cpu_shares(IDLE["page", "guest"])) > 0.9
