# SPDX-License-Identifier: Apache-2.0
"""Makes up plans, events and results of tools/bench."""

import pathlib

from parkvmm.bench import attribution, plan, results

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUP = {"arms": ["stop"], "cpus": [4]}


def plan_of(*groups: dict, **fields) -> dict:
    return {"schema_version": 1, "name": "test", "groups": list(groups)} | fields


# --- events ---

def event(ns: int, cpu: int, kind: str, *args: int, **more) -> dict:
    return {"ns": ns, "vcpu": cpu, "mpidr": hex(cpu), "event": kind,
            "args": [hex(arg) for arg in args]} | more


def call(ns: int, cpu: int, name: str, *args: int, result: int = 0) -> dict:
    return event(ns, cpu, "psci", *args, call=name, result=result)


ONE_BY_ONE = [
    event(100, 0, "mark", attribution.MARK_KEXEC, 3),
    call(200, 1, "CPU_OFF"), event(210, 1, "park"),
    call(215, 0, "AFFINITY_INFO", 1, result=0), call(240, 0, "AFFINITY_INFO", 1, result=1),
    call(300, 2, "CPU_OFF"), event(310, 2, "park"), call(330, 0, "AFFINITY_INFO", 2, result=1),
    call(400, 0, "PSCI_VERSION"),
    call(500, 0, "CPU_ON", 1), event(520, 1, "release"),
    call(600, 0, "CPU_ON", 2), event(640, 2, "release"),
    event(700, 0, "mark", attribution.MARK_UP, 3),
]


# --- results ---

def sample(down: int, total: int = 1000, back: int = 4) -> dict:
    phases = dict.fromkeys(attribution.PHASES, 0) | {"down": down, "userspace": total - down}
    split = {name: {"firmware": 0, "vmm": ns // 4, "polling": 0, "kernel": ns - ns // 4}
             for name, ns in phases.items()}
    doors = {"cpu_off": 3, "park": 0, "cpu_on": 3, "release": 0}
    return {"cpus": 4, "cpus_back": back, "verdict": "pass" if back == 4 else "cpus-lost",
            "doors": doors, "phase_ns": phases, "total_ns": total, "split_ns": split,
            "per_cpu": []}


def unit(arm: str, downs: list[int], cpus: int = 4, label: str = "kvm-on-tcg-icount") -> dict:
    sha = "0" * 64
    guest = {"kernel_sha256": sha, "initrd_sha256": sha, "dtb_sha256": sha,
             "command_line": "", "gic": 3, "psci": "vmm", "park": "host"}
    host = {"kernel": "6.12", "midr": "0x0", "mode": "VHE", "fwb": "no", "gic": "v3"}
    tool = {"version": "0", "commit": "0", "vmm_sha256": sha}
    return {"id": f"{arm}-{cpus}cpu", "arm": arm, "cpus": cpus, "host_cpus": cpus,
            "firmware": "none", "psci": "vmm", "variant": "default", "kernel": "",
            "memory": "1G", "failures": [], "samples": [sample(down) for down in downs],
            "run": {"label": label, "guest": guest, "host": host, "tool": tool, "boot_ns": 1}}


def result_of(*units: dict) -> dict:
    return results.make(plan.parse(plan_of(GROUP)), list(units))


def kexec_events(cpus: int, apart: int, page: bool = False) -> list[dict]:
    """A kexec whose CPUs leave `apart` ns from each other."""
    events = [event(0, 0, "mark", attribution.MARK_KEXEC, cpus)]
    ns = 100_000
    for cpu in range(1, cpus):
        events += [event(ns, cpu, "park-store", 0x4000) if page else call(ns, cpu, "CPU_OFF"),
                   event(ns + 300, cpu, "park")]
        ns += apart
    for cpu in range(1, cpus):
        events.append(call(ns + cpu * 1000, 0, "AFFINITY_INFO", cpu, result=1))
    ns += 12_000_000
    events.append(call(ns, 0, "PSCI_VERSION"))
    for cpu in range(1, cpus):
        ns += 450_000
        events += [event(ns, 0, "release-store", cpu, 0, 0) if page else call(ns, 0, "CPU_ON", cpu),
                   event(ns + 25_000, cpu, "release")]
    return [*events, event(ns + 17_000_000, 0, "mark", attribution.MARK_UP, cpus)]


def kexec_sample(cpus: int, apart: int, page: bool = False, step: str = "") -> dict:
    """As it would be read of a run; with a step of hotplug, if it has a name."""
    events = kexec_events(cpus, apart, page)
    if step:
        marks = (attribution.MARK_STEP_ENTER, attribution.MARK_STEP_EXIT)
        events[1:1] = [event(10 + 50 * i, 0, "mark", mark, 1 | 7 << 16)
                       for i, mark in enumerate(marks)]
    seen, = attribution.kexecs(events)
    phases = {name: end - begin for name, (begin, end) in seen.phases.items()}
    per_cpu = [{"vcpu": cpu, "mpidr": hex(cpu), "kernel_before_off_ns": 0, "vmm_off_ns": 300,
                "guest_poll_ns": 0, "vmm_on_ns": 25_000, "kernel_after_on_ns": 0}
               for cpu in range(1, cpus)]
    return results.sample_of({
        "cpus": cpus, "cpus_back": cpus, "verdict": "pass",
        "doors": {"cpu_off": cpus - 1, "park": 0, "cpu_on": cpus - 1, "release": 0},
        "phase_ns": phases, "total_ns": seen.end, "per_cpu": per_cpu}, seen, {7: step})


def measured(arm: str, cpus: int, apart: int, **more) -> dict:
    """A unit of three kexecs."""
    samples = [kexec_sample(cpus, apart + 100 * i, "page" in arm or "park" in arm, **more)
               for i in range(3)]
    return unit(arm, [], cpus) | {"samples": samples}


def hidden(arm: str, cpus: int) -> dict:
    """A unit whose PSCI KVM answers."""
    sample_ = kexec_sample(cpus, 1000) | {
        "phase_ns": dict.fromkeys(attribution.PHASES), "split_ns": {}}
    del sample_["lanes"]
    return unit(arm, [], cpus) | {"id": f"{arm}-{cpus}cpu-psci-kvm", "psci": "kvm",
                                  "samples": [sample_]}


def of_everything() -> dict:
    """A result that has all that a report can show."""
    result = result_of(
        *(measured("hotplug", cpus, 14_000_000 + 1000 * cpus) for cpus in (2, 4, 8, 16)),
        *(measured("stop", cpus, 16_000) for cpus in (2, 4, 8, 16)),
        measured("hotplug-page", 16, 14_010_000), measured("park-host", 16, 16_000),
        measured("expedited", 8, 300_000, step="sched:active"), hidden("hotplug", 4),
        unit("module", [], 4) | {"run": None, "failures": ["no results"]})
    result["plan"] = result["plan"] | {"question": "What can a report show?"}
    return result | {"sha256": results.digest(result)}
