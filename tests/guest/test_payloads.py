# SPDX-License-Identifier: Apache-2.0
"""The payloads of guest-stub/ in the real VMM on real KVM.

All runs of one kind of host share one boot of it; each test looks at one run.
"""

import json
import re

import pytest

from payload_runs import (
    CPU_STUCK, RESET, SOAK, TIMEOUT, VERDICT, WALL_CLOCK, Boot, Outcome, Run, by_kvm, check, rounds)

STOP_DEADLINE = 1.0  # seconds from SYSTEM_OFF to the last CPU's last instruction

ENDS = [
    Run("hello"),
    Run("hello", cpus=4),
    Run("hello", cpus=4, image=True),
    Run("hello", cpus=20),
    Run("verdict_fail", status=VERDICT, says="FAIL"),
    Run("system_off"),
    Run("system_reset", status=RESET),
    Run("system_reset2", status=RESET),
    Run("system_reset2", params="smc32", status=RESET),
    Run("system_reset2", params="warm", status=RESET),
    Run("all_off", cpus=4, status=CPU_STUCK),
    Run("hang", status=TIMEOUT, timeout="2s"),  # It prints: so it has booted.
]
BUSY_ENDS = [
    Run("system_off_with_others", cpus=7, events=True),
    Run("system_off_with_others", cpus=7, params="reset", status=RESET, events=True),
]
# What the specification alone decides, KVM's PSCI has to pass as well.
SPECIFIED = [
    Run("psci_calls", cpus=17),
    Run("entry_state", cpus=2),
    Run("cpu_on_race", cpus=4, params=rounds(100, soak=1000)),
    Run("on_off_chase", cpus=4, params=rounds(25, soak=50)),
    Run("affinity_poll", cpus=3, params="rounds=100"),
    # 15 cycles a round. A soak makes 10,005 of them, in two runs: each has its deadline, on a
    # busy machine too.
    *dict.fromkeys(Run("off_on_cycles", cpus=16, params=rounds(20, soak=each))
                   for each in (334, 333)),
    Run("suspend", cpus=2),
    Run("leftover_interrupts", cpus=2),
    Run("leftover_timer", cpus=2),
    Run("id_registers", cpus=4),
    *BUSY_ENDS,
    Run("system_off", cpus=4),
]
FLOOD = Run("flood", params=f"count={500 if SOAK else 200}", watched=True)
KEXECS = Run("kexec_again", cpus=4, params="kexecs=6", next=("kexec_again",))
OURS = [
    Run("alarm"),
    Run("mmio_nowhere"),
    Run("wide", cpus=512 if SOAK else 128),
    FLOOD,
    KEXECS,
]


def named(*names: str) -> tuple[Run, ...]:
    runs = [run for run in SPECIFIED if run.payload in names]
    return (*runs, *(by_kvm(run) for run in runs))


BOOTS = {
    "gicv3": Boot("payloads-gicv3", (),
                  (*ENDS, *OURS, *SPECIFIED, *dict.fromkeys(map(by_kvm, SPECIFIED)))),
    "gicv2": Boot("payloads-gicv2", ("--gic", "2"),
                  named("hello", "suspend", "leftover_interrupts", "leftover_timer")),
    # SVE and pointer authentication.
    "max": Boot("payloads-max", ("--cpu-model", "max"),
                (*named("entry_state", "id_registers", "psci_calls", "leftover_timer"),
                 Run("entry_state", cpus=2, params="door=page"),
                 Run("entry_state", cpus=2, params="door=device"))),
}


# One boot serves them all, so one of pytest's workers gets them all.
pytestmark = [pytest.mark.usefixtures("host"), pytest.mark.xdist_group(WALL_CLOCK)]

ALL = [pytest.param(boot, run, id=f"{boot}-{run.name}")
       for boot in BOOTS for run in BOOTS[boot].runs]


@pytest.mark.parametrize("boot, run", ALL)
def test_payload(boot: str, run: Run) -> None:
    outcome = check(BOOTS[boot], run)
    assert outcome.results["lost_events"] == 0 or run.payload == "flood"


