# SPDX-License-Identifier: Apache-2.0
"""A result: every sample of a plan, and all that is needed to repeat it.

docs/schemas/result.schema.json is its schema, and that of what `vmm run` writes:
both hold kexecs of the same shape, and either is taken where a result is. The
`sha256` of a bench's is that of everything else in it, so that a figure that
somebody has changed is seen.
"""

import hashlib
import json
import pathlib
from typing import Any

from parkvmm import documents, outputs
from parkvmm.bench.plan import Plan, Unit
from parkvmm.cases.cases import printable
from parkvmm.failure import DIFFERS, Failure
from parkvmm.paths import ROOT

SCHEMA = ROOT / "docs/schemas/result.schema.json"
SCHEMA_VERSION = 2
RUN, BENCH = "parkvmm-run", "parkvmm-bench"

Result = dict[str, Any]


def require_format(document: Any, name: str) -> None:
    """Fails if it is of another version. What is no result at all passes."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version not in (None, SCHEMA_VERSION):
        raise Failure(DIFFERS, f"{name} has format {version}, and this parkvmm reads format "
                      f"{SCHEMA_VERSION}: measure again, or use the parkvmm that wrote it")


def printed(document: Any) -> Any:
    """Returns the document with texts that a terminal and a page may show."""
    if isinstance(document, str):
        return printable(document)
    if isinstance(document, list):
        return [printed(element) for element in document]
    if isinstance(document, dict):
        return {printable(name): printed(value) for name, value in document.items()}
    return document


def samples_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the kexecs of a run that came up."""
    return [kexec for kexec in run["kexecs"] if kexec["total_ns"] is not None]


def identity_of(run: dict[str, Any]) -> dict[str, Any]:
    """Returns what a unit keeps of its run."""
    return {**{name: run[name] for name in ("label", "label_insisted", "unlocked", "tool",
                                            "host", "guest")},
            "boot_ns": run["boots"][0]["total_ns"]}


def read_unit(unit: Unit, folders: list[pathlib.Path]) -> dict[str, Any]:
    """Reads what the runs of a unit left, failures included."""
    samples, failures, identity = [], [], None
    for folder in folders:
        file = folder / "results.json"
        if not file.exists():
            failures.append("no results")
            continue
        try:
            run = printed(documents.load(file))
        except Failure as failure:
            failures.append(str(failure))
            continue
        require_format(run, str(file))
        try:
            status = int((folder / "status").read_text())
            failed = [failure_of(status, run)] if status else []
            found, its_identity = samples_of(run)[unit.warmup:], identity_of(run)
            if not isinstance(its_identity["label"], str):
                raise TypeError
        except (KeyError, TypeError, IndexError, AttributeError):
            failures.append(f"{file} lacks what a run's results have")
            continue
        failures += failed
        samples += found
        identity = identity or its_identity
    if len(samples) != unit.cycles * len(folders):
        failures.append(f"{len(samples)} samples of {unit.cycles * len(folders)}")
    return {"id": unit.id, "arm": unit.arm, "cpus": unit.cpus,
            "host_cpus": unit.host_cpus or unit.cpus, "firmware": unit.firmware,
            "psci": unit.psci, "variant": unit.variant, "kernel": unit.kernel,
            "memory": unit.memory, "failures": failures, "run": identity, "samples": samples}


def failure_of(status: int, run: dict[str, Any]) -> str:
    why = [run["stop"]["id"], *(diagnosis["id"] for diagnosis in run["diagnoses"])]
    return f"exit status {status}: " + "; ".join(dict.fromkeys(filter(None, why)))


def of_run(run: dict[str, Any]) -> Result:
    """Returns what `vmm run` wrote as a result of one unit."""
    status, cpus = run["stop"]["exit_code"], run["boots"][0]["cpus"]
    arm = run["arm"] or "run"
    unit = {"id": f"{arm}-{cpus}cpu", "arm": arm, "cpus": cpus, "host_cpus": cpus,
            "firmware": run["guest"]["firmware"]["name"], "psci": run["guest"]["psci"],
            "variant": "default", "kernel": "", "memory": str(run["config"].get("memory", "")),
            "failures": [failure_of(status, run)] if status else [],
            "run": identity_of(run), "samples": samples_of(run)}
    return sealed({"schema_version": SCHEMA_VERSION, "kind": BENCH, "label": run["label"],
                   "name": arm, "plan": run["config"], "emulator": None, "units": [unit]})


def digest(result: Result) -> str:
    rest = {name: value for name, value in result.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(result: Result) -> Result:
    return result | {"sha256": digest(result)}


def make(plan: Plan, units: list[dict[str, Any]],
         emulator: dict[str, str] | None = None) -> Result:
    labels = {unit["run"]["label"] for unit in units if unit["run"]}
    if len(labels) > 1:
        raise Failure(DIFFERS, f"runs of different labels: {', '.join(sorted(labels))}")
    return sealed({"schema_version": SCHEMA_VERSION, "kind": BENCH,
                   "label": labels.pop() if labels else None, "name": plan.name,
                   "plan": plan.document, "emulator": emulator, "units": units})


def text_of(result: Result) -> str:
    return json.dumps(result, indent=1) + "\n"


def save(result: Result, path: pathlib.Path) -> None:
    outputs.save(path, text_of(result))


def require_valid(document: Any, name: str) -> None:
    """Fails unless the document is a result as it was written, and says why it is not."""
    import jsonschema  # Debian's python3-jsonschema

    require_format(document, name)
    schema = json.loads(SCHEMA.read_text())
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(document))
    if error:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise Failure(DIFFERS, f"{name} is no result: at {place}: {error.message[:200]}")
    if document["kind"] == RUN:
        if not document["boots"]:
            raise Failure(DIFFERS, f"{name} has no boot: nothing was measured")
        return
    if digest(document) != document["sha256"]:
        raise Failure(DIFFERS, f"{name} was changed after it was written: its sha256 does "
                      "not fit")
    for unit in document["units"]:
        if unit["run"] and unit["run"]["label"] != document["label"]:
            raise Failure(DIFFERS, f"{name}: {unit['id']} has the label "
                          f"{unit['run']['label']}, and the whole {document['label']}")


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document that is valid with printable names only."""
    changed = printed(document)
    if changed == document:
        return document
    return changed if changed["kind"] == RUN else sealed(changed)


def of_document(document: dict[str, Any]) -> Result:
    """Returns a bench's result as it is, and that of `vmm run` as a result of one unit."""
    return of_run(document) if document["kind"] == RUN else document


def check(document: Any, name: str) -> Result:
    """Returns the document if it is a result as it was written; one of `vmm run` as a
    result of one unit. Else the Failure says why it is not."""
    require_valid(document, name)
    return of_document(shown(document))


def read(path: pathlib.Path) -> dict[str, Any]:
    """Returns a bench's result or what `vmm run` wrote, as it is in the file, but for what no
    terminal should obey."""
    try:
        document = documents.load(path)
    except OSError as error:
        raise Failure(DIFFERS, f"{path}: {error.strerror}") from None
    require_valid(document, str(path))
    return shown(document)


def load(path: pathlib.Path) -> Result:
    return of_document(read(path))
