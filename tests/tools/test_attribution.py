# SPDX-License-Identifier: Apache-2.0
"""A known delay at each place of a kexec arrives in the interval of that place and in no
other: in what the VMM writes, in its table, in the bench's figures and in the report. The
VMM's own code writes the results; tests/unit/measure/attribution_test.cc has what it finds."""

import functools
import json
import pathlib
import re
import tempfile
from typing import Any

import pytest

import scripted
from bench_results import result_of, unit
from parkvmm.bench import analysis, markdown
from parkvmm.bench.facts import PHASES, WHO
from parkvmm.report import sections

CPUS, FIRST, LAST = 4, 1, 3
DELAY = 7_000_000  # ns: 7.000 ms in a table
# Where time is spent: the interval of the CPU, the phase, and who had it.
PLACES = {
    "before its CPU_OFF": ("kernel_before_off_ns", "down", "kernel"),
    "firmware's, off": ("firmware_off_ns", "down", "firmware"),
    "the VMM's, off": ("vmm_off_ns", "down", "vmm"),
    "until it is asked for": ("guest_poll_ns", "down", "polling"),
    "firmware's, on": ("firmware_on_ns", "up", "firmware"),
    "the VMM's, on": ("vmm_on_ns", "up", "vmm"),
    "after its start": ("kernel_after_on_ns", "up", "kernel"),
}
INTERVALS = [interval for interval, _, _ in PLACES.values()]


def kexec(place: str, delayed: int, delay: int) -> scripted.Script:
    """Takes the CPUs down one by one and up again. CPU `delayed` takes longer at `place`."""
    script = scripted.Script(CPUS)
    script.first_boot()
    ns = 1_000_000
    script.mark(ns, scripted.KEXEC)

    def spent(what: str, usual: int, cpu: int) -> int:
        return usual + (delay if (what, cpu) == (place, delayed) else 0)

    for cpu in range(FIRST, CPUS):
        ns += spent("before its CPU_OFF", 100_000, cpu)
        script.leaves(ns, cpu)
        firmware = spent("firmware's, off", 20_000, cpu)
        ns += firmware + spent("the VMM's, off", 3_000, cpu)
        script.off(ns, cpu, firmware=firmware)
        ns += spent("until it is asked for", 7_000, cpu)
        script.asked(ns, cpu)
    script.version(ns := ns + 500_000)
    ns += 300_000
    for cpu in range(FIRST, CPUS):
        script.called(ns, cpu)
        firmware = spent("firmware's, on", 30_000, cpu)
        ns += firmware + spent("the VMM's, on", 5_000, cpu)
        script.starts(ns, cpu, firmware=firmware)
        ns += spent("after its start", 50_000, cpu)
    script.mark(ns + 900_000, scripted.UP)
    return script


@functools.cache
def written(place: str, cpu: int, delay: int) -> tuple[str, str]:
    """Returns the sample and the table that the VMM wrote."""
    with tempfile.TemporaryDirectory() as folder:
        run = scripted.run(kexec(place, cpu, delay), pathlib.Path(folder))
        found, = run.json()["kexecs"]
        return json.dumps(found), run.table


def sample(place: str, cpu: int, delay: int) -> dict[str, Any]:
    return json.loads(written(place, cpu, delay)[0])


def unit_of(place: str, cpu: int, delay: int) -> dict[str, Any]:
    return unit("stock", [], CPUS) | {"samples": [sample(place, cpu, delay)]}


def expected(place: str, cpu: int) -> tuple[str, str]:
    """Returns the phase and who had it. What comes before the first CPU leaves is `prepare`;
    what the last one is asked for is `jump`, and what follows its start is `userspace`."""
    interval, phase, who = PLACES[place]
    if interval == "kernel_before_off_ns" and cpu == FIRST:
        phase = "prepare"
    if interval == "guest_poll_ns" and cpu == LAST:
        phase = "jump"
    if interval == "kernel_after_on_ns" and cpu == LAST:
        phase = "userspace"
    return phase, who


def grew(before: dict[str, int | None], after: dict[str, int | None]) -> dict[str, int]:
    return {name: (ns or 0) - (before[name] or 0) for name, ns in after.items()
            if ns != before[name]}


EACH = pytest.mark.parametrize("place, cpu", [(place, cpu) for place in PLACES
                                              for cpu in (FIRST, 2, LAST)])


def figures(found: dict[str, Any]) -> dict[str, int | None]:
    """Every interval of a sample, by name."""
    named = {f"{cpu['vcpu']} {name}": cpu[name] for cpu in found["per_cpu"] for name in INTERVALS}
    named |= {phase: found["phase_ns"][phase] for phase in PHASES}
    named |= {f"{phase} {who}": found["split_ns"][phase][who] for phase in PHASES for who in WHO}
    return named | {"total": found["total_ns"]}


