# SPDX-License-Identifier: Apache-2.0
"""How a tool ends that cannot go on."""

USAGE, DIFFERS, UNAVAILABLE, INTERRUPTED = 2, 1, 69, 130


class Failure(Exception):
    """Ends the program with a status, and one line on stderr."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
