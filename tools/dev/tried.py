# SPDX-License-Identifier: Apache-2.0
"""What was tried against the VMM, as SECURITY.md has it.

    /usr/bin/python3 tools/dev/tried.py [--record] [--write-docs]

--record takes what the last runs left: of tools/fuzz in build/fuzz/tried.json, where all of them
are added up; of the tests below build/reports/tried; of tools/soak in out/soak/soak.json. What is
not there stays as it was recorded, in docs/results/tried.json. --write-docs writes the tables.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs/results/tried.json"
DOCUMENT = ROOT / "SECURITY.md"
BEGIN = "<!-- tools/dev/tried.py --write-docs writes from here -->"
END = "<!-- to here -->"
SOURCES = {"fuzz": ROOT / "build/fuzz/tried.json",
           "calls": ROOT / "build/reports/tried/calls.json",
           "hostile": ROOT / "build/reports/tried/hostile.json",
           "soak": ROOT / "out/soak/soak.json"}
STATUSES = {"0": "the run went well", "1": "a verdict of the guest's", "2": "usage",
            "66": "a CPU did not come back, told", "69": "this host cannot",
            "70": "a fault of ours, told", "74": "an output is lost", "124": "`--timeout`"}
Record = dict[str, Any]


def stamp() -> Record:
    """Returns when and of what a figure is."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True,
                            capture_output=True, check=True, timeout=60).stdout.strip()
    return {"commit": commit, "date": datetime.date.today().isoformat()}


def leave(name: str, figures: Record) -> None:
    """Writes down what a test has tried."""
    path = SOURCES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stamp() | figures, indent=1) + "\n")


def add_fuzzed(targets: Mapping[str, Record]) -> None:
    """Adds executions of targets, each with runs, seconds, edges and all_edges."""
    path = SOURCES["fuzz"]
    known = json.loads(path.read_text())["targets"] if path.exists() else {}
    for name, new in targets.items():
        old = known.get(name, {"runs": 0, "seconds": 0})
        known[name] = new | {"runs": old["runs"] + new["runs"],
                             "seconds": round(old["seconds"] + new["seconds"])}
    leave("fuzz", {"targets": known})


def soak_of(document: Record) -> Record:
    """Returns the figures of a soak."""
    arms: dict[str, Record] = {}
    for unit in document["units"]:
        row = arms.setdefault(unit["unit"]["arm"], {"units": 0, "kexecs": 0, "back": 0, "lost": 0})
        row["units"] += 1
        row["kexecs"] += unit["kexecs"]
        row["back"] += unit["kexecs"] * unit["unit"]["cpus"] - unit["cpus_lost"]
        row["lost"] += unit["cpus_lost"]
    return stamp() | {"seed": document["seed"], "failed": len(document["failed"]),
                      "arms": dict(sorted(arms.items()))}


def record() -> None:
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name, path in SOURCES.items():
        if path.exists():
            found = json.loads(path.read_text())
            known[name] = soak_of(found) if name == "soak" else found
    RECORD.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


# --- the tables ------------------------------------------------------------------------------

def table(heading: list[str], rows: list[list[str]]) -> str:
    lines = [heading, ["---"] + ["--:"] * (len(heading) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of(figures: Record, command: str) -> str:
    return f"`{command}`, {figures['date']}, commit {figures['commit']}:"


def fuzzed(figures: Record) -> str:
    targets = figures["targets"]
    rows = [[f"`{name}`", f"{each['runs']:,}", f"{each['seconds']:,}",
             f"{each['edges']:,} of {each['all_edges']:,}" if each.get("edges") else "-"]
            for name, each in sorted(targets.items())]
    total = sum(each["runs"] for each in targets.values())
    return (f"Fuzzers, {total:,} executions up to this commit; what they found is in\n"
            f"[docs/testing.md](docs/testing.md#fuzzing).\n{of(figures, 'tools/fuzz')}\n\n"
            + table(["target", "executions", "seconds", "edges reached"], rows))


def calls(figures: Record) -> str:
    rows = [[STATUSES.get(status, "another"), status, str(count)]
            for status, count in sorted(figures["statuses"].items(), key=lambda row: int(row[0]))]
    command = f"PARKVMM_CALLS={figures['indices']} pytest tests/guest/test_failing_calls.py"
    return (f"System calls of runs that fail, one in each: {figures['points']} points, by the "
            f"run's exit status; none hung, none ended in another way.\n"
            f"{of(figures, command)}\n\n"
            + table(["how the run ended", "status", "points"], rows))


def hostile(figures: Record) -> str:
    return (f"A hostile guest: {figures['operations']:,} operations in {figures['runs']} runs;\n"
            f"memory within {figures['slack_kib']} KiB, threads and files the same.\n"
            f"{of(figures, figures['command'])[:-1]}.")


def soaked(figures: Record) -> str:
    arms = figures["arms"]
    rows = [[f"`{arm}`", *(f"{row[what]:,}" for what in ("units", "kexecs", "back", "lost"))]
            for arm, row in arms.items()]
    kexecs = sum(row["kexecs"] for row in arms.values())
    lost = sum(row["lost"] for row in arms.values())
    command = f"tools/soak --kexecs {kexecs} --arms {','.join(arms)} --seed {figures['seed']}"
    return (f"A soak: {kexecs:,} kexecs, {lost} CPUs lost, {figures['failed']} units failed.\n"
            f"{of(figures, command)}\n\n"
            + table(["arm", "units", "kexecs", "CPUs back", "lost"], rows))


MAKERS = {"fuzz": fuzzed, "calls": calls, "hostile": hostile, "soak": soaked}


def text_of(known: Record) -> str:
    parts = [make(known[name]) for name, make in MAKERS.items() if name in known]
    return "\n\n".join(parts) or "Nothing has been recorded yet."


def between(document: str, begin: str, text: str) -> str:
    """Returns the document with this text between a line and the next END."""
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{text}\n\n{END}{after}"


def written(document: str, known: Record) -> str:
    """Returns the document with the tables of a record."""
    return between(document, BEGIN, text_of(known))


def main() -> None:
    parser = argparse.ArgumentParser(prog="tried")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if options.record:
        record()
    if options.write_docs:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), json.loads(RECORD.read_text())))


if __name__ == "__main__":
    main()
