# SPDX-License-Identifier: Apache-2.0
"""Runs vmm in a step of GitHub Actions, from the inputs of action.yml.

The runner reads commands in what a step prints, and a guest can print anything. So the guest's
console and what vmm says go to the log between ::stop-commands:: and a secret token; what this
module itself has to say comes after it.
"""

import json
import os
import pathlib
import secrets
import subprocess
import sys
from collections.abc import Mapping

from parkvmm.cases import formats
from parkvmm.cases.cases import NO_KVM, Suite, suite_of_folder
from parkvmm.failure import USAGE, Failure
from parkvmm.front.table import KERNEL, OPTIONS, Kind

CHUNK = 1 << 16
OWN = ("host", "deterministic", "out", "artifact", "bundle", "command")  # no options of vmm run
Inputs = Mapping[str, str]


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def is_true(inputs: Inputs, name: str) -> bool:
    value = inputs.get(name, "")
    if value not in ("", "true", "false"):
        raise Failure(USAGE, f"{name}: {value} is neither true nor false")
    return value == "true"


def front_words(inputs: Inputs) -> list[str]:
    """Returns the options of the front door."""
    if is_true(inputs, "deterministic"):
        return ["--deterministic"]
    return ["--host", inputs.get("host") or "auto"]


def option_words(inputs: Inputs) -> list[str]:
    """Returns the options of `vmm run`. An input with several lines is an option as often."""
    words = []
    for option in OPTIONS:
        if option is KERNEL or option.key == "help":
            continue
        if option.kind is Kind.FLAG:
            words += [f"--{option.key}"] * is_true(inputs, option.key)
        else:
            for line in lines_of(inputs.get(option.key, "")):
                words += [f"--{option.key}", line]
    return words


def words_of(inputs: Inputs, out: pathlib.Path) -> list[str]:
    """Returns what follows the program's name. Results, events and JUnit go to a folder unless
    the inputs say where."""
    words = [*front_words(inputs), "run", *option_words(inputs)]
    if not is_true(inputs, "dry-run"):
        for name in ("results", "events"):
            if not inputs.get(name):
                suffix = "json" if name == "results" else "jsonl"
                words += [f"--{name}", str(out / f"{name}.{suffix}")]
        words += ["--format", f"junit:{out / 'junit.xml'}"]
    words.append(inputs["kernel"])
    if command := inputs.get("command", ""):
        words += ["--", "sh", "-ec", command]
    return words


def guarded(words: list[str], console: pathlib.Path) -> int:
    """Runs a program whose output is in the log and obeyed by nobody; its stdout is kept, too.
    Returns its status."""
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    with open(console, "wb") as kept, subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        while data := os.read(process.stdout.fileno(), CHUNK):
            kept.write(data)
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
    # At the beginning of a line, whatever came before.
    print(f"\n::{token}::", flush=True)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def tell(suite: Suite, status: int, environment: Mapping[str, str]) -> None:
    """Says how it went: annotations in the log, the job's summary, and the step's outputs."""
    bad = [case for case in suite.cases if case.fails]
    verdict = (f"{bad[0].name}: {bad[0].message}" if bad else
               f"{len(suite.cases)} cases went well" if status == 0 else
               f"vmm ended with {status}")
    print(formats.annotations([suite]), end="", flush=True)
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        with open(path, "a") as summary:
            summary.write(formats.summary([suite], verdict))
    if path := environment.get("GITHUB_OUTPUT"):
        with open(path, "a") as outputs:
            outputs.write(f"exit-code={status}\nverdict={verdict}\n")


def main(argv: list[str], environment: Mapping[str, str] = os.environ) -> int:
    if argv:
        raise Failure(USAGE, "what to run is in the environment; see action.yml")
    inputs: Inputs = json.loads(environment["PARKVMM_INPUTS"])
    if not inputs.get("kernel"):
        raise Failure(USAGE, "the input kernel is missing")
    out = pathlib.Path(inputs.get("out") or "parkvmm-out")
    out.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "events.jsonl", "junit.xml"):
        (out / name).unlink(missing_ok=True)  # An earlier step's.
    vmm = pathlib.Path(environment["PARKVMM_HOME"], "bin", "vmm")
    status = guarded([str(vmm), *words_of(inputs, out)], out / "console.log")
    if is_true(inputs, "dry-run"):
        return status
    results = pathlib.Path(inputs.get("results") or out / "results.json")
    tell(suite_of_folder(inputs.get("arm") or "stock", out, status, results=results), status,
         environment)
    return 0 if status == NO_KVM else status
