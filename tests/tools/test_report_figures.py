# SPDX-License-Identifier: Apache-2.0
"""The figures of a report where they are drawn and tabled, and the commands of reports
and comparisons."""

import copy
import json
import pathlib
import re

import jinja2
import pytest
from bench_results import of_everything, result_of, unit
from parkvmm.bench import figures, results
from parkvmm.bench.differences import Difference
from parkvmm.bench.markdown import markdown
from parkvmm.failure import DIFFERS, USAGE, Failure
from parkvmm.report import (charts, command, compare, environment, markup, page, parts, plots,
                            sections, short, summary, templating)

BARE = re.compile(r"<[^>]*>")


def rows_of(html: str) -> list[list[str]]:
    """Returns the text of each cell of each row."""
    return [[BARE.sub("", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row,
                                                               re.DOTALL)]
            for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)]


# --- markup -----------------------------------------------------------------------

def test_attributes_are_escaped_and_left_out_if_they_are_none() -> None:
    assert markup.tag("a", "<", None, class_="x", data_unit='"', href=None, open=True,
                      hidden=False, tabindex=0) == (
        '<a class="x" data-unit="&quot;" open tabindex="0">&lt;</a>')
    assert markup.tag("br") == "<br>"


def test_numbers_stay_with_their_units() -> None:
    assert parts.typeset("-5 ms and x-5 CPUs, 3 msx") == "−5\u00a0ms and x-5\u00a0CPUs, 3 msx"
    assert parts.minus("-5") == "−5"


def test_what_a_template_is_given_is_escaped_unless_it_is_markup() -> None:
    found = templating.filled("data.html.j2", ident='"x', files=[("json", "<a>")],
                              note=markup.Markup("<b>"))
    assert 'id="&#34;x"' in found and "&lt;a&gt;" in found and "<b>" in found
    with pytest.raises(jinja2.UndefinedError, match="'note' is undefined"):
        templating.filled("data.html.j2", ident="x", files=[])


@pytest.mark.parametrize("ns, text", [
    (None, "-"), (0, "0.000"), (37_134_000, "37.134"), (99_999_499, "99.999"),
    (99_999_500, "100.00"), (562_600_000, "562.60"), (999_995_000, "1000.0"),
    (1_741_900_000, "1741.9"), (9_999_950_000, "10000"), (-250_000_000, "-250.00")])
def test_milliseconds_have_five_digits_as_in_the_table_of_a_run(ns, text) -> None:
    assert figures.ms(ns) == text


# --- charts -------------------------------------------------------------------------

def test_a_bar_has_the_shares_that_can_be_seen() -> None:
    one, two = unit("stop", [1000]), unit("hotplug", [2000])
    one["samples"][0]["split_ns"]["down"] = {
        "firmware": 0, "vmm": 250, "polling": 2, "kernel": 748}
    html = sections.split_section(result_of(one, two), "r1")
    assert html
    assert re.findall(r'class="(\w+)" style="flex-grow:(\d+)" title="([^"]*)"', html)[:2] == [
        ("vmm", "250", "VMM: 250 ns"), ("kernel", "748", "guest kernel: 748 ns")]
    assert re.findall(r'<span style="width:([\d.]+%)"', html) == ["50.000%", "100.000%"]
    assert charts.percent(1, 0) == "0.000%"


def test_labels_do_not_cover_each_other() -> None:
    assert plots.spread([10, 12, 50], 100) == [10, 24, 50]
    assert plots.spread([90, 95, 99], 100) == [72, 86, 100]
    assert plots.spread([90], 80) == [80]
    assert plots.spread([], 80) == []


@pytest.mark.parametrize("least, most, texts", [
    (0.02, 70, ["0.01", "0.1", "1", "10", "100"]), (1, 100, ["1", "10", "100"]),
    (1.5, 7, ["1", "2", "5", "10"]), (0.15, 0.7, ["0.1", "0.2", "0.5", "1"]),
    (110, 140, ["110", "115", "120", "125", "130", "135", "140"]),
    (562, 562, ["500", "520", "540", "560", "580", "600", "620"])])
def test_an_axis_is_as_long_as_it_has_to_be(least, most, texts) -> None:
    found = plots.ticks_of(least, most)
    assert plots.tick_texts(found) == texts
    assert found[0] <= least and most <= found[-1]


