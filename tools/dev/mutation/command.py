# SPDX-License-Identifier: Apache-2.0
"""Changes one thing at a time in the sources, and counts how often a unit test notices.

C++: the host unit tests are built once, in build/mutation, with every mutant behind a switch.
The test cases that reach a mutant run with it until one fails, crashes or hangs. Python:
modules of tools/parkvmm, and the tests that need no emulated host. A sample is tried, the
same one each time; docs/testing.md says what survived. PATH: a file or folder to try mutants of.
"""

import argparse
import os
import pathlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence

from . import build, python, report, run
from .mutants import Broken, Mutant, judge, sample

OF_CPP, OF_PYTHON = 400, 160  # mutants that are tried, about


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/dev/mutate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Exit status: 0 if {report.OF_CPP} %% of each room's C++ mutants were killed "
        f"({report.OF_KVM} %% of vmm/kvm's)\nand {report.OF_PYTHON} %% of Python's, else 1.")
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--all", action="store_true", help="try all mutants, not a sample")
    parser.add_argument("--list", action="store_true", help="only say which mutants there are")
    parser.add_argument("--seed", type=int, default=1, help="choose another sample")
    parser.add_argument("--language", choices=["c++", "python"], help="only mutants of this one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="write there what became of each mutant")
    return parser.parse_args(words)


def is_wanted(paths: Sequence[str], file: str) -> bool:
    wanted = [os.path.relpath(path, build.ROOT) if os.path.isabs(path) else path.rstrip("/")
              for path in paths]
    return not wanted or any(file == path or file.startswith(path + "/") for path in wanted)


def work(mutants: list[Mutant], workers: list[Callable[[Mutant], None]]) -> None:
    """Gives each mutant to a worker that is free. Each worker is called by one thread."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    failures: list[BaseException] = []
    begin = said = time.monotonic()

    def serve(worker: Callable[[Mutant], None]) -> None:
        try:
            while not failures:
                worker(waiting.get_nowait())
        except queue.Empty:
            pass
        except BaseException as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=serve, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(1)
        for thread in threads[1:]:
            thread.join(1)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            note(f"{len(mutants) - waiting.qsize()} of {len(mutants)}, {said - begin:.0f} s")
    if failures:
        raise failures[0]


def note(text: str) -> None:
    print(f"mutate: {text}", file=sys.stderr, flush=True)


def of_cpp(options: argparse.Namespace) -> list[Mutant]:
    note("C++: looking for mutants")
    mutants = build.find(lambda file: is_wanted(options.paths, file), options.jobs)
    if not mutants or options.list:
        return mutants
    note(f"C++: building the tests with {len(mutants)} mutants")
    mutants = build.build(mutants)
    note("C++: asking which tests reach which mutants")
    cases = run.cases(options.jobs)
    chosen = mutants if options.all else sample(mutants, OF_CPP, options.seed)
    work(chosen, [run.Runner(cases).try_out] * options.jobs)
    return chosen


def of_python(options: argparse.Namespace) -> list[Mutant]:
    mutants = python.find([file for file in python.files() if is_wanted(options.paths, file)])
    if not mutants or options.list:
        return mutants
    chosen = mutants if options.all else sample(mutants, OF_PYTHON, options.seed)
    note(f"Python: {len(chosen)} of {len(mutants)} mutants")
    runners = [python.Runner(number) for number in range(options.jobs)]
    for runner in runners:
        runner.prepare({mutant.room for mutant in chosen})
    work(chosen, [runner.try_out for runner in runners])
    return chosen


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    languages = {"C++": of_cpp, "Python": of_python}
    good, tried = True, []
    try:
        for language, of_language in languages.items():
            if options.language not in (None, language.lower()):
                continue
            mutants = of_language(options)
            stale = judge(mutants)
            if options.list:
                print("".join(f"{mutant}\n" for mutant in mutants), end="")
            elif mutants:
                complete = options.all and not options.paths
                good &= report.tell(language, mutants, stale if complete else [])
            tried += mutants
        if not tried:
            raise Broken("there are no mutants of these")
        if options.json:
            report.write(options.json, options.seed, tried)
    except Broken as broken:
        note(str(broken))
        return 1
    return 0 if good else 1
