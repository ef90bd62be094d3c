# SPDX-License-Identifier: Apache-2.0
"""A result in the formats of others: CSV, Chrome's trace events, and JSON as
Google Benchmark writes it."""

import csv
import io
import json
import pathlib
from typing import Any, Iterable, Iterator

from parkvmm import outputs
from parkvmm.bench.analysis import MEASURES, values
from parkvmm.bench.facts import PHASES, WHO, Sample, places

AXES = ("id", "arm", "cpus", "host_cpus", "firmware", "psci", "variant", "kernel", "memory")


def csv_text(result: dict[str, Any]) -> str:
    """A line for each sample, ns; empty where it could not be seen."""
    heading = [*AXES, "label", "sample", "cpus_before", "cpus_back", "verdict",
               *(f"{name}_ns" for name in MEASURES),
               *(f"{phase}_{who}_ns" for phase in PHASES for who in WHO)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heading)
    for unit in result["units"]:
        for number, sample in enumerate(unit["samples"]):
            phases = [sample["phase_ns"][name] for name in PHASES] + [sample["total_ns"]]
            split = [(sample["split_ns"][phase] or {}).get(who)
                     for phase in PHASES for who in WHO]
            writer.writerow([*(unit[axis] for axis in AXES), result["label"], number,
                             sample["cpus"], sample["cpus_back"], sample["verdict"],
                             *phases, *split])
    return file.getvalue()


def google_benchmark(result: dict[str, Any]) -> dict[str, Any]:
    """What its tools/compare.py reads: each sample a repetition."""
    benchmarks = []
    for unit in result["units"]:
        for measure in MEASURES:
            samples = values(unit, measure)
            for number, value in enumerate(samples):
                if value is None:
                    continue
                name = f"{measure}/{unit['id']}"
                benchmarks.append({
                    "name": name, "run_name": name, "run_type": "iteration",
                    "repetitions": len(samples), "repetition_index": number, "threads": 1,
                    "iterations": 1, "real_time": value, "cpu_time": value,
                    "time_unit": "ns"})
    return {"context": {"executable": "tools/bench", "label": result["label"]},
            "benchmarks": benchmarks}


# --- Trace events ------------------------------------------------------------

def complete(pid: int, tid: int, name: str, begin: int, end: int) -> dict[str, Any]:
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": begin / 1e3,
            "dur": (end - begin) / 1e3}


def named(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": {"name": name}}


def ways(cpu: dict[str, Any]) -> Iterator[tuple[str, int, int, int]]:
    """Yields each way of a CPU through the VMM that was seen to its end: what it does, from
    when to when, and how long of it the firmware model had the time, which comes first."""
    for what, begin, end, firmware in (("leaves", "left_ns", "off_ns", "firmware_off_ns"),
                                       ("starts", "called_ns", "started_ns", "firmware_on_ns")):
        if cpu[begin] is not None and cpu[end] is not None:
            yield what, cpu[begin], cpu[end], cpu[firmware]


def merged(spans: Iterable[tuple[int, int]]) -> list[list[int]]:
    found: list[list[int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return found


def trace_of(pid: int, title: str, sample: Sample) -> list[dict[str, Any]]:
    """One kexec: the guest's marks and phases, the VMM, and each CPU that left or
    came. Spans of a track lie side by side or inside of each other."""
    guest, vmm, first_cpu = 0, 1, 2
    start = sample["begin_ns"]
    events = [named("process_name", pid, 0, title), named("thread_name", pid, guest, "guest"),
              named("thread_name", pid, vmm, "VMM"),
              complete(pid, guest, "kexec", start, start + sample["total_ns"])]
    events += [complete(pid, guest, name, start + begin, start + end)
               for name, begin, end in places(sample)]
    cpus = sorted(sample["per_cpu"], key=lambda cpu: cpu["vcpu"])
    events += [complete(pid, vmm, "busy", start + begin, start + end) for begin, end in merged(
        (begin + firmware, end) for cpu in cpus for _, begin, end, firmware in ways(cpu))]
    for tid, cpu in enumerate(cpus, first_cpu):
        events.append(named("thread_name", pid, tid, f"CPU {cpu['mpidr']}"))
        for what, begin, end, firmware in ways(cpu):
            if firmware:
                events.append(complete(pid, tid, f"{what} (firmware)", start + begin,
                                       start + begin + firmware))
            events.append(complete(pid, tid, f"{what} (vmm)", start + begin + firmware,
                                   start + end))
        off, called = cpu["off_ns"], cpu["called_ns"]
        if off is not None and called is not None and off <= called:
            events.append(complete(pid, tid, "parked", start + off, start + called))
    return events


def trace(result: dict[str, Any]) -> dict[str, Any]:
    """The last kexec of each unit."""
    events = [event for pid, unit in enumerate(result["units"], 1) if unit["samples"]
              for event in trace_of(pid, unit["id"], unit["samples"][-1])]
    return {"displayTimeUnit": "ns", "traceEvents": events,
            "otherData": {"label": str(result["label"])}}


def write_all(result: dict[str, Any], out: pathlib.Path) -> None:
    outputs.save(out / "samples.csv", csv_text(result))
    outputs.save(out / "google-benchmark.json",
                 json.dumps(google_benchmark(result), indent=1) + "\n")
    outputs.save(out / "trace.json", json.dumps(trace(result)) + "\n")
