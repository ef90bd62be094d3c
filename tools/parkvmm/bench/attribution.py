# SPDX-License-Identifier: Apache-2.0
"""Who had the time of a kexec: from the VMM's events alone, for any kernel.

Each moment between the kexec mark and the up mark belongs to one of WHO:

    vmm       a CPU is on its way through the VMM: from CPU_OFF (or the park
              page's magic) until it is off for all to see, or from CPU_ON (or
              the page's exit) to its first instruction
    firmware  the part of that which a firmware model (--firmware) added
    polling   a CPU is off, no other leaves meanwhile, and who asks AFFINITY_INFO
              has not been told yet
    kernel    all else: the guest's kernel, and from the new init on user space

Where several hold at once, the first in this order has the moment. So the parts
add up to the whole, in each phase, without a rest.
"""

import dataclasses
import itertools
from typing import Any, Callable, Iterable, Iterator

PHASES = ("prepare", "down", "jump", "early", "up", "userspace")
WHO = ("firmware", "vmm", "polling", "kernel")
MARK_UP, MARK_KEXEC = 1, 2
MARK_STEP_ENTER, MARK_STEP_EXIT, MARK_STEP_NAME = 3, 4, 5
NAME_CHARS = 4
AFFINITY_OFF = 1

Event = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Span:
    """Something that lasts; ns since the machine started."""
    begin: int
    end: int
    who: str
    cpu: str  # MPIDR, as in the events
    what: str


@dataclasses.dataclass(frozen=True)
class Kexec:
    begin: int
    end: int
    phases: dict[str, tuple[int, int]]  # absent where they could not be seen
    spans: tuple[Span, ...]
    steps: tuple["Step", ...] = ()  # if the kernel marks them
    lanes: tuple["Lane", ...] = ()

    @property
    def split(self) -> dict[str, dict[str, int]]:
        """ns by phase and by WHO; empty without phases."""
        return {name: divide(self.spans, begin, end)
                for name, (begin, end) in self.phases.items()}


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of CPU hotplug for one CPU, by a kernel that marks them."""
    begin: int
    end: int
    cpu: int  # the guest's number
    number: int
    own: int  # ns, without the steps that lie within


@dataclasses.dataclass
class Lane:
    """A CPU that left, in ns since the kexec mark; None where it was not seen."""
    mpidr: str
    left_ns: int | None = None  # its CPU_OFF, or the page's magic
    off_ns: int | None = None  # off for all to see
    known_ns: int | None = None  # the first AFFINITY_INFO that says so
    called_ns: int | None = None  # its CPU_ON, or the page's exit
    started_ns: int | None = None  # its first instruction


def is_call(event: Event, *names: str) -> bool:
    return event["event"] == "psci" and event["call"] in names


def is_leave(event: Event) -> bool:
    """Tells whether a CPU begins to go off, by CPU_OFF or by the park page."""
    return is_call(event, "CPU_OFF") or event["event"] == "park-store"


def is_start(event: Event) -> bool:
    """Tells whether a CPU is called to start, by a CPU_ON that succeeds or by the park page."""
    return (is_call(event, "CPU_ON") and event["result"] == 0) or event["event"] == "release-store"


def mark_of(event: Event) -> int:
    return int(event["args"][0], 16) if event["event"] == "mark" else 0


def windows(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yields the events of each kexec that came up, from its mark to the next up mark."""
    current: list[Event] = []
    for event in events:
        if mark_of(event) == MARK_KEXEC:
            current = [event]
        elif current:
            current.append(event)
            if mark_of(event) == MARK_UP:
                yield current
                current = []


def find_spans(window: list[Event]) -> list[Span]:
    spans, off_at, leaving, starting = [], {}, {}, {}
    left_last = 0
    for event in window:
        ns, cpu = event["ns"], event["mpidr"]
        if is_leave(event):
            leaving[cpu] = (ns, "leaves")
            left_last = ns
        elif event["event"] == "park" and cpu in leaving:
            begin, what = leaving.pop(cpu)
            modelled = event.get("firmware_ns", 0)
            spans += through_vmm(begin, ns, modelled, cpu, what)
            off_at[cpu] = ns
        elif is_call(event, "AFFINITY_INFO") and event["result"] == AFFINITY_OFF:
            target = event["args"][0]
            begin = off_at.pop(target, ns)
            if left_last < begin < ns:
                spans.append(Span(begin, ns, "polling", target, "is asked for"))
        elif is_start(event):
            starting[event["args"][0]] = ns
        elif event["event"] == "release" and cpu in starting:
            modelled = event.get("firmware_ns", 0)
            spans += through_vmm(starting.pop(cpu), ns, modelled, cpu, "starts")
    return spans


