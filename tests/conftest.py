# SPDX-License-Identifier: Apache-2.0
"""What all tests that drive whole machines share."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))

import arm64_host  # noqa: E402


@pytest.fixture
def host(tmp_path: pathlib.Path) -> arm64_host.Host:
    """An arm64 machine with KVM."""
    arm64_host.require()
    return arm64_host.Host(tmp_path)
