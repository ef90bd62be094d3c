# SPDX-License-Identifier: Apache-2.0
"""Gives the parsers and protocols inputs that nobody thought of, and says what broke.

    tools/fuzz [--runs N] [--seconds N] [--seed N] [TARGET]...

Without TARGET, all of them in turn; --list says which there are. `results` damages documents
for the Python tools, each seed for every reader; the others are tests/fuzz/*_fuzzer.cc. Each
begins with tests/fuzz/corpus, and with what earlier runs kept in build/fuzz/corpus. A finding's
input is in build/fuzz/found, and what a fuzzer said in build/fuzz/TARGET.log. Executions of all
runs are added up in build/fuzz/tried.json, for SECURITY.md (tools/dev/tried.py). Put the input into
tests/fuzz/corpus/TARGET once it is mended: tools/test runs that.

Exit status: 0 nothing was found; 1 a finding; 2 usage; 69 it cannot be built.
"""

import argparse
import subprocess
import sys

import tried

from . import documents, native
from .outcome import Outcome, table

SECONDS = 60  # for each target, unless the user says something else
UNAVAILABLE = 69


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wants a number from 1 on, not {text}")
    return int(text)


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/fuzz", usage="tools/fuzz [OPTION]... [TARGET]...", description=__doc__,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=at_least_one, metavar="N",
                        help="end each target after so many inputs")
    parser.add_argument("--seconds", type=at_least_one, metavar="N",
                        help=f"or after so long ({SECONDS}, unless --runs is there)")
    parser.add_argument("--seed", type=int, metavar="N", help="begin with these random numbers")
    parser.add_argument("--list", action="store_true", help="say which targets there are")
    options = parser.parse_args(words)
    known = [*native.targets(), documents.TARGET]
    for target in options.targets:
        if target not in known:
            parser.error(f"no target {target}; there are: {', '.join(known)}")
    options.targets = options.targets or known
    if options.runs is None and options.seconds is None:
        options.seconds = SECONDS
    return options


def build(targets: list[str]) -> bool:
    programs = [native.program(target).name for target in targets if target != documents.TARGET]
    return not programs or subprocess.run(["tools/build", "fuzz", *programs], cwd=native.ROOT,
                                          check=False).returncode == 0


def run(target: str, options: argparse.Namespace) -> Outcome:
    if target == documents.TARGET:
        return documents.run(options.runs, options.seconds, options.seed)
    return native.run(target, options.runs, options.seconds, options.seed)


def say(text: str) -> None:
    print(f"fuzz: {text}", file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    if options.list:
        print("\n".join(options.targets))
        return 0
    if not build(options.targets):
        return UNAVAILABLE
    outcomes = []
    for target in options.targets:
        outcome = run(target, options)
        outcomes.append(outcome)
        say(f"{target}: {outcome.runs:,} executions in {outcome.seconds:.0f} s, "
            f"{outcome.finding or 'nothing found'}")
        if outcome.repeat:
            say(f"{target}: again: {outcome.repeat}")
    print(table(outcomes), end="")
    tried.add_fuzzed({outcome.target: {"runs": outcome.runs, "seconds": outcome.seconds,
                                       "edges": outcome.edges, "all_edges": outcome.all_edges}
                      for outcome in outcomes})
    return 1 if any(outcome.finding for outcome in outcomes) else 0