@pytest.mark.parametrize("least, most", [(a * 1.37 ** n, a * 1.37 ** n * r) for a in (0.01, 3.3)
                                         for n in range(0, 30, 3) for r in (1, 1.3, 2.2, 4, 9, 50)])
def test_any_values_have_an_axis(least, most) -> None:
    found = plots.ticks_of(least, most)
    assert found[0] <= least * (1 + 1e-9) and most <= found[-1] * (1 + 1e-9)
    assert 2 <= len(found) <= 9 and found == sorted(set(found))


def curves_of(arm: str, downs: dict[int, list[int]]) -> dict[str, list[dict]]:
    return {arm: [unit(arm, values, cpus=cpus) for cpus, values in downs.items()]}


def test_a_curve_is_drawn_where_its_axes_say() -> None:
    """Medians of 1, 10 and 100 ms lie on the lines of these decades; 4, 8 and 16 CPUs are
    evenly apart; the line over a point goes through it."""
    html = charts.curve_panel(curves_of("stop", {
        4: [1_000_000], 8: [9_000_000, 10_000_000, 50_000_000], 16: [100_000_000]}), "down")
    points = re.search(r'<polyline points="([^"]*)"', html)
    assert points
    places = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    xs, ys = zip(*places)
    lines = {text: float(y) for y, text in re.findall(
        r'<text x="[\d.]+" y="([\d.]+)" dy="0.32em" class="tick end">([\d.]+)</text>', html)}
    assert [lines[text] for text in ("1", "10", "100")] == list(ys)
    grid = [float(y) for y in re.findall(r'y1="([\d.]+)" y2="[\d.]+" class="grid"', html)]
    assert grid == list(ys)
    assert grid[-1] == plots.TOP and grid[0] == plots.HEIGHT - plots.BOTTOM
    ticks = [float(x) for x in re.findall(
        r'<text x="([\d.]+)" y="\d+" class="tick middle">\d', html)]
    assert ticks == list(xs) and xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)
    leader = re.search(r'd="M([\d.]+) ([\d.]+)L(\d+) ([\d.]+)" class="leader"', html)
    label = re.search(r'<text x="(\d+)" y="([\d.]+)" dy="0.32em"><title>stop<', html)
    assert leader and label and leader[4] == label[2]
    width = re.search(r'viewBox="0 0 (\d+) ', html)
    assert width and xs[2] < float(leader[1]) < float(leader[3]) < float(label[1]) < int(width[1])
    assert plots.LEFT < xs[0] and xs[2] < plots.LEFT + plots.PLOT_WIDTH
    over = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="([\d.]+)"></line>',
                      html)
    (x1, x2, low, high), = [tuple(map(float, found)) for found in over]
    assert x1 == x2 == xs[1] and low > ys[1] > high
    # A decade has the same height everywhere.
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.11)
    assert "stop, 8 CPUs: 10.0 ms" in html
    assert "<desc>stop from 1.00 ms with 4 CPUs to 100 ms with 16 CPUs</desc>" in html
    # Only a point of several samples is full.
    assert len(re.findall(r'class="hollow"', html)) == 2


def test_down_of_two_cpus_is_no_point_of_a_curve() -> None:
    """It begins at the kexec mark, as teardown does."""
    units = [unit("stop", [1_000_000], cpus=cpus) for cpus in (2, 4)]
    for one in units:
        one["samples"][0]["teardown_ns"] = 1_000_000
    for measure, points in (("down", ["4"]), ("teardown", ["2", "4"])):
        assert re.findall(r"stop, (\d) CPUs: 1.00 ms",
                          charts.curve_panel({"stop": units}, measure)) == points


def test_a_flat_curve_and_none_are_no_division_by_zero() -> None:
    assert "<polyline" in charts.curve_panel(curves_of("stop", {4: [1_000_000]}), "down")
    assert charts.curve_panel(curves_of("stop", {4: []}), "down") == ""


