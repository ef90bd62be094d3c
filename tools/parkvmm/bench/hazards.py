# SPDX-License-Identifier: Apache-2.0
"""What makes wall-clock times of this machine worth less than they look. In
virtual time none of it matters.

`root` is where the machine's files are: / but for tests.
"""

import os
import pathlib
from typing import Any

BUSY = 0.2  # load per CPU from which others are in the way
# At 1 % of noise, fewer samples tell no difference of 5 % from chance.
FEW_SAMPLES = 10


def words(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def find(cpus: int, samples: int, native: bool,
         root: pathlib.Path = pathlib.Path("/")) -> list[str]:
    """A sentence each, with the remedy. `cpus`: the most that a guest has."""
    if not native:
        return ["wall-clock time of an emulated machine says nothing about any machine: "
                "counts and verdicts are worth something, times are not"]
    found = []
    cores = os.cpu_count() or 1
    if cpus > cores:
        found.append(f"{cpus} vCPUs on {cores} CPUs: they wait for each other, and what is "
                     f"measured is the host's scheduler; take {cores} at most")
    system = root / "sys/devices/system/cpu"
    governors = {word for path in sorted(system.glob("cpu[0-9]*/cpufreq/scaling_governor"))
                 for word in words(path)}
    if governors - {"performance"}:
        found.append(f"CPUs change their frequency (governor {', '.join(sorted(governors))}); "
                     "cpupower frequency-set -g performance")
    if words(system / "cpufreq/boost") == ["1"]:
        found.append("CPUs boost as long as they are cool; echo 0 to cpufreq/boost")
    load = words(root / "proc/loadavg")
    if load and float(load[0]) > BUSY * cores:
        found.append(f"the machine is busy (load {load[0]}); stop what else runs")
    if not words(system / "isolated"):
        found.append("no CPU is isolated; boot with isolcpus= and pin with taskset -c: a "
                     "vCPU that is moved is slower for a while")
    if samples < FEW_SAMPLES:
        found.append(f"{samples} samples of a unit are few; --cycles {FEW_SAMPLES} at least")
    return found


def seen(result: dict[str, Any]) -> list[str]:
    """What only a run could tell."""
    hosts = [unit["run"]["host"] for unit in result["units"] if unit["run"]]
    if any(host.get("fwb") == "no" for host in hosts):
        return ["this CPU has no FEAT_S2FWB: in a guest's first boot each CPU that turns its MMU "
                "on has KVM clean all of the guest's memory; kexecs have none of it, boot_ns has"]
    return []
