# SPDX-License-Identifier: Apache-2.0
"""Cases of the tools: what runs left, and the formats of CI systems.

tests/guest/test_run_formats.py compares the formats of one run with those that the VMM writes.
"""

import json
import pathlib
import re
import subprocess

import jsonschema
import pytest
from arm64_host import ROOT
from case_readers import junit_cases, ktap_cases, tap_cases
from parkvmm.cases import formats, output
from parkvmm.cases.cases import (BROKEN, FAILED, SKIPPED, TIMED_OUT, Case, Suite, merged,
                                 printable, suite_of, suite_of_folder, tail_of)
from parkvmm.failure import USAGE, Failure

SCHEMA = json.loads((ROOT / "docs/schemas/cases.schema.json").read_text())
HOSTILE = 'a <b> & "c" # d | `e` *f* [g] %h: 100%, \x1b[31m \x00 \udc80 \ufffe \u20ac'
GOOD = Suite("stock-4cpu", (Case("boot", ns=1_500_000_000), Case("kexec 1", ns=5), Case("end")),
             "kvm", "0.1 (abc)")
BAD = Suite("stop # 8", (
    Case("boot"), Case("kexec 1", FAILED, 7, "cpus-lost", HOSTILE, (HOSTILE, "  vCPU 3: off")),
    Case("kexec 2", TIMED_OUT, None, "kexec-timeout", "waited 5m"),
    Case("kexec 3", SKIPPED, None, "not-begun", "it did not begin #1"),
    Case("end", BROKEN, None, "vmm-bug", "KVM_RUN failed")))
NONE = Suite("skipped", (Case("end", SKIPPED, id="not-begun", message="it did not begin"),))
OF_BAD = {"boot": "passed", "kexec 1": "failed cpus-lost", "kexec 2": "error kexec-timeout",
          "kexec 3": "skipped", "end": "error vmm-bug"}
OF_GOOD = dict.fromkeys(("boot", "kexec 1", "end"), "passed")
ALL = [GOOD, BAD, NONE]
TOLD = {"stock-4cpu": OF_GOOD, "stop # 8": OF_BAD, "skipped": {"end": "skipped"}}
FLAT = {f"{suite.replace('#', '_')}: {case}": outcome for suite, cases in TOLD.items()
        for case, outcome in cases.items()}


# --- formats ----------------------------------------------------------------------------

def test_junit_has_a_suite_for_each() -> None:
    text = formats.junit(ALL)
    assert junit_cases(text) == TOLD
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="parkvmm" '
                           'tests="9" failures="1" errors="2" skipped="2" time="1.500000012">')
    assert junit_cases(formats.junit([])) == {}


def test_tap_names_the_suite_of_each_case() -> None:
    assert tap_cases(formats.tap([GOOD])) == OF_GOOD
    assert tap_cases(formats.tap(ALL)) == FLAT


def test_ktap_has_subtests_where_there_are_several_suites() -> None:
    assert ktap_cases(formats.ktap([BAD])) == OF_BAD
    assert ktap_cases(formats.ktap(ALL)) == FLAT


def test_json_is_as_its_schema_has_it() -> None:
    document = json.loads(formats.json_text(ALL))
    jsonschema.validate(document, SCHEMA)
    assert [suite["label"] for suite in document["suites"]] == ["kvm", None, None]
    assert [case["outcome"] for case in document["suites"][1]["cases"]] == [
        "passed", FAILED, TIMED_OUT, SKIPPED, BROKEN]
    changed = json.loads(formats.json_text(ALL))
    changed["suites"][0]["cases"][0]["outcome"] = "fine"
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(changed)


def test_github_has_failures_first_and_no_more_than_it_shows() -> None:
    lines = formats.annotations([NONE, BAD]).splitlines()
    assert [line.split("::")[1].split(" ")[0] for line in lines] == [
        "error", "error", "error", "notice", "notice"]
    assert all(re.fullmatch(r"::(error|notice) title=[^:,]*::[^\n]*", line) for line in lines)
    many = Suite("many", tuple(Case(f"kexec {i}", FAILED, id="x", message="y") for i in range(50)))
    assert len(formats.annotations([many]).splitlines()) == 10


