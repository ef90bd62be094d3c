# SPDX-License-Identifier: Apache-2.0
"""A result: every sample of a plan, and all that is needed to repeat it.

`schema.json` is its schema. `sha256` is that of everything else in it, so that a
figure that somebody has changed is seen.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from parkvmm.bench import attribution
from parkvmm.bench.plan import Plan, Unit
from parkvmm.failure import DIFFERS, Failure

SCHEMA = pathlib.Path(__file__).with_name("schema.json")
SCHEMA_VERSION = 1
KIND = "parkvmm-bench"

Result = dict[str, Any]


def steps_of(seen: attribution.Kexec, names: dict[int, str]) -> dict[str, Any]:
    """Returns ns by way, CPU and step. The time of a step is without the steps inside of it."""
    found: dict[str, Any] = {}
    for step in seen.steps:
        way = "down" if step.end <= seen.phases["early"][0] else "up"
        name = names.get(step.number, f"step {step.number}")
        own = found.setdefault(way, {}).setdefault(str(step.cpu), {})
        own[name] = own.get(name, 0) + step.own
    return found


def sample_of(kexec: dict[str, Any], seen: attribution.Kexec | None,
              names: dict[int, str]) -> dict[str, Any]:
    sample = {name: kexec[name] for name in (
        "cpus", "cpus_back", "verdict", "doors", "phase_ns", "total_ns", "per_cpu")}
    sample["split_ns"] = seen.split if seen else {}
    if seen and seen.phases:
        sample["lanes"] = [dataclasses.asdict(lane) for lane in seen.lanes]
    if seen and seen.steps and seen.phases:
        sample["steps_ns"] = steps_of(seen, names)
    return sample


def read_unit(unit: Unit, folders: list[pathlib.Path]) -> dict[str, Any]:
    """Reads what the runs of a unit left, failures included."""
    samples, failures, identity = [], [], None
    for folder in folders:
        if not (folder / "results.json").exists():
            failures.append("no results")
            continue
        results = json.loads((folder / "results.json").read_text())
        status = int((folder / "status").read_text())
        if status:
            failures.append(f"exit status {status}: " + "; ".join(
                str(diagnosis["id"]) for diagnosis in results["diagnoses"]))
        with open(folder / "events.jsonl", encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines]
        seen: list[attribution.Kexec | None] = [*attribution.kexecs(events)]
        names = attribution.step_names(events)
        complete = [kexec for kexec in results["kexecs"] if kexec["total_ns"] is not None]
        if len(seen) != len(complete):
            seen = [None] * len(complete)  # There were more events than the VMM keeps.
        samples += [sample_of(kexec, kexec_seen, names)
                    for kexec, kexec_seen in zip(complete, seen)][unit.warmup:]
        identity = identity or {
            "label": results["label"], "guest": results["guest"], "host": results["host"],
            "tool": results["tool"], "unlocked": results["unlocked"],
            "boot_ns": results["boots"][0]["total_ns"],
            **{name: True for name in ["label_insisted"] if results.get(name)}}
    if len(samples) != unit.cycles * len(folders):
        failures.append(f"{len(samples)} samples of {unit.cycles * len(folders)}")
    return {"id": unit.id, "arm": unit.arm, "cpus": unit.cpus,
            "host_cpus": unit.host_cpus or unit.cpus, "firmware": unit.firmware,
            "psci": unit.psci, "variant": unit.variant, "kernel": unit.kernel,
            "memory": unit.memory, "failures": failures, "run": identity, "samples": samples}


def digest(result: Result) -> str:
    rest = {name: value for name, value in result.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def make(plan: Plan, units: list[dict[str, Any]],
         emulator: dict[str, str] | None = None) -> Result:
    labels = {unit["run"]["label"] for unit in units if unit["run"]}
    if len(labels) > 1:
        raise Failure(DIFFERS, f"runs of different labels: {', '.join(sorted(labels))}")
    result = {"schema_version": SCHEMA_VERSION, "kind": KIND,
              "label": labels.pop() if labels else None, "name": plan.name,
              "plan": plan.document, "emulator": emulator, "units": units}
    return result | {"sha256": digest(result)}


def save(result: Result, path: pathlib.Path) -> None:
    path.write_text(json.dumps(result, indent=1) + "\n")


def check(document: Any, name: str) -> Result:
    """Returns the document if it is a result as it was written. Else the Failure says
    why it is not."""
    import jsonschema  # Debian's python3-jsonschema

    schema = json.loads(SCHEMA.read_text())
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(document))
    if error:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise Failure(DIFFERS, f"{name} is no result: at {place}: {error.message[:200]}")
    if digest(document) != document["sha256"]:
        raise Failure(DIFFERS, f"{name} was changed after it was written: its sha256 does "
                      "not fit")
    for unit in document["units"]:
        if unit["run"] and unit["run"]["label"] != document["label"]:
            raise Failure(DIFFERS, f"{name}: {unit['id']} has the label "
                          f"{unit['run']['label']}, and the whole {document['label']}")
    return document


def load(path: pathlib.Path) -> Result:
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise Failure(DIFFERS, f"{path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise Failure(DIFFERS, f"{path} is no JSON: {error}") from None
    return check(document, str(path))
