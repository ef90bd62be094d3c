# SPDX-License-Identifier: Apache-2.0
"""The page of one `vmm run`, from results and events that the VMM's own code wrote."""

import copy
import functools
import json
import pathlib
import re
import tempfile
from typing import Any

import pytest
import scripted
from bench_results import add_kexec, of_everything
from parkvmm.bench import figures, results
from parkvmm.failure import DIFFERS, USAGE, Failure
from parkvmm.report import command, events, page, run

BARE = re.compile(r"<[^>]*>")
HOSTILE = "</script><script>alert(1)</script>"


@functools.cache
def written() -> tuple[str, str]:
    """Returns the results and the events of three kexecs of four CPUs."""
    script = scripted.Script(4)
    script.first_boot()
    ns = 1_000_000
    for apart in (14_000_000, 20_000_000, 16_000_000):
        ns = add_kexec(script, ns, apart, page=False, step=False)
    with tempfile.TemporaryDirectory() as folder:
        files = scripted.run(script, pathlib.Path(folder), arm="mine")
        return files.results.read_text(), files.events.read_text()


def document(**changes: Any) -> dict[str, Any]:
    return json.loads(written()[0]) | {"label_insisted": False} | changes


def shown(document_: dict[str, Any]) -> str:
    results.require_valid(document_, "it")
    return page.render_run(document_)


