# SPDX-License-Identifier: Apache-2.0
"""A result in the formats of others: CSV, Chrome's trace events, and JSON as
Google Benchmark writes it."""

import csv
import io
import json
import pathlib
from typing import Any

from parkvmm.bench import attribution
from parkvmm.bench.analysis import MEASURES, values
from parkvmm.bench.attribution import PHASES, WHO
from parkvmm.bench.plan import Plan
from parkvmm.bench.runner import Run, Runner

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
            split = [sample["split_ns"].get(phase, {}).get(who)
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


def trace_of(pid: int, title: str, kexec: attribution.Kexec) -> list[dict[str, Any]]:
    """One kexec: the guest's marks and phases, the VMM, and each CPU that left or
    came. Spans of a track lie side by side or inside of each other."""
    guest, vmm, first_cpu = 0, 1, 2
    events = [named("process_name", pid, 0, title), named("thread_name", pid, guest, "guest"),
              named("thread_name", pid, vmm, "VMM"),
              complete(pid, guest, "kexec", kexec.begin, kexec.end)]
    events += [complete(pid, guest, name, begin, end)
               for name, (begin, end) in kexec.phases.items()]
    busy = sorted((span.begin, span.end) for span in kexec.spans if span.who == "vmm")
    merged: list[list[int]] = []
    for begin, end in busy:
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    events += [complete(pid, vmm, "busy", begin, end) for begin, end in merged]
    cpus = sorted({span.cpu for span in kexec.spans}, key=lambda cpu: int(cpu, 16))
    for tid, cpu in enumerate(cpus, first_cpu):
        events.append(named("thread_name", pid, tid, f"CPU {cpu}"))
        own = sorted((span for span in kexec.spans if span.cpu == cpu and span.who != "polling"),
                     key=lambda span: span.begin)
        events += [complete(pid, tid, f"{span.what} ({span.who})", span.begin, span.end)
                   for span in own]
        left = max((span.end for span in own if span.what == "leaves"), default=None)
        back = min((span.begin for span in own if span.what == "starts"), default=None)
        if left is not None and back is not None and left <= back:
            events.append(complete(pid, tid, "parked", left, back))
    return events


def trace(result: dict[str, Any], folders: list[pathlib.Path]) -> dict[str, Any]:
    """The last kexec of each unit."""
    events: list[dict[str, Any]] = []
    for pid, (unit, folder) in enumerate(zip(result["units"], folders), 1):
        if not (folder / "events.jsonl").exists():
            continue
        with open(folder / "events.jsonl", encoding="utf-8") as lines:
            seen = attribution.kexecs(map(json.loads, lines))
        if seen:
            events += trace_of(pid, unit["id"], seen[-1])
    return {"displayTimeUnit": "ns", "traceEvents": events,
            "otherData": {"label": str(result["label"])}}


def write_all(result: dict[str, Any], running: Runner, plan: Plan,
              out: pathlib.Path) -> None:
    (out / "samples.csv").write_text(csv_text(result), encoding="utf-8", newline="")
    (out / "google-benchmark.json").write_text(
        json.dumps(google_benchmark(result), indent=1) + "\n")
    folders = [running.folder(Run(unit, plan.rounds - 1)) for unit in plan.units]
    (out / "trace.json").write_text(json.dumps(trace(result, folders)) + "\n")