def of(boot: str, run: Run) -> Outcome:
    return BOOTS[boot].outcome(run)


def stop_of(payload: str, **keywords) -> dict:
    return of("gicv3", Run(payload, **keywords)).results["stop"]


def test_reset2_arrives_with_type_and_cookie() -> None:
    assert stop_of("system_reset2")["reset2"] == {
        "type": "0x80000123", "cookie": "0x123456789abcdef0"}


def test_reset2_of_smc32_has_no_upper_halves() -> None:
    assert stop_of("system_reset2", params="smc32")["reset2"] == {
        "type": "0x80000123", "cookie": "0x9abcdef0"}


def test_warm_reset2_is_told_from_a_vendors() -> None:
    assert stop_of("system_reset2", params="warm")["reset2"]["type"] == "0x0"


def test_plain_reset_is_no_reset2() -> None:
    assert stop_of("system_reset")["reset2"] is None


def test_failure_names_file_and_line() -> None:
    outcome = of("gicv3", Run("verdict_fail"))
    line = outcome.results["stop"]["guest_verdict"]["value"]
    assert f"[stub] FAIL verdict_fail verdict_fail.cc:{line} as it should" in outcome.console


def test_last_cpu_off_is_named() -> None:
    outcome = of("gicv3", Run("all_off", cpus=4))
    assert outcome.results["stop"]["id"] == "all-cpus-off"


def leftovers(boot: str, psci: str) -> list[str]:
    run = Run("leftover_interrupts", cpus=2)
    console = of(boot, run if psci == "vmm" else by_kvm(run)).console
    return [line for line in console.splitlines() if "CPU_O" in line]


@pytest.mark.parametrize("boot", ["gicv3", "gicv2"])
def test_what_cpu_off_leaves_in_the_gic_is_as_with_kvm(boot: str) -> None:
    """CPU_ON resets no redistributor: what was pending or active still is."""
    ours = leftovers(boot, "vmm")
    assert len(ours) == 2
    assert ours[0].removeprefix("before CPU_OFF") == ours[1].removeprefix("after CPU_ON")
    assert ours == leftovers(boot, "kvm")


def test_flood_takes_no_memory() -> None:
    """8500 exits further on, the VMM is as large as before."""
    samples = BOOTS["gicv3"].file(FLOOD, "watch").read_text()
    sizes = [int(size) for size in re.findall(r"VmRSS:\s+(\d+)", samples)]  # KiB
    assert len(sizes) > 3
    early, late = sizes[len(sizes) // 4], sizes[len(sizes) * 3 // 4]
    print(len(sizes), early, late)
    assert late - early < 256


def test_kexecs_of_a_payload_are_seen_as_those_of_a_kernel() -> None:
    outcome = of("gicv3", KEXECS)
    assert re.findall(r"sleeps after kexec (\d+)\.", outcome.console) == ["5", "6"]
    kexecs = outcome.results["kexecs"]
    assert [kexec["cpus_back"] for kexec in kexecs] == [4] * 6
    for kexec in kexecs:
        assert kexec["doors"] == {"cpu_off": 3, "park": 0, "cpu_on": 3, "release": 0}
        assert all(time > 0 for time in kexec["phase_ns"].values())


@pytest.mark.parametrize("run", BUSY_ENDS + [by_kvm(run) for run in BUSY_ENDS],
                         ids=lambda run: run.name)
def test_no_cpu_runs_on_after_the_end(run: Run) -> None:
    """CPUs that mark and call without end are heard of no more."""
    lines = BOOTS["gicv3"].file(run, "events").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    end, = [event["ns"] for event in events if event["event"] in ("power-off", "reset")]
    others = [event["ns"] for event in events if event["event"] in ("psci", "mark")]
    assert len(others) > 10
    lag = (max(others) - end) / 1e9
    print(f"{len(others)} events, the last one {lag:.6f} s after the end")
    assert lag < STOP_DEADLINE