def find_lanes(window: list[Event]) -> list[Lane]:
    """Returns lanes by MPIDR. A moment that was not seen is None."""
    begin, lanes = window[0]["ns"], {}
    for event in window:
        ns, cpu = event["ns"] - begin, event["mpidr"]
        if is_leave(event):
            lanes[cpu] = Lane(cpu, left_ns=ns)
        elif event["event"] == "park" and cpu in lanes:
            lanes[cpu].off_ns = ns
        elif is_call(event, "AFFINITY_INFO") and event["result"] == AFFINITY_OFF:
            lane = lanes.get(event["args"][0])
            if lane and lane.off_ns is not None and lane.known_ns is None:
                lane.known_ns = ns
        elif is_start(event):
            lanes.setdefault(event["args"][0], Lane(event["args"][0])).called_ns = ns
        elif event["event"] == "release" and cpu in lanes and lanes[cpu].called_ns is not None:
            lanes[cpu].started_ns = ns
    return sorted(lanes.values(), key=lambda lane: int(lane.mpidr, 16))


def through_vmm(begin: int, end: int, modelled: int, cpu: str, what: str) -> list[Span]:
    """Divides a way through the VMM. The firmware model's time comes first, then the VMM's."""
    modelled = min(modelled, end - begin)
    spans = [Span(begin + modelled, end, "vmm", cpu, what)]
    if modelled:
        spans.append(Span(begin, begin + modelled, "firmware", cpu, what))
    return spans


def find_phases(window: list[Event]) -> dict[str, tuple[int, int]]:
    """Finds phases as vmm/measure/kexec_tracker.h does. There are none if KVM answered PSCI."""
    begin, up = window[0]["ns"], window[-1]["ns"]

    def first(condition: Callable[[Event], bool]) -> int | None:
        return next((event["ns"] for event in window if condition(event)), None)

    version = first(lambda e: is_call(e, "PSCI_VERSION"))
    if version is None:
        return {}
    left = first(lambda e: e["ns"] <= version and is_leave(e))
    on = first(lambda e: e["ns"] >= version and is_start(e))
    offs = [e["ns"] for e in window if e["event"] == "park" and e["ns"] <= version]
    starts = [e["ns"] for e in window if e["event"] == "release"]
    first_off, last_off = (version, version) if left is None else (left, max(offs))
    first_on, last_start = (up, up) if on is None else (on, max(starts))
    edges = [begin, first_off, last_off, version, first_on, last_start, up]
    return dict(zip(PHASES, itertools.pairwise(edges)))


def divide(spans: Iterable[Span], begin: int, end: int) -> dict[str, int]:
    """Divides [begin, end) among WHO."""
    inside = [span for span in spans if span.begin < end and span.end > begin]
    edges = sorted({begin, end} | {edge for span in inside for edge in (span.begin, span.end)
                                   if begin < edge < end})
    changes: dict[int, list[tuple[str, int]]] = {}
    for span in inside:
        changes.setdefault(max(span.begin, begin), []).append((span.who, 1))
        changes.setdefault(min(span.end, end), []).append((span.who, -1))
    active = dict.fromkeys(WHO, 0)
    total = dict.fromkeys(WHO, 0)
    for here, there in itertools.pairwise(edges):
        for who, change in changes.get(here, []):
            active[who] += change
        total[next((who for who in WHO if active[who]), "kernel")] += there - here
    return total


def value_of(event: Event) -> int:
    return int(event["args"][1], 16)


def find_steps(window: list[Event]) -> list[Step]:
    """Finds steps that have ended. Steps of a CPU are nested, whichever CPU runs them."""
    steps: list[Step] = []
    open_: dict[int, list[list[int]]] = {}  # by CPU: number, begin, ns within
    for event in window:
        code = mark_of(event)
        if code not in (MARK_STEP_ENTER, MARK_STEP_EXIT):
            continue
        cpu, number = value_of(event) & 0xffff, value_of(event) >> 16 & 0xffff
        stack = open_.setdefault(cpu, [])
        if code == MARK_STEP_ENTER:
            stack.append([number, event["ns"], 0])
        elif stack and stack[-1][0] == number:
            _, begin, within = stack.pop()
            lasted = event["ns"] - begin
            steps.append(Step(begin, event["ns"], cpu, number, lasted - within))
            if stack:
                stack[-1][2] += lasted
    return steps


def step_names(events: Iterable[Event]) -> dict[int, str]:
    """Returns names of steps, as guest-init has stored them (park.steps)."""
    names: dict[int, str] = {}
    for event in events:
        if mark_of(event) == MARK_STEP_NAME:
            number, text = value_of(event) & 0xffff, value_of(event) >> 16
            names[number] = names.get(number, "") + text.to_bytes(
                NAME_CHARS, "little").rstrip(b"\0").decode("ascii", "replace")
    return names


def kexecs(events: Iterable[Event]) -> list[Kexec]:
    return [Kexec(window[0]["ns"], window[-1]["ns"], find_phases(window),
                  tuple(find_spans(window)), tuple(find_steps(window)),
                  tuple(find_lanes(window))) for window in windows(events)]
