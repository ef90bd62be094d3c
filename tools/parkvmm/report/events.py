# SPDX-License-Identifier: Apache-2.0
"""Reads the events of a run (`vmm run --events`), and counts them by kind and answer."""

import collections
import dataclasses
import json
import pathlib
from typing import Any, Iterator

from parkvmm.bench.facts import Sample
from parkvmm.failure import DIFFERS, Failure

LAST = 40  # events that a page lists
COMMON = {"ns", "vcpu", "mpidr", "event", "call", "result"}
ANSWERS = {0: "SUCCESS", -1: "NOT_SUPPORTED", -2: "INVALID_PARAMETERS", -3: "DENIED",
           -4: "ALREADY_ON", -5: "ON_PENDING", -6: "INTERNAL_FAILURE", -7: "NOT_PRESENT",
           -8: "DISABLED", -9: "INVALID_ADDRESS"}
STATES = {0: "ON", 1: "OFF", 2: "ON_PENDING"}
MARKS = {1: "user space runs", 2: "about to call kexec", 3: "a step begins", 4: "a step ends",
         5: "a step's name"}


@dataclasses.dataclass
class Kind:
    what: str
    answer: str
    count: int
    by: set[int]
    first_ns: int
    last_ns: int

    @property
    def vcpus(self) -> int:
        return len(self.by)


@dataclasses.dataclass(frozen=True)
class Line:
    number: int
    ns: int
    vcpu: int
    what: str
    fields: str


@dataclasses.dataclass(frozen=True)
class Events:
    count: int
    kinds: list[Kind]
    last: list[Line]


def answer_of(event: dict[str, Any]) -> str:
    """Returns what a call was answered, by name where there is one."""
    result = event.get("result")
    if result is None or event["call"] == "CPU_OFF" and result == 0:
        return ""  # CPU_OFF returns only if it fails.
    if event["call"] == "PSCI_VERSION" and result >= 0:
        return f"{result >> 16}.{result & 0xffff}"
    names = STATES if event["call"] == "AFFINITY_INFO" and result >= 0 else ANSWERS
    return names.get(result, str(result))


def what(event: dict[str, Any]) -> str:
    if event["event"] == "psci":
        return str(event["call"])
    if event["event"] == "mark":
        return f"mark: {MARKS.get(event['code'], event['code'])}"
    if event["event"] == "off":
        return f"off, by {event['door']}"
    return str(event["event"])


def line_of(number: int, event: dict[str, Any]) -> Line:
    fields = [f"{name} {value}" for name, value in event.items() if name not in COMMON]
    answer = answer_of(event)
    return Line(number, event["ns"], event["vcpu"], what(event),
                ", ".join([*fields, *([f"answer {answer}"] if answer else [])]))


def parsed(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                event = json.loads(text)
                if not {"ns", "vcpu", "event"} <= event.keys():
                    raise ValueError
                yield event
    except OSError as error:
        raise Failure(DIFFERS, f"{path}: {error.strerror}") from None
    except (ValueError, AttributeError):
        raise Failure(DIFFERS, f"{path}: line {number} is no event of vmm run; --events takes "
                      "the file that vmm run --events wrote") from None


def moments(kexecs: list[Sample]) -> set[tuple[int, int]]:
    """Returns when each CPU was off, as (vCPU, ns since the machine started)."""
    return {(cpu["vcpu"], kexec["begin_ns"] + cpu["off_ns"]) for kexec in kexecs
            for cpu in kexec["per_cpu"] if cpu["off_ns"] is not None}


def read(path: pathlib.Path, run: dict[str, Any]) -> Events:
    """Reads the events of a run. Fails if they are those of another run: each CPU that went
    off in the results did so in the events, unless some were lost."""
    kinds: dict[tuple[str, str], Kind] = {}
    last: collections.deque[tuple[int, dict[str, Any]]] = collections.deque(maxlen=LAST)
    wanted = set() if run["lost_events"] else moments(run["kexecs"])
    count = 0
    try:
        for count, event in enumerate(parsed(path), 1):
            key = what(event), answer_of(event)
            kind = kinds.setdefault(key, Kind(*key, 0, set(), event["ns"], event["ns"]))
            kind.count += 1
            kind.by.add(event["vcpu"])
            kind.last_ns = event["ns"]
            last.append((count, event))
            if event["event"] == "off":
                wanted.discard((event["vcpu"], event["ns"]))
        lines = [line_of(number, event) for number, event in last]
    except (KeyError, TypeError):
        raise Failure(DIFFERS, f"{path}: line {count} lacks a field that its kind of event has"
                      ) from None
    if wanted:
        vcpu, ns = min(wanted, key=lambda moment: moment[1])
        raise Failure(DIFFERS, f"{path} is of another run: it does not have vCPU {vcpu} going off "
                      f"at {ns} ns, which the results have")
    return Events(count, list(kinds.values()), lines)
