# SPDX-License-Identifier: Apache-2.0
"""How a tool ends."""

import signal
import subprocess
import sys
from typing import Callable, NoReturn

DIFFERS, USAGE, DATA, UNAVAILABLE, INTERNAL, TRY_LATER, DEADLINE = 1, 2, 65, 69, 70, 75, 124
OUTPUT_LOST = 74  # as `vmm run` ends if an output takes no more
INTERRUPTED = 130


class Failure(Exception):
    """Ends the program with a status, and one line on stderr."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class FileFailure(Failure):
    """The same for a file that the user names and that cannot be used."""


def end_with(name: str, main: Callable[[list[str]], int]) -> NoReturn:
    """Runs a tool's main."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        sys.exit(failure.status)
    except OSError as error:  # A full disk, a folder that is not ours.
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(INTERNAL)
    except subprocess.TimeoutExpired as late:
        print(f"{name}: waited {late.timeout:.0f} s for {late.cmd[0]}", file=sys.stderr)
        sys.exit(INTERNAL)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
