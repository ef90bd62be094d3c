# SPDX-License-Identifier: Apache-2.0
"""What all tests that drive whole machines share."""

import pathlib
import signal
import sys
import time
from collections.abc import Iterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))

import arm64_host  # noqa: E402
from terminals import Terminals  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes a Linux guest or several to say what a "
                            "shorter test says of another, so only `tools/test all` and its "
                            "group do")


@pytest.fixture
def host(tmp_path: pathlib.Path) -> arm64_host.Host:
    """An arm64 machine with KVM."""
    arm64_host.require()
    return arm64_host.Host(tmp_path)


@pytest.fixture
def clocked() -> Iterator[None]:
    """Says how long a test took."""
    begun = time.monotonic()
    yield
    print(f"{time.monotonic() - begun:.0f} s", flush=True)


@pytest.fixture
def terminals() -> Iterator[Terminals]:
    opened = Terminals()
    yield opened
    opened.close()


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Signals that end a program do so, for this process and those that it starts, even if
    the tests themselves were started to ignore them: by nohup, or in the background by a
    shell without job control."""
    before = {number: signal.signal(number, signal.SIG_DFL)
              for number in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
