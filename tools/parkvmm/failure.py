# SPDX-License-Identifier: Apache-2.0
"""How a tool ends."""

import sys
from typing import Callable, NoReturn

DIFFERS, USAGE, DATA, UNAVAILABLE, INTERNAL, TRY_LATER = 1, 2, 65, 69, 70, 75


class Failure(Exception):
    """Ends the program with a status, and one line on stderr."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def end_with(name: str, main: Callable[[list[str]], int]) -> NoReturn:
    """Runs a tool's main."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        sys.exit(failure.status)
    except KeyboardInterrupt:
        sys.exit(130)
