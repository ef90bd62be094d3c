# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest that writes which tests call which functions of tools/parkvmm, as JSON.

$MUTATION_REACH names the file: {"FILE:LINE": [TEST, ...]}, with the line at which the
function begins. What a test starts as another process is not seen.
"""

import json
import os
import pathlib
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

PACKAGE = str(pathlib.Path("tools/parkvmm").resolve()) + "/"
ROOT = str(pathlib.Path().resolve()) + "/"
reached: dict[tuple[str, int], set[str]] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    def profile(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            place = code.co_filename.removeprefix(ROOT), code.co_firstlineno
            reached.setdefault(place, set()).add(item.nodeid)

    threading.setprofile(profile)
    sys.setprofile(profile)
    yield
    sys.setprofile(None)
    threading.setprofile(None)


def pytest_sessionfinish() -> None:
    pathlib.Path(os.environ["MUTATION_REACH"]).write_text(json.dumps(
        {f"{file}:{line}": sorted(tests) for (file, line), tests in reached.items()}))
