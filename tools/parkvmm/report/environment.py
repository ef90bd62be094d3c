# SPDX-License-Identifier: Apache-2.0
"""Builds the sections of a page that say what it was measured with, and that hold the data."""

import dataclasses
import json
from typing import Any

from parkvmm.bench.analysis import Unit
from parkvmm.bench.results import Result
from parkvmm.labels import EMULATED
from parkvmm.report.markup import Markup
from parkvmm.report.templating import filled

Pairs = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Kept:
    """The hosts, guests or tools of units: what is the same is there once."""
    title: str
    blocks: list[Pairs]


def grouped(units: list[Unit], part: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Which units have which host, guest or tool."""
    groups: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for unit in units:
        if unit["run"]:
            value = unit["run"][part]
            key = json.dumps(value, sort_keys=True)
            groups.setdefault(key, ([], value))[0].append(unit["id"])
    return list(groups.values())


def words(value: Any) -> str:
    """Returns a value of JSON as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {words(found)}" for name, found in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def flat(value: dict[str, Any]) -> Pairs:
    return [(name.replace("_", " "), words(found)) for name, found in value.items()]


def kept(units: list[Unit], part: str, title: str) -> Kept:
    """Names the units of each, if there is more than one."""
    groups = grouped(units, part)
    return Kept(title, [[*([("units", ", ".join(names))] if len(groups) > 1 else []),
                         *flat(value)] for names, value in groups])


def environment_section(result: Result, ident: str, is_bench: bool = True) -> Markup:
    """A run of `vmm run` has options in place of a plan, and no sha256 of its own."""
    units = result["units"]
    return filled(
        "environment.html.j2", ident=f"{ident}-environment", units=units,
        timed=result["label"] != EMULATED, host=kept(units, "host", "Host"),
        tool=kept(units, "tool", "Tool"),
        guest=kept(units, "guest", "Guest kernels and command lines"),
        emulator=flat(result["emulator"] or {}),
        plan=json.dumps(result["plan"], indent=1, ensure_ascii=False),
        sha256=result["sha256"] if is_bench else None)


def data_section(ident: str, is_bench: bool = True) -> Markup:
    sealed = "; its sha256 is that of the file it was made from" if is_bench else ""
    return filled("data.html.j2", ident=f"{ident}-data",
                  files=[("json", "result.json"), ("csv", "samples.csv")],
                  note="All samples, from this page: nothing is fetched. result.json is what "
                       f"tools/compare and tools/report take{sealed}.")
