# SPDX-License-Identifier: Apache-2.0
"""tools/report: what it says, and how it says it. In a browser: tests/report."""

import json
import pathlib
import re
import subprocess

import bench_results
import pytest
from bench_results import ROOT, measured, of_everything, result_of, unit
from parkvmm.bench import results
from parkvmm.report import page, short, summary

HOSTILE = "<script>alert(1)</script> | `x` </script><!-- \" ' &amp;"
SECTIONS = ("medians", "who", "lanes", "steps", "scaling", "effects", "environment", "data")


def sections_of(html: str) -> list[str]:
    return re.findall(r'<section id="r1-(\w+)"', html)


# --- sentences ---------------------------------------------------------------

def test_one_by_one_is_set_against_all_at_once() -> None:
    first, *more = summary.sentences(result_of(
        measured("hotplug", 32, 14_000_000), measured("stop", 32, 16_000),
        measured("hotplug", 8, 14_000_000), measured("stop", 8, 16_000),
        measured("park-host", 32, 16_000)))
    assert first == ("With 32 CPUs, taking them down takes 420 ms one by one (hotplug) and 483 µs "
                     "all at once (stop); more than 99 % of the former is the guest kernel's.")
    assert more[0] == ("With a park page in place of CPU_OFF, where all stop at once, down and up "
                       "of 32 CPUs together take 14.0 ms in place of 14.0 ms; the samples overlap, "
                       "so no difference is shown.")
    assert more[-1] == "All CPUs came back in 15 of 15 kexecs."


def test_a_line_is_told_from_a_square() -> None:
    units = [measured(arm, cpus, apart) for arm, apart in (("stock", 1_000_000), ("module", 1000))
             for cpus in (4, 8, 16, 32, 64)]
    said = " ".join(summary.sentences(result_of(*units)))
    assert ("Of stock's time down with 64 CPUs, 100 % grows with the number of CPUs and 0 % with "
            "its square.") in said


def test_what_was_not_measured_is_not_claimed() -> None:
    said = summary.sentences(result_of(measured("stop", 4, 16_000)))
    assert said[0] == ("A kexec of stop-4cpu takes 30.5 ms: its CPUs are down in 32.5 µs, 97 % of "
                       "it the guest kernel's, and up again in 925 µs, 92 % of it the guest "
                       "kernel's.")
    assert not any(word in " ".join(said) for word in ("one by one", "page", "grows", "steps"))


def test_times_of_an_emulated_wall_clock_are_not_claimed() -> None:
    units = [unit(arm, [100_000, 120_000], label="kvm-on-tcg") for arm in ("hotplug", "stop")]
    assert summary.sentences(result_of(*units)) == ["All CPUs came back in 4 of 4 kexecs."]
    html = page.render(result_of(*units))
    assert "times are worth nothing" in html
    assert sections_of(html) == ["medians", "environment", "data"]
    body = html.partition('<script type="application/json"')[0].partition("</style>")[2]
    assert not re.search(r"\d (?:ms|µs|ns|s)\b|\d\.\d{3}", re.sub(r"<[^>]*>", "", body))
    assert not re.search(r"\d\.\d|\d ms", short.markdown(result_of(*units)))


def test_what_failed_is_said() -> None:
    result = result_of(unit("stop", [100]), unit("module", []) | {"failures": ["no results"]})
    assert "and 1 of 2 units failed" in summary.sentences(result)[-1]
    assert "* `module-4cpu`: no results" in short.markdown(result)
    assert summary.sentences(result_of(unit("stop", [])))[0] == "No kexec came up."


@pytest.mark.parametrize("ns, text", [
    (1_313_037_000, "1.31 s"), (554_416_000, "554 ms"), (36_496, "36.5 µs"), (240, "240 ns"),
    (-4_219_000, "-4.22 ms")])
def test_times_have_three_digits(ns: int, text: str) -> None:
    assert summary.time_of(ns) == text


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert [summary.share_of(part, 1000) for part in (0, 1, 500, 999, 1000)] == [
        "0 %", "less than 1 %", "50 %", "more than 99 %", "100 %"]


# --- the page ----------------------------------------------------------------

def test_everything_is_there_if_it_was_measured() -> None:
    assert sections_of(page.render(of_everything())) == list(SECTIONS)


def test_what_was_not_measured_has_no_section() -> None:
    assert sections_of(page.render(result_of(unit("stop", [100])))) == [
        "medians", "who", "environment", "data"]


def test_every_figure_of_a_median_is_in_the_page() -> None:
    html = page.render(result_of(unit("stop", [5_000_000, 7_000_000])))
    assert ">6.000<br>" in html and ">5.000–7.000<" in html


def test_a_page_asks_for_nothing() -> None:
    html = page.render(of_everything())
    assert "default-src 'none'" in html
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|url\(|@import|fetch\(""", html)


def test_text_of_a_result_stays_text() -> None:
    result = result_of(unit("stop", [100]) | {"id": HOSTILE, "arm": HOSTILE, "failures": [HOSTILE]})
    result["name"] = HOSTILE
    result["plan"] = result["plan"] | {"question": HOSTILE}
    html = page.render(result)
    assert html.count("<script") == html.count("</script>") == 2
    assert "alert(1)</" not in html and "<!-- \"" not in html
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
    assert data and json.loads(data[1])["results"] == [result]
    lines = short.markdown(result).splitlines()
    assert not any("<script>" in re.sub(r"`[^`]*`", "", line) for line in lines)
    row = next(line for line in lines if line.startswith("| `<script>"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 11


# --- the command -------------------------------------------------------------

def run(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(["tools/report", *map(str, words)], cwd=ROOT, capture_output=True,
                          timeout=120, check=False)


def test_the_same_result_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    results.save(of_everything(), tmp_path / "result.json")
    assert run(tmp_path / "result.json").returncode == 0
    first = (tmp_path / "report.html").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "result.json").rename(tmp_path / "elsewhere/other.json")
    assert run(tmp_path / "elsewhere/other.json", "--html", tmp_path / "again.html").returncode == 0
    assert (tmp_path / "again.html").read_bytes() == first


def test_markdown_is_short_and_on_stdout(tmp_path: pathlib.Path) -> None:
    results.save(of_everything(), tmp_path / "result.json")
    done = run(tmp_path / "result.json", "--markdown", "-")
    text = done.stdout.decode()
    assert re.findall("^#.*", text, re.MULTILINE) == [
        "## test", "### Failures", "### Medians", "### Effects"]
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("text, status, words", [
    (None, 1, "No such file"),
    ("{", 1, "is no JSON"),
    (json.dumps(bench_results.result_of(unit("stop", [1])) | {"name": "other"}), 1, "was changed"),
])
def test_what_is_no_result_is_refused_in_a_sentence(tmp_path, text, status, words) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    done = run(tmp_path / "result.json")
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.count(b"\n") == 1 and words in done.stderr.decode()


def test_a_place_that_cannot_be_written_is_said(tmp_path: pathlib.Path) -> None:
    results.save(result_of(unit("stop", [1])), tmp_path / "result.json")
    done = run(tmp_path / "result.json", "--html", tmp_path / "no/report.html")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
