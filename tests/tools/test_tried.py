# SPDX-License-Identifier: Apache-2.0
"""tools/dev/tried.py: figures of SECURITY.md."""

import json
import pathlib
import sys

import pytest
from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))
import tried  # noqa: E402


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder in which everything is written."""
    monkeypatch.setattr(tried, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(tried, "SOURCES", {
        name: tmp_path / "left" / f"{name}.json" for name in tried.SOURCES})
    monkeypatch.setattr(tried, "stamp", lambda: {"commit": "c0ffee", "date": "2026-11-30"})
    return tmp_path


def test_the_document_has_what_is_recorded() -> None:
    document = tried.DOCUMENT.read_text()
    assert tried.written(document, json.loads(tried.RECORD.read_text())) == document
    assert tried.BEGIN in document and tried.END in document


def test_executions_are_added_up(elsewhere: pathlib.Path) -> None:
    tried.add_fuzzed({"psci": {"runs": 1000, "seconds": 2.4, "edges": 10, "all_edges": 20},
                      "mmio": {"runs": 5, "seconds": 1, "edges": 1, "all_edges": 2}})
    tried.add_fuzzed({"psci": {"runs": 234, "seconds": 2.4, "edges": 12, "all_edges": 20}})
    tried.record()
    text = tried.text_of(json.loads(tried.RECORD.read_text()))
    assert "Fuzzers, 1,239 executions" in text and "commit c0ffee:" in text
    assert "| `psci` | 1,234 | 4 | 12 of 20 |" in text and "| `mmio` | 5 | 1 | 1 of 2 |" in text


def test_a_record_of_nothing_says_so() -> None:
    assert tried.text_of({}) == "Nothing has been recorded yet."


def test_what_is_not_there_stays_as_it_was(elsewhere: pathlib.Path) -> None:
    tried.leave("hostile", {"operations": 12345, "runs": 3, "slack_kib": 512,
                            "command": "tools/test guest"})
    tried.record()
    (elsewhere / "left/hostile.json").unlink()
    tried.leave("calls", {"points": 3, "indices": 1, "statuses": {"124": 1, "69": 2}})
    tried.record()
    text = tried.text_of(json.loads(tried.RECORD.read_text()))
    assert "12,345 operations in 3 runs;\nmemory within 512 KiB" in text
    assert "3 points" in text and "`PARKVMM_CALLS=1 pytest " in text
    assert text.index("| this host cannot | 69 | 2 |") < text.index("| `--timeout` | 124 | 1 |")


def test_a_soak_is_summed_up_by_arm(elsewhere: pathlib.Path) -> None:
    units = [{"unit": {"arm": arm, "cpus": cpus}, "kexecs": kexecs, "cpus_lost": lost}
             for arm, cpus, kexecs, lost in (("stub", 4, 100, 0), ("stub", 8, 100, 2),
                                             ("module", 2, 10, 0))]
    (elsewhere / "left").mkdir()
    (elsewhere / "left/soak.json").write_text(json.dumps(
        {"seed": 7, "failed": [2], "units": units}))
    tried.record()
    text = tried.text_of(json.loads(tried.RECORD.read_text()))
    assert "A soak: 210 kexecs, 2 CPUs lost, 1 units failed." in text
    assert "`tools/soak --kexecs 210 --arms module,stub --seed 7`" in text
    assert "| `stub` | 2 | 200 | 1,198 | 2 |" in text and "| `module` | 1 | 10 | 20 | 0 |" in text


def test_what_stands_around_the_tables_stays() -> None:
    text = tried.written(f"before\n{tried.BEGIN}\nold\n{tried.END}\nafter\n", {
        "hostile": {"operations": 1, "runs": 1, "slack_kib": 1, "command": "x", "date": "d",
                    "commit": "c"}})
    assert text.startswith(f"before\n{tried.BEGIN}\n\nA hostile guest: 1 operations in 1 runs")
    assert text.endswith(f"`x`, d, commit c.\n\n{tried.END}\nafter\n")
    assert "old" not in text
