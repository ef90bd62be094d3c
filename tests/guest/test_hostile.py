# SPDX-License-Identifier: Apache-2.0
"""A guest that does random and worst-case things from every CPU: the VMM is there at the end, as
small as before, and says nothing that a terminal obeys.

A minute by default; `tools/test soak` does millions of operations, in an hour or two.
"""

import functools
import re
import sys

import pytest
from arm64_host import ROOT
from payload_runs import SOAK, WALL_CLOCK, Boot, Run, check

sys.path.insert(0, str(ROOT / "tools/dev"))
import tried  # noqa: E402

OPERATIONS = 12_000 if SOAK else 2_500  # of each boot CPU; the others do more
SEEDS = range(1, 61 if SOAK else 2)
MEMORY_SLACK = 512  # KiB
RUNS = tuple(Run("hostile", cpus=cpus, params=f"ops={OPERATIONS} seed={seed}", park=park,
                 watched=True)
             for seed in SEEDS for cpus, park in ((8, "host"), (4, "guest"), (4, "off")))
HOST = Boot("hostile", (), RUNS)

pytestmark = [pytest.mark.usefixtures("host"), pytest.mark.xdist_group(WALL_CLOCK)]


@functools.cache
def operations(run: Run) -> int:
    found = re.search(r"operations: (\d+)", check(HOST, run).console)
    assert found
    return int(found[1])


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_vmm_outlives_it(run: Run) -> None:
    assert operations(run) > OPERATIONS
    outcome = HOST.outcome(run)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", outcome.errors)
    assert len(outcome.errors.splitlines()) < 100


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_nothing_grows(run: Run) -> None:
    samples = HOST.file(run, "watch").read_text()
    for what, slack in (("VmRSS", MEMORY_SLACK), ("Threads", 0), ("files", 0)):
        values = [int(value) for value in re.findall(rf"{what}:\s+(\d+)", samples)]
        early, late = values[len(values) // 4], values[len(values) * 3 // 4]
        print(what, len(values), early, late)
        assert len(values) > 8 and late - early <= slack


def test_how_much_was_done(record_property) -> None:
    total = sum(map(operations, RUNS))
    record_property("operations", total)
    print(f"{total} operations")
    assert total > 2 * OPERATIONS * len(RUNS)
    tried.leave("hostile", {"operations": total, "runs": len(RUNS), "slack_kib": MEMORY_SLACK,
                            "command": f"tools/test {'soak' if SOAK else 'guest'}"})
