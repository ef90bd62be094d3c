# SPDX-License-Identifier: Apache-2.0
"""A known delay at each place of a kexec arrives in the interval of that place, and
in no other: in what the VMM writes and prints, and in what Python makes of it.
tests/unit/measure/attribution_test.cc has the same for the tracker."""

import dataclasses
import re
from typing import Any

import pytest
import scripted
from bench_results import result_of, unit
from parkvmm.bench import analysis, export, markdown, results
from parkvmm.report import page

CPUS = 4
CPU = 2  # Its neighbours leave before and after it.
DELAY = 7_000_000
USUAL = {"kernel_before_off": 100_000, "firmware_off": 20_000, "vmm_off": 3_000,
         "guest_poll": 8_000, "firmware_on": 30_000, "vmm_on": 5_000, "kernel_after_on": 50_000}


@dataclasses.dataclass(frozen=True)
class Place:
    interval: str
    phase: str
    who: str
    column: str  # of the VMM's table

    @property
    def delays_the_next(self) -> bool:
        """Whether the next CPU leaves later: this kernel waits for each."""
        return self.phase == "down" and self.interval != "kernel_before_off"


PLACES = [Place("kernel_before_off", "down", "kernel", "kernel->off"),
          Place("firmware_off", "down", "firmware", "fw off"),
          Place("vmm_off", "down", "vmm", "VMM off"),
          Place("guest_poll", "down", "polling", "poll"),
          Place("firmware_on", "up", "firmware", "fw on"),
          Place("vmm_on", "up", "vmm", "VMM on"),
          Place("kernel_after_on", "up", "kernel", "kernel on->")]
COLUMNS = ("kernel->off", "VMM off", "fw off", "poll", "VMM on", "fw on", "kernel on->")
each_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.interval)


def script(delayed: str = "") -> scripted.Script:
    """A kernel that takes its CPUs down one by one, and up again."""
    told, ns = scripted.Script(CPUS), 1_000_000
    told.first_boot()
    told.mark(ns, scripted.KEXEC)

    def takes(what: str, cpu: int) -> int:
        return USUAL[what] + (DELAY if (what, cpu) == (delayed, CPU) else 0)

    for cpu in range(1, CPUS):
        ns += takes("kernel_before_off", cpu)
        told.leaves(ns, cpu)
        ns += takes("firmware_off", cpu) + takes("vmm_off", cpu)
        told.off(ns, cpu, firmware=takes("firmware_off", cpu))
        told.asked(ns + 1000, cpu, answer=0)  # It is told ON, whatever was first.
        ns += takes("guest_poll", cpu)
        told.asked(ns, cpu)
    ns += 500_000
    told.version(ns)
    ns += 300_000
    for cpu in range(1, CPUS):
        told.called(ns - 1000, cpu, result=-4)  # Refused, so it is no call.
        told.called(ns, cpu)
        ns += takes("firmware_on", cpu) + takes("vmm_on", cpu)
        told.starts(ns, cpu, firmware=takes("firmware_on", cpu))
        ns += takes("kernel_after_on", cpu)
    told.mark(ns + 900_000, scripted.UP)
    return told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, scripted.Written]:
    """What the VMM wrote, by what was delayed; "" without a delay."""
    return {delayed: scripted.run(script(delayed), tmp_path_factory.mktemp("run"))
            for delayed in ("", *USUAL)}


def figures(value: Any, path: str = "") -> dict[str, int]:
    """Returns all numbers below a value, by their path."""
    if isinstance(value, dict):
        return {name: number for key, below in value.items()
                for name, number in figures(below, f"{path}/{key}").items()}
    return {path: value} if isinstance(value, int) else {}


def intervals(kexec: dict) -> dict[str, int]:
    """Every interval of a kexec. Moments grow with all that comes before them."""
    found = figures({name: kexec[name] for name in ("total_ns", "phase_ns", "split_ns")})
    for cpu in kexec["per_cpu"]:
        found |= figures({f"{name}_ns": cpu[f"{name}_ns"] for name in USUAL}, f"/{cpu['vcpu']}")
    return found


def growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    assert before.keys() == after.keys()
    return {name: ns - before[name] for name, ns in after.items() if ns != before[name]}


def kexec_of(written_: scripted.Written) -> dict:
    kexec, = written_.json()["kexecs"]
    return kexec


@each_place
def test_in_results(written, place: Place) -> None:
    grew = growth(intervals(kexec_of(written[""])), intervals(kexec_of(written[place.interval])))
    expected = {"/total_ns", f"/phase_ns/{place.phase}", f"/split_ns/{place.phase}/{place.who}",
                f"/{CPU}/{place.interval}_ns"}
    if place.delays_the_next:
        expected.add(f"/{CPU + 1}/kernel_before_off_ns")
    assert grew == dict.fromkeys(expected, DELAY)


