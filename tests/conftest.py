# SPDX-License-Identifier: Apache-2.0
"""What all tests that drive whole machines share."""

import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))

import arm64_host  # noqa: E402


@pytest.fixture
def host(tmp_path: pathlib.Path) -> arm64_host.Host:
    """An arm64 machine with KVM. Where there is none: a skip that says so, or
    a failure if PARKVMM_REQUIRE_KVM says that there must be one."""
    missing = arm64_host.what_is_missing()
    if missing and os.environ.get("PARKVMM_REQUIRE_KVM"):
        pytest.fail(f"no arm64 host: {missing}")
    if missing:
        pytest.skip(f"no arm64 host: {missing}")
    return arm64_host.Host(tmp_path)