@pytest.mark.parametrize("shape", plots.SHAPES)
def test_a_marker_is_around_its_point(shape: str) -> None:
    html = plots.marker(shape, 50, 70, "it")
    assert "<title>it</title>" in html
    if shape == "circle":
        assert 'cx="50.0" cy="70.0"' in html
        return
    points = re.search(r'points="([^"]*)"', html)
    assert points
    xs, ys = zip(*(tuple(map(float, pair.split(","))) for pair in points[1].split()))
    assert (min(xs) + max(xs)) / 2 == 50 and abs((min(ys) + max(ys)) / 2 - 70) < 1


# --- sections -------------------------------------------------------------------------

def test_a_row_of_medians_says_what_is_bad() -> None:
    lost = unit("stop", [1_000_000])
    lost["samples"][0]["cpus_back"] = 3
    failed = unit("module", [1_000_000]) | {"failures": ["x"]}
    html = sections.main_section(result_of(lost, failed, unit("stock", [1_000_000])), "r1")
    assert [row[:4] for row in rows_of(html)[1:]] == [
        ["stop-4cpu", "4", "1", "3 of 4 CPUs lost"], ["module-4cpu", "4", "1", "4 of 4 failed"],
        ["stock-4cpu", "4", "1", "4 of 4"]]
    assert html.count('<tr class="bad">') == 2
    assert 'title="Debian&#39;s kernel: hotplug, one by one"' in html


def test_a_median_stands_above_the_least_and_the_most() -> None:
    html = sections.main_section(result_of(
        unit("stop", [5_000_000, 7_000_000]), unit("module", [2_000_000]), unit("stock", [])), "r1")
    down = rows_of(html)[0].index("down ms")
    assert [row[down] for row in rows_of(html)[1:]] == ["6.0005.000–7.000", "2.000", "-"]
    cells = re.findall(r'<td data-value="([^"]*)">([\d.-]+)', html)
    assert ("6000000.0", "6.000") in cells and ("2000000", "2.000") in cells
    assert ("-1", "-") in cells
    assert '<br><span class="range">5.000–7.000</span>' in html


def test_a_warning_stands_with_times_that_are_worth_nothing() -> None:
    emulated = result_of(unit("stop", [1], label="kvm-on-tcg"))
    assert 'class="worth warning"' in sections.opening(emulated)
    virtual = result_of(unit("stop", [1]))
    assert 'class="worth"' in sections.opening(virtual)
    virtual["units"][0]["run"]["label_insisted"] = True
    assert 'class="worth warning"' in sections.opening(virtual)
    assert "The user insisted on this label" in sections.opening(virtual)


def test_the_first_row_of_a_unit_has_its_name() -> None:
    one = unit("stop", [1000])
    one["samples"][0]["split_ns"]["up"] = {"firmware": 0, "vmm": 0, "polling": 0, "kernel": 500}
    html = sections.split_section(result_of(one, unit("hotplug", [4000])), "r1")
    assert html
    assert [row[0] for row in rows_of(html)[1:]] == ["stop-4cpu", "up", "hotplug-4cpu"]
    assert html.count('class="first"') == 2 and 'rowspan="2"' in html
    assert re.findall(r'style="width:([\d.]+)%"', html) == ["25.000", "100.000", "100.000"]


def test_steps_are_shares_of_all_steps() -> None:
    one = unit("hotplug", [1000], cpus=5)
    one["samples"][0]["steps_ns"] = {"up": {}, "down": {
        "1": {"a": 1_000_000, "b": 500_000}, "2": {"a": 2_000_000, "c": 500_000}}}
    html = sections.steps_section(result_of(one), "r1")
    assert html
    assert [row[-5:] for row in rows_of(html)[1:]] == [
        ["a", "", "3.000", "750.0", "75 %"], ["b", "", "0.500", "125.0", "12 %"],
        ["c", "", "0.500", "125.0", "12 %"]]
    assert re.findall(r"width:([\d.]+)%", html) == ["75.000", "12.500", "12.500"]
    assert html.count('rowspan="3"') == 2 and html.count('class="first"') == 1
    assert "hotplug takes 5 CPUs down, a has the most time: 3.00 ms, 75 % of all." in (
        summary.of_steps([one]) or "")