def rows_of(html: str, section: str) -> list[list[str]]:
    """Returns the text of each cell of each row of a section."""
    part = re.search(rf'<section id="r1-{section}">.*?</section>', html, re.DOTALL)
    assert part, f"no section {section}"
    return [[BARE.sub("", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
            for row in re.findall(r"<tr.*?</tr>", part[0], re.DOTALL)]


def stopped(code: int, name: str, sentence: str) -> dict[str, Any]:
    return document()["stop"] | {"exit_code": code, "id": name, "sentence": sentence}


# --- what is said -----------------------------------------------------------------

def test_a_run_is_summed_up_in_a_sentence() -> None:
    assert run.answer(document()) == (
        "3 of 3 kexecs came up, and all 4 CPUs came back each time; down takes 32.0 ms "
        "(28.0 ms to 40.0 ms).")
    one = document(kexecs=document()["kexecs"][:1])
    assert run.answer(one) == "The kexec came up with 4 of 4 CPUs; down takes 28.0 ms."
    assert run.answer(document(label="kvm-on-tcg")).endswith("came back each time.")
    assert run.answer(document(kexecs=[])) == "No kexec began. The first boot started 4 of 4 CPUs."


def test_kexecs_that_failed_are_not_counted_as_good() -> None:
    kexecs = document()["kexecs"]
    kexecs[1] |= {"cpus_back": 3, "verdict": "cpus-lost"}
    kexecs[2] |= {"verdict": "incomplete", "came_up_by": None, "total_ns": None}
    assert run.answer(document(kexecs=kexecs)).startswith(
        "2 of 3 kexecs came up, and all CPUs came back in 1 of them;")
    assert run.answer(document(kexecs=kexecs[2:])) == "The kexec did not come up."
    crash = kexecs[0] | {"crash": True, "cpus_back": 1}
    assert run.came_up([crash]) == "The kexec came up with 1 of 4 CPUs"
    assert run.came_up([kexecs[0], crash]) == (
        "2 of 2 kexecs came up, and the CPUs came back each time")
    assert run.came_up([kexecs[2]] * 2) == "0 of 2 kexecs came up"


def test_boots_have_a_row_each_and_kexecs_their_median_least_and_most() -> None:
    rows = rows_of(shown(document()), "kexecs")
    assert rows[0] == ["boot", "CPUs back", "verdict", *(f"{name} ms" for name in run.MEASURES),
                       "left", "came", "up by"]
    assert [row[0] for row in rows[1:]] == [
        "boot", "kexec 1", "kexec 2", "kexec 3", "median", "least", "most"]
    down, teardown = rows[0].index("down ms"), rows[0].index("teardown ms")
    assert [row[down] for row in rows[1:]] == [
        "-", "28.000", "40.000", "32.000", "32.000", "28.000", "40.000"]
    assert [row[teardown] for row in rows[4:]] == ["32.100", "32.100", "28.100", "40.100"]
    assert rows[2][1:3] == ["4 of 4", "pass"] and rows[2][-3:] == ["CPU_OFF", "CPU_ON", "mark"]


def test_one_kexec_has_no_spread() -> None:
    rows = rows_of(shown(document(kexecs=document()["kexecs"][:1])), "kexecs")
    assert [row[0] for row in rows] == ["boot", "boot", "kexec 1"]


def test_boots_are_in_the_order_in_which_they_began() -> None:
    first, = document()["boots"]
    again = first | {"begin_ns": document()["kexecs"][1]["begin_ns"] + 1}
    rows = rows_of(shown(document(boots=[first, again])), "kexecs")
    assert [row[0] for row in rows[1:6]] == ["boot", "kexec 1", "kexec 2", "boot 2", "kexec 3"]


def test_several_doors_are_counted() -> None:
    counts = {"cpu_off": 2, "park": 1, "cpu_on": 0, "release": 0}
    assert run.doors(counts, ("cpu_off", "CPU_OFF"), ("park", "park")) == "2 CPU_OFF, 1 park"
    assert run.doors(counts, ("cpu_on", "CPU_ON"), ("release", "release")) == "-"


def test_what_went_wrong_is_told_by_name() -> None:
    kexecs = document()["kexecs"]
    lost = {"vcpu": 3, "mpidr": "0x3", "fate": "refused", "answer": -2}
    kexecs[1] |= {"verdict": "cpus-lost", "cpus_back": 1, "lost": [
        lost, lost | {"vcpu": 2, "mpidr": "0x2", "fate": "never-started", "answer": None},
        lost | {"vcpu": 1, "mpidr": "0x1", "fate": "not-called", "answer": None}]}
    bad = document(kexecs=kexecs, lost_events=7,
                   stop=stopped(66, "cpus-lost", "kexec 2 brought back 1 of 4 CPUs"),
                   guest_mistakes=document()["guest_mistakes"] | {"unknown_calls": 2})
    assert run.troubles(bad) == [
        ("exit code 66", "kexec 2 brought back 1 of 4 CPUs [cpus-lost]"),
        ("kexec 2", "vCPU 3 (MPIDR 0x3) was refused: CPU_ON answered -2; vCPU 2 (MPIDR 0x2) was "
         "called and never started; vCPU 1 (MPIDR 0x1) was not called again"),
        ("guest", "2 x call of a function that PSCI does not have"),
        ("events", "7 came too fast to be kept; what they would have told is missing here, too")]
    html = shown(bad)
    assert "<h2>What went wrong</h2>" in html and "exit code 0" not in html
    assert '<tr class="bad"><th scope="row">kexec 2</th>' in html
    good = shown(document())
    assert "What went wrong" not in good and "The run ended with exit code 0." in good
    assert 'class="bad"' not in good


def test_a_diagnosis_is_a_row() -> None:
    one = {"id": "early-read", "sentence": "read a page of its own", "count": 4, "vcpu": 2,
           "place": "0x7ff00010", "value": "0x1"}
    html = shown(document(diagnoses=[one]))
    assert rows_of(html, "diagnoses")[1] == [
        "early-read", "4", "read a page of its own", "2", "0x7ff00010", "0x1"]
    assert "r1-diagnoses" not in shown(document())


def test_what_else_a_run_tells() -> None:
    stop = document()["stop"] | {"resets": 2, "guest_verdict": {"code": 0, "value": 5}}
    said = run.more(document(stop=stop, unlocked=["busybox 1"], spinning={
        "parks": 3, "parked_ns": 2_000_000, "host_cpu_ns": 1_500_000}),
        results.of_run(document(unlocked=["busybox 1"])))
    assert said == (
        "The run ended with exit code 0. It was reset 2 times and booted again. The guest's "
        "verdict has code 0 and value 5. CPUs that spun in park pages for 2.00 ms took 1.50 ms of "
        "host CPU time. Not with the packages of tools/packages.lock, so these are not the "
        "published figures: busybox 1.")


def test_an_emulated_wall_clock_has_no_times() -> None:
    """Counts and verdicts are there; the raw data keeps what was stamped."""
    html = shown(document(label="kvm-on-tcg"))
    body = html.partition('<script type="application/json"')[0]
    assert rows_of(html, "kexecs")[1] == ["boot", "4 of 4", "pass", "-", "CPU_ON", "mark"]
    text = BARE.sub("", re.sub(r"<style>.*?</style>", "", body, flags=re.DOTALL))
    assert not re.search(r"\d (?:ms|µs|ns|s)\b|\d\.\d{3}", text)
    for section in ("who", "lanes", "steps"):
        assert f'id="r1-{section}"' not in html
    assert 'class="worth warning"' in html


def test_text_of_a_run_stays_text() -> None:
    html = shown(document(arm=HOSTILE, stop=stopped(1, "x", HOSTILE)))
    assert html.count("<script") == html.count("</script>") == 2
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
    assert data and json.loads(data[1])["results"][0]["arm"] == HOSTILE


# --- events -----------------------------------------------------------------------

def read(folder: pathlib.Path, text: str, of: dict[str, Any] | None = None) -> events.Events:
    file = folder / "events.jsonl"
    file.write_text(text)
    return events.read(file, of or document())


def test_events_are_counted_by_kind_and_answer(tmp_path: pathlib.Path) -> None:
    found = read(tmp_path, written()[1])
    kinds = {(kind.what, kind.answer): kind for kind in found.kinds}
    assert found.count == len(written()[1].splitlines()) == sum(
        kind.count for kind in found.kinds)
    assert (kinds["CPU_ON", "SUCCESS"].count, kinds["CPU_ON", "SUCCESS"].vcpus) == (12, 1)
    assert (kinds["CPU_OFF", ""].count, kinds["CPU_OFF", ""].vcpus) == (9, 3)
    assert ("PSCI_VERSION", "1.1") in kinds and ("AFFINITY_INFO", "OFF") in kinds
    up = kinds["mark: user space runs", ""]
    assert (up.count, figures.moment(up.first_ns)) == (4, "0.900") and up.last_ns > 1e6
    assert len(found.last) == events.LAST and found.last[-1].number == found.count
    assert found.last[-1].what == "mark: user space runs"
    assert found.last[-1].fields == "code 1, value 4"


@pytest.mark.parametrize("event, answer", [
    ({"call": "CPU_ON", "result": -4}, "ALREADY_ON"), ({"call": "CPU_ON", "result": -99}, "-99"),
    ({"call": "CPU_OFF", "result": -3}, "DENIED"),
    ({"call": "AFFINITY_INFO", "result": 2}, "ON_PENDING"),
    ({"call": "AFFINITY_INFO", "result": -2}, "INVALID_PARAMETERS"), ({"event": "start"}, "")])
def test_answers_have_their_names(event: dict[str, Any], answer: str) -> None:
    assert events.answer_of(event) == answer


def test_events_of_another_run_are_refused(tmp_path: pathlib.Path) -> None:
    lines = written()[1].splitlines(keepends=True)
    offs = [number for number, line in enumerate(lines) if '"off"' in line]
    fewer = "".join(line for number, line in enumerate(lines) if number != offs[4])
    gone = json.loads(lines[offs[4]])
    with pytest.raises(Failure, match=f"of another run: it does not have vCPU {gone['vcpu']} "
                       f"going off at {gone['ns']} ns") as caught:
        read(tmp_path, fewer)
    assert caught.value.status == DIFFERS
    assert read(tmp_path, fewer, document(lost_events=1)).count == len(lines) - 1


@pytest.mark.parametrize("text, words", [
    ("{", "line 1 is no event"), ("[]\n", "line 1 is no event"), ("{}\n", "line 1 is no event"),
    ('{"ns": 1, "vcpu": 0, "event": "psci"}\n', "line 1 lacks a field")])
def test_what_is_no_event_is_refused(tmp_path: pathlib.Path, text: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        read(tmp_path, text)


def test_events_have_a_section_only_if_they_are_given(tmp_path: pathlib.Path) -> None:
    html = page.render_run(document(), read(tmp_path, written()[1]))
    rows = rows_of(html, "events")
    assert rows[0] == ["event", "answer", "times", "by vCPUs", "first ms", "last ms"]
    assert ["CPU_ON", "SUCCESS", "12"] in [row[:3] for row in rows]
    assert 'id="r1-events"' not in page.render_run(document())
    emulated = page.render_run(document(label="kvm-on-tcg"), read(tmp_path, written()[1]))
    assert rows_of(emulated, "events")[0] == ["event", "answer", "times", "by vCPUs"]


# --- the command ------------------------------------------------------------------

def test_the_command_makes_the_page_of_a_run(tmp_path: pathlib.Path, capsys) -> None:
    (tmp_path / "results.json").write_text(written()[0])
    (tmp_path / "events.jsonl").write_text(written()[1])
    words = [str(tmp_path / "results.json"), "--events", str(tmp_path / "events.jsonl")]
    assert command.main(words) == 0
    html = (tmp_path / "report.html").read_text()
    assert html == page.render_run(json.loads(written()[0]), read(tmp_path, written()[1]))
    assert "<title>parkvmm: mine</title>" in html
    (tmp_path / "again").mkdir()
    assert command.main([*words, "--html", str(tmp_path / "again/report.html")]) == 0
    assert (tmp_path / "again/report.html").read_text() == html
    assert command.main([words[0], "--markdown", "-"]) == 0
    assert "| `mine-4cpu` | 3 | 4 of 4 |" in capsys.readouterr().out


def test_events_go_with_one_run(tmp_path: pathlib.Path) -> None:
    results.save(of_everything(), tmp_path / "bench.json")
    (tmp_path / "results.json").write_text(written()[0])
    for files in (["bench.json"], ["results.json", "bench.json"]):
        with pytest.raises(Failure, match="--events goes with the results.json of one vmm run"
                           ) as caught:
            command.main([*(str(tmp_path / file) for file in files), "--events", "x"])
        assert caught.value.status == USAGE
    with pytest.raises(Failure, match="x: No such file"):
        command.main([str(tmp_path / "results.json"), "--events", str(tmp_path / "x")])


def test_the_document_is_left_as_it_was() -> None:
    one = document()
    before = copy.deepcopy(one)
    page.render_run(one)
    assert one == before
