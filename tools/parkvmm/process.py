# SPDX-License-Identifier: Apache-2.0
"""Runs programs."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

from parkvmm.failure import INTERNAL, UNAVAILABLE, Failure

TOOL_DEADLINE = 60  # seconds


def run_tool(words: list[str], remedy: str) -> None:
    """Runs a program that takes seconds at most. Its complaint becomes the Failure's."""
    try:
        subprocess.run(words, text=True, check=True, timeout=TOOL_DEADLINE,
                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Failure(UNAVAILABLE, f"{words[0]} is missing; {remedy}") from None
    except subprocess.TimeoutExpired:
        raise Failure(INTERNAL, f"waited {TOOL_DEADLINE} s for {words[0]}") from None
    except subprocess.CalledProcessError as error:
        raise Failure(INTERNAL, f"{words[0]}: {error.stderr.strip()}") from None


@contextlib.contextmanager
def child(words: list[str], file_limit: int = resource.RLIM_INFINITY,
          **keywords: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process that never outlives the block, nor this process if it is killed.

    No file that it writes grows beyond `file_limit` bytes.
    """
    prctl, pr_set_pdeathsig = ctypes.CDLL(None).prctl, 1

    def prepare() -> None:
        prctl(pr_set_pdeathsig, signal.SIGKILL)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        if file_limit != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))

    with subprocess.Popen(words, start_new_session=True, preexec_fn=prepare,
                          **keywords) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
