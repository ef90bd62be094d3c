# SPDX-License-Identifier: Apache-2.0
"""What the VMM writes fits docs/schemas, and what does not fit is refused."""

import copy
import json
from typing import Any, Iterator

import jsonschema
import pytest
import scripted
from bench_results import of_everything
from parkvmm.bench import results
from parkvmm.failure import Failure

SCHEMAS = scripted.ROOT / "docs/schemas"
FREE = {"config", "plan", "host", "steps_ns"}  # what is in them has other names elsewhere
OPTIONAL = {"firmware_ns", "type", "cookie"}  # of events


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


EVENTS, RESULT = validator("events"), validator("result")


def everything() -> scripted.Script:
    """A run with each kind of event and each call."""
    script = scripted.Script(3)
    script.first_boot()
    script.mark(910_000, scripted.STEP_NAME, 7 | int.from_bytes(b"idle", "little") << 16)
    script.mark(1_000_000, scripted.KEXEC)
    script.mark(1_000_100, scripted.STEP_ENTER, 1 | 7 << 16)
    script.mark(1_000_200, scripted.STEP_EXIT, 1 | 7 << 16)
    for cpu, page in ((1, False), (2, True)):
        script.leaves(1_100_000 + cpu, cpu, page=page)
        script.off(1_200_000 + cpu, cpu, page=page, firmware=0 if page else 5)
        script.asked(1_300_000 + cpu, cpu)
    script.version(1_400_000)
    for cpu, page in ((1, False), (2, True)):
        script.called(1_500_000 + cpu, cpu, page=page)
        script.starts(1_600_000 + cpu, cpu, firmware=0 if page else 5)
    calls = [(0x84000001, 3), (0xc4000001, 3), (0x84000003, 3), (0x84000004, 2), (0x84000006, 0),
             (0x84000008, 0), (0x84000009, 0), (0x8400000a, 1), (0xc400000e, 0), (0x84000012, 2),
             (0xc4000012, 2), (0xdeadbeef, 0), (0, 0)]
    for i, (function, arguments) in enumerate(calls):
        script.add(1_700_000 + i, 0, "psci", function, -1, *([2 ** 64 - 1] * arguments))
    script.mark(1_800_000, scripted.UP)
    script.add(1_900_000, 0, "reset")
    script.add(1_900_000, 0, "verdict", 1, 42)
    script.add(1_900_001, 0, "power-off")
    script.add(1_900_002, 0, "reset", 0x80000123, 7)
    return script


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> scripted.Written:
    return scripted.run(everything(), tmp_path_factory.mktemp("everything"))


def objects(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yields the paths of all objects whose fields a schema names."""
    if isinstance(value, dict):
        yield path
        for key, below in value.items():
            if key not in FREE:
                yield from objects(below, (*path, key))
    elif isinstance(value, list):
        for i, below in enumerate(value[:1]):  # The others are of the same kind.
            yield from objects(below, (*path, i))


def at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


# What results of version 0.1 lack.
NEW = {"announced", "crash", "came_up_by", "lost", "teardown_ns", "cases", "kernel_release"}


def refuses_changes(schema: jsonschema.Draft202012Validator, document: dict,
                    optional: set[str]) -> int:
    """Asserts that each object refuses a field more and one less. Returns how many changes."""
    changes = 0
    for path in objects(document):
        for field in ("colour", *at(document, path)):
            changed = copy.deepcopy(document)
            if field == "colour":
                at(changed, path)[field] = "red"
            elif field in optional:
                continue
            else:
                del at(changed, path)[field]
            assert not schema.is_valid(changed), (path, field)
            changes += 1
    return changes


def test_events_are_as_their_schema_has_them(written) -> None:
    lines = written.lines()
    for line in lines:
        EVENTS.validate(line)
    assert {line["event"] for line in lines} == {
        "psci", "off", "start", "park", "release", "mark", "verdict", "reset", "power-off"}
    assert {line["door"] for line in lines if line["event"] == "off"} == {"psci", "page"}


def test_an_event_with_a_field_too_many_or_too_few_is_refused(written) -> None:
    kinds = {json.dumps([line["event"], line.get("call"), *line]): line
             for line in written.lines()}
    assert len(kinds) > 15
    changes = [refuses_changes(EVENTS, line, OPTIONAL if line["event"] != "psci" else set())
               for line in kinds.values()]
    assert min(changes) >= 5


def test_half_a_reset2_is_refused(written) -> None:
    line = next(line for line in written.lines() if "cookie" in line and line["event"] == "reset")
    del line["cookie"]
    assert not EVENTS.is_valid(line)


def test_an_event_has_the_fields_of_its_own_kind(written) -> None:
    on = next(line for line in written.lines() if line.get("call") == "CPU_ON")
    for changed in ({"call": "AFFINITY_INFO"}, {"event": "off"}, {"target": 1}, {"call": "NONE"}):
        assert not EVENTS.is_valid(on | changed), changed


def test_results_are_as_their_schema_has_them(written) -> None:
    run = written.json()
    RESULT.validate(run)
    kexec, = run["kexecs"]
    assert kexec["doors"] == {"cpu_off": 1, "park": 1, "cpu_on": 1, "release": 1}
    assert kexec["steps_ns"] == {"down": {"1": {"idle": 100}}, "up": {}}
    assert run["stop"]["reset2"] == {"type": "0x80000123", "cookie": "0x7"}


def test_a_result_with_a_field_too_many_or_too_few_is_refused(written) -> None:
    assert refuses_changes(RESULT, written.json(), NEW) > 100


def test_a_bench_with_a_field_too_many_or_too_few_is_refused() -> None:
    document = of_everything()
    document["units"] = document["units"][:1]
    document["emulator"] = {"version": "9", "sha256": "0" * 64, "kernel_sha256": "0" * 64}
    RESULT.validate(document)
    assert refuses_changes(RESULT, document, NEW) > 100


def test_what_version_0_1_wrote_is_refused_in_a_line(written) -> None:
    with pytest.raises(Failure, match="^it has format 1, and this parkvmm reads format 2: "
                       "measure again, or use the parkvmm that wrote it$"):
        results.check(written.json() | {"schema_version": 1}, "it")
