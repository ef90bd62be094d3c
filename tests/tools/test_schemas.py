# SPDX-License-Identifier: Apache-2.0
"""What the VMM writes is what docs/schemas says, to the last field."""

import copy
import functools
import json
import pathlib
import tempfile
from typing import Any, Iterator

import jsonschema
import pytest

import scripted
from bench_results import of_everything

SCHEMAS = scripted.ROOT / "docs/schemas"


@functools.cache
def schema(name: str) -> jsonschema.Draft202012Validator:
    found = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@functools.cache
def written() -> tuple[str, str]:
    """Returns the results and the events of a run in which everything happens."""
    script = scripted.Script(3)
    script.first_boot()
    script.mark(1_000_000, scripted.KEXEC)
    script.leaves(1_100_000, 1)
    script.off(1_100_300, 1, firmware=200)
    script.asked(1_100_500, 1)
    script.leaves(1_200_000, 2, page=True)
    script.off(1_200_300, 2, page=True)
    script.version(1_300_000)
    script.called(1_400_000, 1)
    script.starts(1_400_300, 1, firmware=100)
    script.called(1_500_000, 2, page=True)
    script.starts(1_500_300, 2)
    script.mark(1_600_000, scripted.UP)
    script.add(1_700_000, 0, "reset", 0x80000123, 0x5555)
    with tempfile.TemporaryDirectory() as folder:
        run = scripted.run(script, pathlib.Path(folder))
        return run.results.read_text(), run.events.read_text()


def run_results() -> dict[str, Any]:
    return json.loads(written()[0])


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in written()[1].splitlines()]


def fields(document: Any, place: tuple = ()) -> Iterator[tuple]:
    """Yields where each field of an object is."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield (*place, name)
            yield from fields(value, (*place, name))
    elif isinstance(document, list) and document:
        yield from fields(document[0], (*place, 0))


def at(document: Any, place: tuple) -> Any:
    return functools.reduce(lambda found, name: found[name], place, document)


# What a user or a guest names, so that any name is right.
FREE = {"config", "steps_ns", "split_ns", "plan"}


def places(document: dict[str, Any]) -> list[tuple]:
    return [place for place in fields(document) if not FREE & set(place[:-1])]


def test_results_of_a_run_are_as_the_schema_says() -> None:
    schema("result").validate(run_results())


def test_a_result_of_the_bench_is_as_the_schema_says() -> None:
    schema("result").validate(of_everything())


def test_no_field_of_a_run_may_be_missing() -> None:
    checked = 0
    for place in places(run_results()):
        document = run_results()
        del at(document, place[:-1])[place[-1]]
        assert not schema("result").is_valid(document), f"{place} may be missing"
        checked += 1
    assert checked > 80


def test_no_object_of_a_run_may_hold_what_the_schema_does_not_know() -> None:
    objects = {place[:-1] for place in places(run_results())}
    assert {(), ("tool",), ("kexecs", 0), ("kexecs", 0, "per_cpu", 0)} <= objects
    for place in objects:
        document = run_results()
        at(document, place)["surprise"] = 1
        assert not schema("result").is_valid(document), f"{place} may hold anything"


def test_each_event_is_as_the_schema_says() -> None:
    seen = set()
    for line in lines():
        schema("events").validate(line)
        seen.add((line["event"], line.get("call")))
    assert {("off", None), ("start", None), ("park", None), ("release", None), ("mark", None),
            ("reset", None), ("psci", "CPU_ON"), ("psci", "CPU_OFF"), ("psci", "AFFINITY_INFO"),
            ("psci", "PSCI_VERSION")} <= seen


def test_no_field_of_an_event_may_be_missing_or_unknown() -> None:
    optional = {"firmware_ns"}
    for line in lines():
        for name in line:
            # A reset without type and cookie is one by SYSTEM_RESET.
            if name in optional or line["event"] == "reset" and name in ("type", "cookie"):
                continue
            shorter = copy.deepcopy(line)
            del shorter[name]
            assert not schema("events").is_valid(shorter), f"{line['event']}: {name} may be missing"
        assert not schema("events").is_valid(line | {"args": ["0x0"]})


@pytest.mark.parametrize("name", ["result", "events"])
def test_a_schema_refuses_what_is_something_else(name: str) -> None:
    for document in ({}, [], {"kind": "parkvmm-run"}, {"event": "psci"}, "text"):
        assert not schema(name).is_valid(document)
