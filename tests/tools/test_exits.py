# SPDX-License-Identifier: Apache-2.0
"""tools/dev/exits.py: why guests exit, as KVM's tracepoints counted it."""

import json
import pathlib
import sys

import pytest
from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))
import exits  # noqa: E402

HISTOGRAM = """# event histogram
#
# trigger info: hist:keys=esr_ec:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ esr_ec:         22 } hitcount:         23
{ esr_ec:         24 } hitcount:      91080

Totals:
    Hits: 91103
    Entries: 2
    Dropped: 0
"""


def test_a_histogram_is_read_by_its_key() -> None:
    assert exits.counts_of(HISTOGRAM) == {22: 23, 24: 91080}
    assert not exits.counts_of("# event histogram\n\nTotals:\n    Hits: 0\n")


def test_reads_of_ctr_are_no_other_registers(tmp_path: pathlib.Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    costs = tmp_path / "micro.json"
    costs.write_text(json.dumps({"figures": {"vmm": {"ctr_el0": 2000}}}))
    monkeypatch.setattr(exits.micro, "RECORD", costs)
    text = exits.text_of({"cpus": 4, "ctr_el0": 90_000, "commit": "c0ffee", "early_ns": 200_000_000,
                          "classes": {"22": 23, "24": 91_080}})
    assert text.index("| a read of CTR_EL0 | 90,000 |") < text.index(
        "| another system register | 1,080 |") < text.index("| HVC | 23 |")
    assert " are 180 of the 200 ms " in " ".join(text.split())