def test_a_fit_is_tabled_with_its_shares() -> None:
    units = [unit("stop", [10_000 * (n - 1) ** 2], cpus=n) for n in (3, 4, 5, 9)]
    html = sections.scaling_section(result_of(*units), "r1")
    assert html
    down, = [row for row in rows_of(html) if row[:2] == ["stop", "down"]]
    assert [float(text.replace("−", "-")) for text in down[2:5]] == pytest.approx(
        [0, 0, 10], abs=0.01)
    assert down[5] == "9" and down[-1] == "100 %"
    assert sections.scaling_section(result_of(*units[:2]), "r1") is None
    assert sections.scaling_section(result_of(*units[:3]), "r1") is not None


def test_what_units_share_is_told_once() -> None:
    one, two, three = (unit(arm, [1]) for arm in ("stop", "hotplug", "module"))

    def shown(*units: dict) -> str:
        html = str(environment.environment_section(result_of(*units), "r1"))
        return html.partition("<h3>Tool")[0]

    assert "units" not in shown(one, two) and shown(one, two).count("<dt>kernel</dt>") == 1
    two = copy.deepcopy(two)
    two["run"]["host"]["kernel"] = "9"
    both = shown(one, two)
    assert "<dd>stop-4cpu</dd>" in both and "<details>" not in both
    three["run"]["host"] = {"kernel": {"a": 1, "b": 2}}
    folded = shown(one, two, three)
    assert "3 different ones" in folded and "<dd>a 1, b 2</dd>" in folded


@pytest.mark.parametrize("value, text", [
    (None, "-"), (True, "yes"), (False, "no"), (0, "0"), ("", ""),
    ({"a": 1, "b": None}, "a 1, b -")])
def test_values_of_json_are_words(value: object, text: str) -> None:
    assert environment.words(value) == text


def test_a_unit_that_did_not_run_has_no_first_boot() -> None:
    unknown = environment.environment_section(
        result_of(unit("stop", [1]), unit("stock", []) | {"run": None}), "r1")
    rows = rows_of(unknown)
    assert [row[rows[0].index("first boot ms")] for row in rows[1:]] == ["0.000", "-"]


def test_an_emulator_is_told_if_there_was_one() -> None:
    result = result_of(unit("stop", [1]))
    assert "Emulator" not in environment.environment_section(result, "r1")
    result["emulator"] = {"version": "QEMU 7.2"}
    html = environment.environment_section(result, "r1")
    assert "<h3>Emulator</h3>" in html and "<dd>QEMU 7.2</dd>" in html


# --- sentences ---------------------------------------------------------------------------

def test_the_page_is_judged_where_most_cpus_are_seen() -> None:
    def both(cpus: int, *page_ns: int) -> list[dict]:
        return [unit("stop", [100_000] * 2, cpus=cpus), unit("park-host", list(page_ns), cpus=cpus)]

    words = ("With a park page in place of CPU_OFF, where all stop at once, down and up of 8 CPUs "
             "together take 150 µs in place of 100 µs; ")
    assert summary.of_page([*both(4, 200_000, 200_000), *both(8, 150_000, 150_000)]) == (
        words + "no sample of one lies among those of the other.")
    assert summary.of_page(both(8, 90_000, 210_000)) == (
        words + "the samples overlap, so no difference is shown.")
    assert summary.of_page(both(8, 150_000)) == (
        words + "a single sample shows no difference.")
    assert summary.of_page([unit("stop", [1]), unit("hotplug", [1])]) is None


def test_packages_that_are_not_locked_are_named_in_order() -> None:
    result = result_of(unit("stop", [1]), unit("module", []) | {"run": None})
    assert summary.unlocked(result) is None
    result["units"][0]["run"]["unlocked"] = ["b 2", "a 1"]
    assert (summary.unlocked(result) or "").endswith("figures: a 1, b 2.")


@pytest.mark.parametrize("ns, text", [
    (9_999_000, "10.00 ms"), (99_000_000, "99.0 ms"), (100_000_000, "100 ms"),
    (1_000_000_000, "1.00 s"), (1_000_000, "1.00 ms"), (1000, "1.00 µs"), (999, "999 ns"),
    (0, "0 ns")])
def test_the_unit_of_a_time_suits(ns: int, text: str) -> None:
    assert summary.time_of(ns) == text
    assert summary.counted(1, "unit") == "1 unit" and summary.counted(2, "unit") == "2 units"


# --- tools/report ------------------------------------------------------------------------

