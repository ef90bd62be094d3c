# SPDX-License-Identifier: Apache-2.0
"""What reads results, plans and cases meets damaged ones. `tools/fuzz results` tries more."""

import json
import pathlib
from typing import Any

import damage
import document_readers
import pytest
from document_readers import READERS, read, read_damaged
from parkvmm.bench import plan, results

SEEDS = 120  # of each reader; tenths of a second
# One run of many may be damaged: these say so where it would have been.
KEEP_THE_REST = ("cases", "unit")


@pytest.mark.parametrize("name", READERS)
def test_what_is_whole_is_taken(name: str, tmp_path: pathlib.Path) -> None:
    assert read(name, json.dumps(READERS[name][1]()).encode(), tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_what_is_damaged_is_read_or_refused_in_a_line(name: str, tmp_path: pathlib.Path) -> None:
    taken = [read_damaged(name, seed, tmp_path) for seed in range(SEEDS)]
    # Who takes everything does not look, and who takes nothing is not tried.
    assert 0 < sum(taken) < SEEDS or name in KEEP_THE_REST


def test_the_same_seed_damages_in_the_same_way() -> None:
    text = json.dumps(document_readers.bench_document())
    assert [damage.damaged(text, seed) for seed in range(50)] == [
        damage.damaged(text, seed) for seed in range(50)]
    assert len({damage.damaged(text, seed) for seed in range(50)}) > 40


def test_a_reader_that_throws_or_says_too_much_is_noticed(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad, error in (("a\x1bb", AssertionError), ("\ud800", UnicodeEncodeError)):
        def reads(_: pathlib.Path, said: str = bad) -> None:
            document_readers.require(said)
        trial: Any = (reads, dict)
        monkeypatch.setitem(READERS, "bad", trial)
        with pytest.raises(error):
            read("bad", b"{}", tmp_path)


@pytest.mark.parametrize("text", [
    b"[" * damage.DEEP, b'{"a":' * damage.DEEP, damage.DIGITS.encode(), b"\xff\xfe", b"\x80",
    b'{"schema_version": 2, "kind": "parkvmm-run", "label": "\\ud800"}'],
    ids=["deep-list", "deep-object", "digits", "utf-16", "no-utf-8", "surrogate"])
@pytest.mark.parametrize("name", ["report-bench", "unit", "plan"])
def test_what_is_no_text_or_too_deep_is_refused(name: str, text: bytes,
                                                tmp_path: pathlib.Path) -> None:
    assert read(name, text, tmp_path) == (name in KEEP_THE_REST)


def test_a_damaged_run_is_a_failure_of_its_unit(tmp_path: pathlib.Path) -> None:
    (tmp_path / "results.json").write_bytes(b"[" * damage.DEEP)
    unit = plan.parse(document_readers.plan_document()).units[0]
    found = results.read_unit(unit, [tmp_path])
    assert found["failures"] == [
        f"{tmp_path}/results.json is no JSON of ours: it is nested too deeply", "0 samples of 3"]