@EACH
def test_a_delay_is_in_its_interval_of_the_results(place: str, cpu: int) -> None:
    phase, who = expected(place, cpu)
    wanted = {"total": DELAY, phase: DELAY, f"{phase} {who}": DELAY}
    if not (PLACES[place][0] == "kernel_after_on_ns" and cpu == LAST):
        wanted[f"{cpu} {PLACES[place][0]}"] = DELAY
    # This kernel waits until a CPU is off, so the next one leaves later.
    if PLACES[place][0] in ("firmware_off_ns", "vmm_off_ns", "guest_poll_ns") and cpu != LAST:
        wanted[f"{cpu + 1} kernel_before_off_ns"] = DELAY
    assert grew(figures(sample(place, cpu, 0)), figures(sample(place, cpu, DELAY))) == wanted


def table_row(table: str) -> dict[str, float]:
    """Returns ms of each phase of the kexec."""
    heading = next(line for line in table.splitlines() if "prepare" in line)
    row = next(line for line in table.splitlines() if line.startswith("kexec 1"))
    names = [word for word in heading.split() if word in (*PHASES, "total")]
    values = re.findall(r"\d+\.\d{3}", row)
    assert len(names) == len(values) == len(PHASES) + 1
    return dict(zip(names, map(float, values)))


@EACH
def test_a_delay_is_in_its_column_of_the_table(place: str, cpu: int) -> None:
    before, after = (table_row(written(place, cpu, delay)[1]) for delay in (0, DELAY))
    changed = {name: round(after[name] - before[name], 3) for name in before
               if after[name] != before[name]}
    assert changed == {"total": 7.0, expected(place, cpu)[0]: 7.0}


@EACH
def test_a_delay_is_in_its_share_of_the_figures(place: str, cpu: int) -> None:
    phase, who = expected(place, cpu)
    for one in PHASES:
        before, after = (analysis.split(unit_of(place, cpu, delay), one) for delay in (0, DELAY))
        assert before and after
        assert {name: after[name] - before[name] for name in WHO} == {
            name: DELAY if (one, name) == (phase, who) else 0 for name in WHO}
    ours = [analysis.vmm_ns_per_cpu(unit_of(place, cpu, delay)) or 0 for delay in (0, DELAY)]
    assert ours[1] - ours[0] == pytest.approx(DELAY / (CPUS - 1) if who == "vmm" else 0)


def shares_shown(text: str) -> dict[tuple[str, str], float]:
    """Returns ms by phase and share, of the bench's table of shares."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    heading = rows[0]
    return {(row[1], who): float(row[heading.index(f"{who}, ms")].split(" ")[0])
            for row in rows[2:] for who in WHO}


@EACH
def test_a_delay_is_in_its_share_of_the_benchs_table(place: str, cpu: int) -> None:
    before, after = (shares_shown(markdown.split_table([unit_of(place, cpu, delay)]))
                     for delay in (0, DELAY))
    changed = {name: after[name] - before[name] for name in before if after[name] != before[name]}
    phase, who = expected(place, cpu)
    assert changed == ({(phase, who): pytest.approx(7, abs=0.002)}
                       if phase in ("down", "up") else {})


def report_rows(place: str, cpu: int, delay: int) -> dict[str, list[float]]:
    """Returns ms of each phase in the report: of the whole, and of each share."""
    section = str(sections.split_section(result_of(unit_of(place, cpu, delay)), "r1"))
    rows = re.findall(r"<tr.*?</tr>", section, re.DOTALL)
    found = {}
    for row in rows:
        words = [re.sub(r"<[^>]*>", " ", cell).split()
                 for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)]
        for phase in ("down", "up"):
            if [phase] in words:
                numbers = [float(word[0]) for word in words
                           if word and re.fullmatch(r"\d+(\.\d+)?", word[0])]
                found[phase] = numbers[:1 + len(WHO)]
    assert set(found) == {"down", "up"}
    return found


@EACH
def test_a_delay_is_in_its_share_of_the_report(place: str, cpu: int) -> None:
    before, after = (report_rows(place, cpu, delay) for delay in (0, DELAY))
    phase, who = expected(place, cpu)
    for one in ("down", "up"):
        wanted = [7.0 if one == phase else 0.0,
                  *(7.0 if (one, name) == (phase, who) else 0.0 for name in WHO)]
        assert [a - b for a, b in zip(after[one], before[one])] == pytest.approx(
            wanted, abs=0.05)