def test_githubs_summary_is_small_and_has_what_failed() -> None:
    passed = tuple(Case(f"kexec {i}", ns=i) for i in range(20_000))
    failed = tuple(Case(f"lost {i}", FAILED, i, "cpus-lost", "m" * 10_000, ("d" * 300,) * 50)
                   for i in range(200))
    text = formats.summary([GOOD, Suite("many", passed + failed)], "1 of 2")
    assert len(text) < 1 << 20
    assert text.count("| failed |") == 200 and text.count("1 of 2\n") == 1
    assert re.search(r"^\d+ more cases are not shown\.$", text, re.MULTILINE)


def test_of_many_that_passed_a_summary_has_half_its_rows() -> None:
    passed = tuple(Case(f"kexec {i}", ns=i) for i in range(1000))
    text = formats.summary([Suite("many", passed, "kvm")], "all")
    assert text.count("| kexec ") == formats.MAX_SUMMARY_ROWS / 2
    assert f"\n{1000 - formats.MAX_SUMMARY_ROWS // 2} more cases are not shown.\n" in text
    assert text.endswith("\nLabel `kvm`.\n")


def test_a_summary_has_what_is_known_of_a_failure() -> None:
    case = Case("end", FAILED, None, "guest-panic", "it panicked", ("  | last line", "vCPU 0"))
    assert "\nend:\n\n      | last line\n    vCPU 0\n" in formats.summary(
        [Suite("x", (case,))], "it panicked")


def test_text_has_a_line_for_each_case_and_their_number() -> None:
    lines = formats.text_lines(ALL).splitlines()
    assert lines[0].split() == ["stock-4cpu:", "boot", "passed", "1.500", "s"]
    assert lines[-1] == "4 passed, 1 failed, 1 timed out, 1 broken, 2 skipped"
    assert "  waited 5m [kexec-timeout]" in lines
    assert formats.text_lines([]) == "0 passed\n"


@pytest.mark.parametrize("maker", [formats.junit, formats.tap, formats.ktap, formats.json_text,
                                   formats.text_lines, formats.annotations,
                                   lambda suites: formats.summary(suites, HOSTILE)])
def test_what_a_guest_wrote_is_printable(maker) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", maker([BAD, GOOD]))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", maker([BAD]))


def test_printable_text_keeps_the_bytes_of_what_is_not() -> None:
    assert printable("a\x1b\x85€") == "a\\x1b\\xc2\\x85€"
    assert printable(b"\xff\xe2\x82a") == "\\xff\\xe2\\x82a"


# --- what runs left ---------------------------------------------------------------------

def left(folder: pathlib.Path, **more: object) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps({
        "label": "kvm", "tool": {"version": "1", "commit": "c"},
        "cases": [{"name": "boot", "outcome": "passed", "ns": 3, "id": None, "message": None,
                   "details": []},
                  {"name": "end", "outcome": "failed", "ns": None, "id": "guest-panic",
                   "message": "it panicked", "details": ["a", "b"]}]} | more))
    return folder


def test_a_suite_is_what_the_results_of_a_run_have(tmp_path) -> None:
    found = suite_of_folder("x", left(tmp_path), 64, "round 2, ")
    assert found == Suite("x", (Case("round 2, boot", ns=3), Case(
        "round 2, end", FAILED, None, "guest-panic", "it panicked", ("a", "b"))), "kvm", "1 (c)")
    assert found == suite_of("x", json.loads((tmp_path / "results.json").read_text()),
                             "round 2, ")


def test_a_run_without_results_is_broken_and_has_its_last_lines(tmp_path) -> None:
    (tmp_path / "vmm.log").write_bytes(b"first\nvmm: error: \xff no memory\n")
    (tmp_path / "console.log").write_text("".join(f"line {i}\n" for i in range(100)))
    case, = suite_of_folder("x", tmp_path, 69).cases
    assert (case.name, case.outcome, case.id) == ("end", BROKEN, "no-results")
    assert case.message == "it left no results, and ended with 69"
    assert case.details[:2] == ("first", "vmm: error: \\xff no memory")
    assert case.details[2:] == tuple(f"line {i}" for i in range(80, 100))


@pytest.mark.parametrize("content", [
    "", "null", "[]", "{", '{"label": "kvm"}',
    '{"label": 5, "tool": {"version": "1", "commit": "c"}, "cases": []}',
    '{"label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": [{"name": "end", '
    '"outcome": "passed", "ns": null, "id": 5, "message": null, "details": []}]}'])
