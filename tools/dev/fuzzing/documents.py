# SPDX-License-Identifier: Apache-2.0
"""Gives damaged documents to the Python tools that read results and plans."""

import pathlib
import sys
import tempfile
import time
import traceback

from .native import ROOT
from .outcome import Outcome

TARGET = "results"


def run(runs: int | None, seconds: int | None, seed: int | None) -> Outcome:
    """Goes through the seeds from `seed` on, each with every reader."""
    sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/support")]
    import document_readers  # It imports what tools/setup installs.

    first = seed or 0
    done = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        while ((runs is None or done < runs)
               and (seconds is None or time.monotonic() - begin < seconds)):
            for name in document_readers.READERS:
                try:
                    document_readers.read_damaged(name, first + done, pathlib.Path(folder))
                except Exception as error:  # pylint: disable=broad-except
                    traceback.print_exc()
                    line = traceback.extract_tb(error.__traceback__)[-1]
                    return Outcome(
                        TARGET, (done + 1) * len(document_readers.READERS),
                        time.monotonic() - begin, repeat=f"tools/fuzz --runs 1 --seed "
                        f"{first + done} {TARGET}", finding=f"{name}: {type(error).__name__} at "
                        f"{pathlib.Path(line.filename).name}:{line.lineno}")
            done += 1
    return Outcome(TARGET, done * len(document_readers.READERS), time.monotonic() - begin)
