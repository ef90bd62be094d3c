# SPDX-License-Identifier: Apache-2.0
"""All that reads a document which a run or a user left, and what must be true of each: it reads
the document, or refuses it by a Failure in one line that a terminal can show."""

import argparse
import contextlib
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import bench_results
from damage import damaged
from parkvmm.bench import gates, plan, results
from parkvmm.cases import cases, formats, output
from parkvmm.failure import Failure
from parkvmm.report import compare, page, short

HIDDEN = {*map(chr, range(0x20)), *map(chr, range(0x7f, 0xa0)), "\ufffe", "\uffff"}


def run_document() -> dict[str, Any]:
    """What `vmm run --results` writes."""
    unit = bench_results.unit("stock", [100, 200])
    boot = {"announced": True, "crash": False, "came_up_by": "mark", "lost": [],
            "teardown_ns": 100}
    case = {"name": "boot", "outcome": "passed", "ns": 5, "id": None, "message": None,
            "details": []}
    bad = {"name": "kexec 1", "outcome": "failed", "ns": None, "id": "cpus-lost",
           "message": "CPU 1 was lost", "details": ["a line"]}
    return {"schema_version": 2, "kind": "parkvmm-run", "label": "kvm-on-tcg-icount",
            "label_reason": "QEMU", "label_insisted": False, "unlocked": [],
            "tool": unit["run"]["tool"], "host": unit["run"]["host"], "arm": "stock",
            "config": {"memory": 1 << 30}, "guest": unit["run"]["guest"],
            "boots": [sample | boot for sample in unit["samples"][:1]],
            "kexecs": [sample | boot for sample in unit["samples"]],
            "diagnoses": [{"id": "page-shared", "sentence": "two came", "count": 1, "vcpu": 1,
                           "place": "0x1000", "value": "0x0"}],
            "spinning": None, "cases": [case, bad],
            "stop": {"exit_code": 66, "id": "cpus-lost", "sentence": "a CPU was lost", "resets": 0,
                     "reset2": None, "guest_verdict": None},
            "guest_mistakes": {"unowned_accesses": 0, "undecodable_accesses": 0,
                               "unknown_calls": 0}, "lost_events": 0}


def bench_document() -> dict[str, Any]:
    """What tools/bench writes."""
    return bench_results.result_of(
        bench_results.unit("stop", [100, 110, 120]), bench_results.unit("hotplug", [500, 510, 520]),
        bench_results.unit("stop", [200, 210], cpus=8),
        bench_results.unit("module", []) | {"run": None, "failures": ["no results"]})


def plan_document() -> dict[str, Any]:
    return bench_results.plan_of({"arms": ["stop", "hotplug"], "cpus": [2, 4], "cycles": 3},
                                 question="Which?", seed=7, rounds=2)


def seal(document: Any) -> Any:
    """A bench's result says its own digest."""
    if isinstance(document, dict) and "sha256" in document:
        with contextlib.suppress(ValueError):
            return results.sealed(document)
    return document


def require(text: str) -> str:
    """Returns text that can be written: UTF-8 without characters that a terminal obeys."""
    text.encode()
    bad = sorted(HIDDEN & set(text) - {"\n"})
    assert not bad, f"not printable: {bad!r} in {text[:300]!r}"
    return text


def report(path: pathlib.Path) -> None:
    document = results.read(path)
    if document["kind"] == results.RUN:
        require(page.render_run(document))
    result = results.of_document(document)
    require(page.render(result))
    require(short.markdown(result))


def compare_with(document: Callable[[], dict[str, Any]]) -> Callable[[pathlib.Path], None]:
    def both(path: pathlib.Path) -> None:
        other = path.with_name("other.json")
        other.write_text(json.dumps(document()))
        for words in ([path, other], [other, path]):
            said, complained = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
                assert compare.main([*map(str, words)]) in (0, 1)
            require(said.getvalue())
            require(complained.getvalue())
    return both


def cases_of(path: pathlib.Path) -> None:
    suite = cases.suite_of_folder("stock", path.parent, 66, results=path)
    for maker in output.MAKERS.values():
        require(maker([suite]))
    require(formats.annotations([suite]))
    require(formats.summary([suite], "it failed"))


def unit_of(path: pathlib.Path) -> None:
    (path.parent / "status").write_text("66\n")
    if path.name != "results.json":
        path = path.rename(path.with_name("results.json"))
    unit = plan.parse(plan_document()).units[0]
    found = results.make(plan.parse(plan_document()), [results.read_unit(unit, [path.parent])])
    require(results.text_of(found))


def baseline(path: pathlib.Path) -> None:
    parser = argparse.ArgumentParser()
    gates.add_options(parser)
    found = gates.parse(parser.parse_args(["--max", "down=1s", "--baseline", str(path)]), True)
    for line in gates.missed(found.held(bench_document(), [])):
        require(line)


def plan_of(path: pathlib.Path) -> None:
    for unit in plan.load(str(path)).units:
        require(unit.id)


# By name: what reads, and what it is given before it is damaged.
READERS: dict[str, tuple[Callable[[pathlib.Path], None], Callable[[], dict[str, Any]]]] = {
    "report-bench": (report, bench_document), "report-run": (report, run_document),
    "compare-bench": (compare_with(bench_document), bench_document),
    "compare-run": (compare_with(run_document), run_document),
    "cases": (cases_of, run_document), "unit": (unit_of, run_document),
    "baseline": (baseline, bench_document), "plan": (plan_of, plan_document)}


def read(name: str, data: bytes, folder: pathlib.Path) -> bool:
    """Has a document read. Returns whether it was taken."""
    path = folder / "results.json"
    path.write_bytes(data)
    try:
        READERS[name][0](path)
    except Failure as failure:
        assert "\n" not in require(str(failure)), f"several lines: {failure}"
        return False
    return True


def read_damaged(name: str, seed: int, folder: pathlib.Path) -> bool:
    return read(name, damaged(json.dumps(READERS[name][1]()), seed, seal), folder)
