# SPDX-License-Identifier: Apache-2.0
"""A guest that does random and worst-case things from every CPU: the VMM is there at the end, as
small as before, and says nothing that a terminal obeys.

A minute, however much is done in it; `tools/test hostile` does ten million operations, however
long they take. What it has done it does not do again, so it goes on where it was.
"""

import functools
import os
import re
import sys

import pytest
from arm64_host import ROOT
from payload_runs import CPU_STUCK, OK, WALL_CLOCK, Boot, Outcome, Run

sys.path.insert(0, str(ROOT / "tools/dev"))
import tried  # noqa: E402

CAMPAIGN = bool(os.environ.get("PARKVMM_HOSTILE"))
MEMORY_SLACK = 512  # KiB
BOOT_DEADLINE = 3600 if CAMPAIGN else 400  # seconds; a campaign's boot takes two minutes, quiet
# Of each boot CPU; the others do more. A store into a park page takes KVM milliseconds.
OPERATIONS = {"host": 10_000, "guest": 10_000, "off": 30_000}
ENOUGH = 100  # of the boot CPU in a run that ends by time; a slow machine does a thousand


def run_of(park: str, seed: int) -> Run:
    return Run("hostile", cpus=8 if park == "host" else 4, park=park, watched=True,
               params=(f"ops={OPERATIONS[park]}" if CAMPAIGN else "ops=10000000 seconds=20") +
               f" seed={seed}", timeout="1200s" if CAMPAIGN else "120s")


def least(run: Run) -> int:
    """How many operations the run has to have done."""
    return OPERATIONS[run.park] if CAMPAIGN else ENOUGH


def host(number: int) -> Boot:
    return Boot(f"{'campaign' if CAMPAIGN else 'hostile'}-{number}", (), (
        run_of("host", number), run_of("guest", number),
        *(run_of("off", 4 * number + more) for more in range(4 if CAMPAIGN else 1))),
        deadline=BOOT_DEADLINE, kept=CAMPAIGN)


HOSTS = tuple(map(host, range(1, 21 if CAMPAIGN else 2)))
HOST_OF = {run: each for each in HOSTS for run in each.runs}
RUNS = tuple(HOST_OF)

pytestmark = [pytest.mark.usefixtures("host"), pytest.mark.xdist_group(WALL_CLOCK)]


def ended(run: Run) -> Outcome:
    """A guest that asks for PSCI_VERSION and MIGRATE_INFO_TYPE once more looks like the next
    kernel, so it may be told that it has lost CPUs."""
    outcome = HOST_OF[run].outcome(run)
    print(f"{outcome.seconds:.2f} s{outcome.evidence}")
    assert "[stub] PASS hostile" in outcome.console, outcome.evidence
    assert outcome.status in (OK, CPU_STUCK), outcome.evidence
    assert (outcome.status == CPU_STUCK) == ("[cpus-lost]" in outcome.errors), outcome.evidence
    assert outcome.results["stop"]["exit_code"] == outcome.status
    return outcome


@functools.cache
def operations(run: Run) -> int:
    found = re.search(r"operations: (\d+)", ended(run).console)
    assert found
    return int(found[1])


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_vmm_outlives_it(run: Run) -> None:
    assert operations(run) > least(run)
    outcome = HOST_OF[run].outcome(run)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", outcome.errors)
    assert len(outcome.errors.splitlines()) < 100


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_nothing_grows(run: Run) -> None:
    samples = HOST_OF[run].file(run, "watch").read_text()
    for what, slack in (("VmRSS", MEMORY_SLACK), ("Threads", 0), ("files", 0)):
        values = [int(value) for value in re.findall(rf"{what}:\s+(\d+)", samples)]
        early, late = values[len(values) // 4], values[len(values) * 3 // 4]
        print(what, len(values), early, late)
        assert len(values) > 3 and late - early <= slack


def test_how_much_was_done(record_property) -> None:
    total = sum(map(operations, RUNS))
    record_property("operations", total)
    print(f"{total} operations")
    assert total > sum(map(least, RUNS))
    assert total >= 10_000_000 or not CAMPAIGN
    tried.leave("hostile", {"operations": total, "runs": len(RUNS), "slack_kib": MEMORY_SLACK,
                            "command": f"tools/test {'hostile' if CAMPAIGN else 'guest'}"})