MOMENTS = ("left_ns", "off_ns", "known_ns", "called_ns", "started_ns")
FIRST_DELAYED = {"kernel_before_off": 0, "firmware_off": 1, "vmm_off": 1, "guest_poll": 2,
                 "firmware_on": 4, "vmm_on": 4, "kernel_after_on": 5}


@each_place
def test_in_moments(written, place: Place) -> None:
    """The moment at the end of the place, and all after it, come later."""
    def moments(which: str) -> list[int]:
        cpu, = (cpu for cpu in kexec_of(written[which])["per_cpu"] if cpu["vcpu"] == CPU)
        return [cpu[moment] for moment in MOMENTS]

    usual = moments("")
    assert usual == sorted(usual)
    later = [after - before for before, after in zip(usual, moments(place.interval))]
    first = FIRST_DELAYED[place.interval]
    assert later == [0] * first + [DELAY] * (5 - first)


def columns(table: str) -> dict[str, dict[str, str]]:
    """Returns the cells of the kexec's rows, by the row's first cell and by heading."""
    lines = table[table.index("kexec 1"):].splitlines()
    heading = ["vCPU", "MPIDR", *COLUMNS]
    assert lines[1].split() == " ".join(heading).split()
    phases = ["CPUs back", *table.splitlines()[0].split()[3:]]
    _, _, back, _, cpus, *kexec = lines[0].split()
    return {"kexec": dict(zip(phases, [f"{back} of {cpus}", *kexec])),
            **{row.split()[0]: dict(zip(heading, row.split())) for row in lines[2:]}}


@each_place
def test_in_the_table(written, place: Place) -> None:
    """In milliseconds, to the digit."""
    def cells(which: str) -> dict[str, int]:
        return {f"/{row}/{name}": round(1e6 * float(text))
                for row, found in columns(written[which].table).items()
                for name, text in found.items() if re.fullmatch(r"\d+\.\d{3}", text)}

    grew = growth(cells(""), cells(place.interval))
    expected = {f"/kexec/{place.phase}", "/kexec/total", f"/{CPU}/{place.column}"}
    if place.delays_the_next:
        expected.add(f"/{CPU + 1}/kernel->off")
    assert grew == dict.fromkeys(expected, DELAY)


def one_unit(written_: scripted.Written) -> dict:
    return unit("stock", [], CPUS) | {"samples": [kexec_of(written_)]}


@each_place
def test_in_the_attribution(written, place: Place) -> None:
    def shares(which: str) -> dict[str, int]:
        unit_ = one_unit(written[which])
        return figures({phase: {who: round(ns) for who, ns in parts.items()}
                        for phase in analysis.PHASES if (parts := analysis.split(unit_, phase))})

    grew = growth(shares(""), shares(place.interval))
    assert grew == {f"/{place.phase}/{place.who}": DELAY}


@each_place
def test_in_tables_of_the_bench(written, place: Place) -> None:
    rows = markdown.split_table([one_unit(written[place.interval])]).splitlines()
    heading = [cell.strip() for cell in rows[0].split("|")]
    row, = (row for row in rows if f"| {place.phase} |" in row)
    cells = dict(zip(heading, (cell.strip() for cell in row.split("|"))))
    grown = {name for name, text in cells.items()
             if name.endswith(", ms") and float(text.split()[0]) >= DELAY / 1e6}
    assert grown == {f"{place.who}, ms"}


@each_place
def test_in_the_csv(written, place: Place) -> None:
    def cells(which: str) -> dict[str, int]:
        heading, row = export.csv_text(result_of(one_unit(written[which]))).splitlines()
        return {f"/{name}": int(text) for name, text in zip(heading.split(","), row.split(","))
                if name.endswith("_ns")}

    grew = growth(cells(""), cells(place.interval))
    assert grew == dict.fromkeys(["/total_ns", f"/{place.phase}_ns",
                                  f"/{place.phase}_{place.who}_ns"], DELAY)


@each_place
def test_in_the_report(written, place: Place) -> None:
    html = page.render(result_of(one_unit(written[place.interval])))
    who = html[html.index('id="r1-who"'):]
    headings = re.findall(r"<th scope=\"col\">([^<]*)", who[:who.index("</thead>")])[-4:]
    row, = (row for row in re.findall("<tr.*?</tr>", who[:who.index("</section>")], re.DOTALL)
            if f"<td>{place.phase}</td>" in row)
    cells = re.findall(r"<td(?: class=\"nil\")?>([\d.]+)</td>", row)[-4:]
    grown = [name for name, text in zip(headings, cells) if float(text) >= DELAY / 1e6]
    assert grown == [{"firmware": "firmware model", "vmm": "VMM", "polling": "polling",
                      "kernel": "guest kernel"}[place.who]]


def test_a_run_is_reported_like_a_bench_of_one_unit(written) -> None:
    result = results.load(written["vmm_on"].results)
    only, = result["units"]
    assert (only["id"], only["samples"]) == ("stock-4cpu", [kexec_of(written["vmm_on"])])
    assert results.check(result, "it") is result
    assert 'id="r1-who"' in page.render(result)