def test_results_that_are_cut_off_or_too_old_are_none(tmp_path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    case, = suite_of_folder("x", tmp_path, 70).cases
    assert (case.outcome, case.id) == (BROKEN, "no-results")


def test_suites_become_one_with_what_is_known_of_any() -> None:
    found = merged("all", [NONE, GOOD, BAD])
    assert found == Suite("all", NONE.cases + GOOD.cases + BAD.cases, "kvm", "0.1 (abc)")


def test_a_run_that_did_not_begin_is_skipped(tmp_path) -> None:
    case, = suite_of_folder("x", tmp_path / "none", None).cases
    assert (case.outcome, case.message, case.details) == (SKIPPED, "it did not begin", ())


def test_the_end_of_a_long_line_is_enough(tmp_path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 1_000_000)
    assert sum(map(len, tail_of(tmp_path / "log"))) == 1 << 14


# --- the option -------------------------------------------------------------------------

def test_a_format_is_a_name_and_perhaps_a_file_of_the_caller(tmp_path) -> None:
    for name in output.NAMES:
        assert output.parse(name) == output.Format(name)
        assert output.parse(f"{name}:a:b c", tmp_path) == output.Format(name, tmp_path / "a:b c")


@pytest.mark.parametrize("text, reason", [
    ("xml", "xml is not one of text|json|junit|ktap|tap|github"), ("", "is not one of"),
    ("junit:", "junit: names no file; say junit or junit:FILE"), ("Junit", "is not one of")])
def test_a_format_that_there_is_not_is_told(text: str, reason: str) -> None:
    with pytest.raises(Failure, match=re.escape(reason)) as caught:
        output.parse(text)
    assert caught.value.status == USAGE


def test_what_could_not_be_written_is_told_before_anything_runs(tmp_path) -> None:
    for text in (f"tap:{tmp_path}/none/x", f"tap:{tmp_path}"):
        with pytest.raises(Failure, match="cannot write"):
            output.parse_all([text])
    with pytest.raises(Failure, match="two are one file"):
        output.parse_all(["tap:x", "junit:x"], tmp_path)
    assert len(output.parse_all(["tap", "junit", "tap:x"], tmp_path)) == 3


def test_each_format_is_written_where_it_was_wanted(tmp_path, capsys) -> None:
    wanted = output.parse_all([*(f"{name}:{name}" for name in output.NAMES), "tap"], tmp_path)
    (tmp_path / "github").write_text("before\n")
    assert output.write_all(wanted, ALL, "went") == []
    assert (tmp_path / "junit").read_text() == formats.junit(ALL)
    assert (tmp_path / "github").read_text() == "before\n" + formats.summary(ALL, "went")
    assert capsys.readouterr().out == formats.annotations(ALL) + formats.tap(ALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(output.NAMES)


def test_githubs_summary_goes_where_a_step_has_it(tmp_path, capsys) -> None:
    output.write(output.Format("github"), [NONE], "v", {"GITHUB_STEP_SUMMARY": f"{tmp_path}/s"})
    assert (tmp_path / "s").read_text() == formats.summary([NONE], "v")
    output.write(output.Format("github"), [NONE], "v", {})


def test_an_output_that_takes_no_more_is_told_and_the_others_are_written(tmp_path) -> None:
    full, good = output.Format("tap", pathlib.Path("/dev/full")), output.parse(
        "tap:good", tmp_path)
    assert output.write_all([full, good], [GOOD], "") == [
        "cannot write --format tap:/dev/full: No space left on device"]
    assert (tmp_path / "good").read_text() == formats.tap([GOOD])


# --- tools/demo and tools/soak ----------------------------------------------------------

@pytest.mark.parametrize("tool", ["tools/demo", "tools/soak"])
def test_a_mistake_in_a_format_comes_before_any_setup(tool: str, tmp_path) -> None:
    done = subprocess.run([ROOT / tool, "--format", "junit:no/such/x"], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (USAGE, "")
    name = pathlib.Path(tool).name
    assert done.stderr == (f"{name}: --format: cannot write {tmp_path}/no/such/x: No such file or "
                           f"directory; make the folder {tmp_path}/no/such first\n")
