# SPDX-License-Identifier: Apache-2.0
"""Builds the sections of a page that say what it was measured with, and that hold the data."""

import json
from typing import Any

from parkvmm.bench.analysis import Unit
from parkvmm.bench.figures import ms
from parkvmm.bench.results import Result
from parkvmm.labels import EMULATED
from parkvmm.report.markup import Markup, join, tag
from parkvmm.report.parts import cell, head, name_cell, note, pairs, section, table


def grouped(units: list[Unit], part: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Which units have which host, guest or tool."""
    groups: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for unit in units:
        if unit["run"]:
            value = unit["run"][part]
            key = json.dumps(value, sort_keys=True)
            groups.setdefault(key, ([], value))[0].append(unit["id"])
    return list(groups.values())


def flat(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name.replace("_", " "), " ".join(f"{k} {v}" for k, v in found.items())
             if isinstance(found, dict) else found) for name, found in value.items()]


def kept(units: list[Unit], part: str, title: str) -> Markup:
    """A block for each, folded if there are many."""
    groups = grouped(units, part)
    blocks = []
    for names, value in groups:
        who = [] if len(groups) == 1 else [("units", ", ".join(names))]
        blocks.append(pairs([*who, *flat(value)]))
    content = join(blocks)
    if len(blocks) > 2:
        content = tag("details", tag("summary", f"{len(blocks)} different ones"), content)
    return tag("div", tag("h3", title), content)


def boots(units: list[Unit], timed: bool = True) -> Markup:
    return tag("div", tag("h3", "Machines"), table(
        "The machine of each unit",
        [head("unit"), head("vCPUs"), head("host CPUs"), head("memory"), head("firmware model"),
         head("PSCI by"), head("kernel variant"), head("kernel given"),
         head("first boot", "ms") if timed else None],
        [tag("tr", name_cell(unit), *(cell(unit[axis]) for axis in (
            "cpus", "host_cpus", "memory", "firmware", "psci", "variant", "kernel")),
             cell(ms(unit["run"]["boot_ns"] if unit["run"] else None)) if timed else None)
         for unit in units], "mixed"))


def environment_section(result: Result, ident: str, is_bench: bool = True) -> Markup:
    """A run of `vmm run` has options in place of a plan, and no sha256 of its own."""
    units = result["units"]
    return section(
        f"{ident}-environment", "What it was measured with",
        tag("div", kept(units, "host", "Host"), kept(units, "tool", "Tool"), class_="columns"),
        tag("div", tag("h3", "Emulator"), pairs(flat(result["emulator"])))
        if result["emulator"] else None,
        kept(units, "guest", "Guest kernels and command lines"),
        boots(units, result["label"] != EMULATED),
        tag("details", tag("summary", "The plan" if is_bench else "The options"),
            tag("pre", json.dumps(result["plan"], indent=1, ensure_ascii=False), tabindex="0")),
        tag("p", "sha256 of the result: ", tag("code", result["sha256"]), class_="hash")
        if is_bench else None)


def data_section(ident: str, is_bench: bool = True) -> Markup:
    sealed = "; its sha256 is that of the file it was made from" if is_bench else ""
    return section(
        f"{ident}-data", "Raw data",
        tag("p", tag("button", "result.json", type="button", class_="download", data_kind="json",
                     data_result=0), " ",
            tag("button", "samples.csv", type="button", class_="download", data_kind="csv",
                data_result=0), class_="controls"),
        note("All samples, from this page: nothing is fetched. result.json is what tools/compare "
             f"and tools/report take{sealed}."))
