# SPDX-License-Identifier: Apache-2.0
"""Makes up plans and results of tools/bench."""

import functools
import json
import pathlib

import scripted
from parkvmm.bench import facts, plan, results

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUP = {"arms": ["stop"], "cpus": [4]}


def plan_of(*groups: dict, **fields) -> dict:
    return {"schema_version": 1, "name": "test", "groups": list(groups)} | fields


# --- results ---

def sample(down: int, total: int = 1000, back: int = 4) -> dict:
    phases = dict.fromkeys(facts.PHASES, 0) | {"down": down, "userspace": total - down}
    split = {name: {"firmware": 0, "vmm": ns // 4, "polling": 0, "kernel": ns - ns // 4}
             for name, ns in phases.items()}
    doors = {"cpu_off": 3, "park": 0, "cpu_on": 3, "release": 0}
    return {"cpus": 4, "cpus_back": back, "verdict": "pass" if back == 4 else "cpus-lost",
            "doors": doors, "begin_ns": 0, "phase_ns": phases, "total_ns": total,
            "split_ns": split, "per_cpu": [], "steps_ns": None}


def unit(arm: str, downs: list[int], cpus: int = 4, label: str = "kvm-on-tcg-icount") -> dict:
    sha = "0" * 64
    firmware = {"name": "none", "off_ns": 0, "on_ns": 0, "far_on_ns": 0, "cpus_per_socket": 0,
                "lock": False}
    guest = {"kernel_format": "Image", "kernel_sha256": sha, "initrd_sha256": sha,
             "dtb_sha256": sha, "command_line": "", "gic": 3, "psci": "vmm",
             "firmware": firmware, "park": "host", "park_pages": None}
    host = {"machine": "aarch64", "kernel": "6.12", "midr": "0x0", "mode": "VHE", "fwb": "no",
            "gic": "v3"}
    tool = {"name": "parkvmm", "version": "0", "commit": "0", "vmm_sha256": sha}
    return {"id": f"{arm}-{cpus}cpu", "arm": arm, "cpus": cpus, "host_cpus": cpus,
            "firmware": "none", "psci": "vmm", "variant": "default", "kernel": "",
            "memory": "1G", "failures": [], "samples": [sample(down) for down in downs],
            "run": {"label": label, "label_insisted": False, "unlocked": [], "guest": guest,
                    "host": host, "tool": tool, "boot_ns": 1}}


def result_of(*units: dict) -> dict:
    return results.make(plan.parse(plan_of(GROUP)), list(units))


def add_kexec(script: scripted.Script, ns: int, apart: int, page: bool, step: bool) -> int:
    """Adds a kexec whose CPUs leave `apart` ns from each other. Returns when it is over."""
    script.mark(ns, scripted.KEXEC)
    if step:  # of CPU 1, number 7
        script.mark(ns + 10, scripted.STEP_ENTER, 1 | 7 << 16)
        script.mark(ns + 60, scripted.STEP_EXIT, 1 | 7 << 16)
    ns += 100_000
    others = range(1, script.cpus)
    for cpu in others:
        script.leaves(ns, cpu, page=page)
        script.off(ns + 300, cpu, page=page)
        ns += apart
    for cpu in others:
        script.asked(ns + cpu * 1000, cpu)
    ns += 12_000_000
    script.version(ns)
    for cpu in others:
        ns += 450_000
        script.called(ns, cpu, page=page)
        script.starts(ns + 25_000, cpu)
    script.mark(ns + 17_000_000, scripted.UP)
    return ns + 18_000_000


@functools.cache
def written(cpus: int, apart: tuple[int, ...], page: bool, step: str) -> str:
    """Returns JSON of the kexecs that the VMM wrote."""
    script = scripted.Script(cpus)
    script.first_boot()
    for i in range(0, len(step), 4):
        text = int.from_bytes(step[i:i + 4].encode(), "little")
        script.mark(910_000 + i, scripted.STEP_NAME, 7 | text << 16)
    ns = 1_000_000
    for gap in apart:
        ns = add_kexec(script, ns, gap, page, bool(step))
    return json.dumps(scripted.kexecs(script))


def measured(arm: str, cpus: int, apart: int, step: str = "") -> dict:
    """A unit of three kexecs, as the VMM would have written them; with a step of hotplug,
    if it has a name."""
    samples = written(cpus, tuple(apart + 100 * i for i in range(3)),
                      "page" in arm or "park" in arm, step)
    return unit(arm, [], cpus) | {"samples": json.loads(samples)}


def hidden(arm: str, cpus: int) -> dict:
    """A unit whose PSCI KVM answers: only marks are seen."""
    script = scripted.Script(cpus)
    script.mark(0, scripted.UP)
    script.mark(1_000_000, scripted.KEXEC)
    script.mark(40_000_000, scripted.UP)
    return unit(arm, [], cpus) | {"id": f"{arm}-{cpus}cpu-psci-kvm", "psci": "kvm",
                                  "samples": scripted.kexecs(script)}


def of_everything() -> dict:
    """A result that has all that a report can show."""
    result = result_of(
        *(measured("hotplug", cpus, 14_000_000 + 1000 * cpus) for cpus in (2, 4, 8, 16)),
        *(measured("stop", cpus, 16_000) for cpus in (2, 4, 8, 16)),
        measured("hotplug-page", 16, 14_010_000), measured("park-host", 16, 16_000),
        measured("expedited", 8, 300_000, step="sched:active"), hidden("hotplug", 4),
        unit("module", [], 4) | {"run": None, "failures": ["no results"]})
    result["plan"] = result["plan"] | {"question": "What can a report show?"}
    return results.sealed(result)
