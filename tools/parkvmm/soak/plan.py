# SPDX-License-Identifier: Apache-2.0
"""What a soak does: units, each drawn from its seed and its number alone."""

import argparse
import dataclasses
import random
from collections.abc import Iterator

from parkvmm.failure import USAGE, Failure
from parkvmm.guest.arms import ARMS

# guest-stub's kexec_again, which kexecs as Linux does by hotplug, in a fraction of the time.
STUB = "stub"
KEXECS_OF_STUB, KEXECS_OF_LINUX = 100, 10  # of a unit, at most
FIRMWARES = ("none", "none", "n1sdp", "juno", "kunpeng920", "thunderx2")
PARKS = ("off", "guest", "host")
MOST_ON_GICV2 = 8
# Options of tools/arm64-host. Linux's own kexec fails on --cpu-model max.
MACHINES = ((), ("--gic", "2"), ("--cpu-model", "cortex-a72"), ("--cpu-model", "max"))
MACHINES_OF_LINUX = MACHINES[:3]


@dataclasses.dataclass(frozen=True)
class Unit:
    """A guest that kexecs into itself several times."""
    number: int  # from 1 on
    arm: str
    cpus: int
    kexecs: int
    machine: tuple[str, ...]
    firmware: str
    park: str  # of the stub; an arm of Linux has its own
    idle_states: bool
    events: bool
    seed: int  # the guest's

    @property
    def name(self) -> str:
        return f"{self.number:04}"

    def __str__(self) -> str:
        words = [self.arm, f"{self.cpus} CPUs", f"{self.kexecs} kexecs", *self.machine,
                 f"firmware {self.firmware}"]
        words += [f"park {self.park}"] * (self.arm == STUB)
        words += ["idle states"] * self.idle_states + ["events"] * self.events
        return ", ".join(words)


def draw(seed: int, number: int, arms: list[str], cpus: list[int], left: int) -> Unit:
    random_ = random.Random(f"{seed}/{number}")
    arm = random_.choice(arms)
    count = random_.choice(cpus)
    machine = random_.choice(MACHINES if arm == STUB else MACHINES_OF_LINUX)
    if machine == ("--gic", "2") and count > MOST_ON_GICV2:
        machine = ()
    return Unit(number, arm, count,
                min(left, KEXECS_OF_STUB if arm == STUB else KEXECS_OF_LINUX), machine,
                random_.choice(FIRMWARES), random_.choice(PARKS), random_.random() < 0.5,
                random_.random() < 0.5, random_.randrange(1 << 32))


def plan(seed: int, kexecs: int, arms: list[str], cpus: list[int]) -> Iterator[Unit]:
    """Yields units until there are so many kexecs."""
    number = 1
    while kexecs > 0:
        unit = draw(seed, number, arms, cpus, kexecs)
        yield unit
        kexecs -= unit.kexecs
        number += 1


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wants a number from 1 on, not {text!r}")
    return int(text)


def arms_of(text: str) -> list[str]:
    known = [STUB, *ARMS]
    names = known if text == "all" else text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"no arm {name!r}; there are: all, {', '.join(known)}")
    return names


def cpus_of(text: str) -> list[int]:
    """CPUs of the guest, and in virtual time of its host: a GICv3 of QEMU's has up to 512."""
    counts = [at_least_one(word) for word in text.split(",")]
    if max(counts) > 128:
        raise argparse.ArgumentTypeError(f"takes up to 128 CPUs, not {max(counts)}")
    return counts


def unit_of(units: list[Unit], number: int) -> Unit:
    if number > len(units):
        raise Failure(USAGE, f"--unit {number}: this soak has {len(units)}; with more --kexecs it "
                      "has more")
    return units[number - 1]
