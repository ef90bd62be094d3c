# SPDX-License-Identifier: Apache-2.0
"""docs/failures.md is what the tools make of docs/results/failures."""

import json
import sys

import jsonschema
import pytest
from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))

import failure_gallery  # noqa: E402

SCHEMA = json.loads((ROOT / "docs/schemas/result.schema.json").read_text())
ENDS = {"panics": 64, "hangs": 124, "resets": 67, "prints": 124, "silent": 65, "lost": 66,
        "slow": 1}


def test_the_page_is_made_of_the_results() -> None:
    assert failure_gallery.PAGE.read_text() == failure_gallery.page()


@pytest.mark.parametrize("name", failure_gallery.FAILURES)
def test_the_results_are_of_runs_that_failed_as_the_heading_says(name: str) -> None:
    document = json.loads((failure_gallery.RESULTS / f"{name}.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["stop"]["exit_code"] == ENDS[name]
    assert document["label"] == "kvm-on-tcg-icount"
