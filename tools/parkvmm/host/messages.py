# SPDX-License-Identifier: Apache-2.0
"""Messages of tools/arm64-host."""

import argparse
import shlex
import sys

from parkvmm.failure import DEADLINE, Failure


def say(message: str) -> None:
    print(f"arm64-host: {message}", file=sys.stderr, flush=True)


def overdue(options: argparse.Namespace, what: str) -> Failure:
    return Failure(DEADLINE, f"waited {options.timeout:g} s for {what} "
                   f"({shlex.join(options.command)}); --timeout allows more")