def test_a_report_is_written_where_it_is_wanted(tmp_path, capsysbinary) -> None:
    result = of_everything()
    file = tmp_path / "result.json"
    results.save(result, file)
    assert command.main([str(file)]) == 0
    assert (tmp_path / "report.html").read_text() == page.render(result)
    assert b"written: " in capsysbinary.readouterr().err
    (tmp_path / "report.html").unlink()
    assert command.main([str(file), "--markdown", "-"]) == 0
    assert capsysbinary.readouterr().out.decode() == short.markdown(result)
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(Failure, match="no/x: No such file") as caught:
        command.main([str(file), "--html", str(tmp_path / "no/x")])
    assert caught.value.status == USAGE


# --- tools/compare -------------------------------------------------------------------------

def compared(tmp_path: pathlib.Path, old: dict, new: dict, *words: str) -> int:
    for name, result in (("old", old), ("new", new)):
        (tmp_path / name).write_text(json.dumps(result))
    return compare.main([str(tmp_path / "old"), str(tmp_path / "new"), *words])


def test_a_longer_median_is_a_regression_past_the_threshold(tmp_path, capsys) -> None:
    old, new = result_of(unit("stop", [600])), result_of(unit("stop", [636]))
    assert compared(tmp_path, old, old) == 0
    assert capsys.readouterr().out == (
        "no difference, to the ns: 1 units, label kvm-on-tcg-icount\n")
    assert compared(tmp_path, old, new) == DIFFERS
    said = capsys.readouterr()
    assert "| `stop-4cpu` | down | 0.001 | 0.001 | +6.0 % | exact | +1.00 |" in said.out
    assert "stop-4cpu: down is 6.0 % longer; at most 5 % is allowed" in said.err
    assert compared(tmp_path, old, new, "--threshold", "6") == 0
    assert compared(tmp_path, new, old) == 0
    assert compared(tmp_path, old, new, "--measures", "up,total") == 0
    with pytest.raises(Failure, match="no measure 'x'; there are: prepare, down") as caught:
        compared(tmp_path, old, new, "--measures", "up,x")
    assert caught.value.status == USAGE


def test_wall_clock_counts_what_chance_does_not_bring_about(tmp_path, capsys) -> None:
    def wall(*downs: int) -> dict:
        return result_of(unit("stop", list(downs), label="kvm"))

    assert compared(tmp_path, wall(*range(100, 110)), wall(*range(200, 210))) == DIFFERS
    assert "| 0.000" in capsys.readouterr().out
    assert compared(tmp_path, wall(100, 200), wall(300, 150)) == 0
    assert "exact" not in capsys.readouterr().out
    assert compared(tmp_path, wall(1), wall(1)) == 0
    assert capsys.readouterr().out == "no difference: 1 units, label kvm\n"


def test_times_that_mean_nothing_are_neither_tabled_nor_compared(tmp_path) -> None:
    emulated = result_of(unit("stop", [777], label="kvm-on-tcg"))
    text = markdown(emulated)
    assert "| `stop-4cpu` | 1 | 4 of 4 |" in text and "down" not in text
    with pytest.raises(Failure, match="times mean nothing under label kvm-on-tcg"):
        compared(tmp_path, emulated, emulated)


def test_a_difference_from_nothing_is_infinite() -> None:
    def at(p: float | None) -> Difference:
        return Difference("u", "down", 0, 5, p, 1)
    assert at(None).percent == float("inf")
    assert [at(p).is_real for p in (None, 0.009, 0.01)] == [True, True, False]


@pytest.mark.parametrize("old, new, words", [
    (result_of(unit("stop", [1])), result_of(unit("stop", [1], label="kvm")),
     "labels differ, kvm-on-tcg-icount and kvm"),
    (result_of(unit("stop", [1]), unit("hotplug", [1])), result_of(unit("stop", [1])),
     "the new result has no hotplug-4cpu")])
def test_what_cannot_be_compared_is_told(old: dict, new: dict, words: str) -> None:
    with pytest.raises(Failure, match=words) as caught:
        compare.compare(old, new, ["down"])
    assert caught.value.status == DIFFERS


def test_a_unit_without_samples_is_not_compared() -> None:
    old, new = result_of(unit("stop", [1])), result_of(unit("stop", []))
    assert compare.compare(old, new, ["down"]) == compare.compare(new, old, ["down"]) == []
