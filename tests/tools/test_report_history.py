# SPDX-License-Identifier: Apache-2.0
"""Several results of tools/report: what they are, and how a history is drawn of them."""

import csv
import io
import pathlib
import re
from typing import Any

import pytest
from bench_results import GROUP, measured, plan_of, result_of, unit
from parkvmm.bench import plan, results, shards
from parkvmm.failure import USAGE, Failure
from parkvmm.report import command, history, page, plots, short

BARE = re.compile(r"<[^>]*>")
HOSTILE = "</script><script>alert(1)</script>"


def result(downs: dict[str, list[int]], commit: str = "a" * 40, kernel: str = "0" * 64,
           label: str = "kvm-on-tcg-icount", name: str = "test", cpus: int = 4) -> dict[str, Any]:
    """Returns a result of these units, each with these times down."""
    units = [unit(arm, found, cpus, label) for arm, found in downs.items()]
    for one in units:
        one["run"]["tool"]["commit"] = commit
        one["run"]["guest"]["kernel_sha256"] = kernel
        for sample in one["samples"]:
            sample["teardown_ns"] = sample["phase_ns"]["down"] + 1000
    return results.make(plan.parse(plan_of(GROUP, name=name)), units)


def rows_of(html: str) -> list[list[str]]:
    part = re.search(r'<section id="h1-units">.*?</section>', html, re.DOTALL)
    assert part
    return [[BARE.sub("", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
            for row in re.findall(r"<tr.*?</tr>", part[0], re.DOTALL)]


def markers(html: str, panel: str) -> list[str]:
    """Returns what each point of a panel says."""
    figure = re.search(rf"<figcaption>{panel}, [mµn]s</figcaption>.*?</figure>", html, re.DOTALL)
    assert figure, f"no panel {panel}"
    return re.findall(r"<(?:circle|polygon)[^>]*><title>([^<]*)</title>", figure[0])


# --- what several files are -----------------------------------------------------------

def files(folder: pathlib.Path, *found: dict[str, Any]) -> list[str]:
    paths = [folder / f"{number}.json" for number in range(len(found))]
    for path, one in zip(paths, found):
        results.save(one, path)
    return list(map(str, paths))


def shard(index: int) -> dict[str, Any]:
    whole = plan.parse(plan_of(GROUP | {"arms": ["stop", "hotplug"]}))
    part = shards.part_of(whole, shards.Shard(index, 2))
    units = [unit(one.arm, [100]) for one in part.units]
    return shards.marked(results.make(part, units), whole, shards.Shard(index, 2))


def test_whole_results_are_a_history_and_shards_are_one_result(tmp_path: pathlib.Path) -> None:
    wholes = files(tmp_path, result({"stop": [1]}), result({"stop": [2]}))
    assert command.main(wholes) == 0
    assert "parkvmm history" in (tmp_path / "history.html").read_text()
    assert not (tmp_path / "report.html").exists()
    assert command.main(files(tmp_path, shard(2), shard(1))) == 0
    html = (tmp_path / "report.html").read_text()
    assert "parkvmm bench" in html and "stop-4cpu" in html and "hotplug-4cpu" in html


def test_a_mixture_is_refused_in_a_line(tmp_path: pathlib.Path) -> None:
    words = files(tmp_path, result({"stop": [1]}), shard(1), shard(2))
    with pytest.raises(Failure) as caught:
        command.main(words)
    assert (caught.value.status, str(caught.value)) == (
        USAGE, f"{words[1]} is shard 1 of 2, and {words[0]} is a whole result: name either the "
        "shards of a measurement, or whole results, which make a history")
    assert not list(tmp_path.glob("*.html"))


def test_the_same_shard_twice_is_no_history(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="shard 1 of 2 is there twice; a history is of whole results"):
        command.main(files(tmp_path, shard(1), shard(1)))


def test_the_same_results_give_the_same_bytes() -> None:
    found = [result({"stop": [1, 2], "hotplug": [5, 6]}), result({"stop": [3]})]
    assert page.render_history(found) == page.render_history(found)
    assert page.render_history(found) != page.render_history(found[::-1])


# --- what is drawn --------------------------------------------------------------------

def test_a_line_follows_a_unit_in_the_order_that_is_given() -> None:
    html = page.render_history([result({"stop": [3_000_000]}, "b" * 40),
                                result({"hotplug": [9_000_000]}, "c" * 40),
                                result({"stop": [1_000_000, 2_000_000, 4_000_000]}, "a" * 40)])
    assert markers(html, "down") == [
        "stop-4cpu, result 1 (parkvmm bbbbbbbbb): 3.00 ms",
        "stop-4cpu, result 3 (parkvmm aaaaaaaaa): 2.00 ms",
        "hotplug-4cpu, result 2 (parkvmm ccccccccc): 9.00 ms"]
    ticks = re.findall(r'class="tick middle">(\w{7})<', html)
    assert ticks[:3] == ["bbbbbbb", "ccccccc", "aaaaaaa"]
    # The unit is not in result 2, so no line leads past it.
    assert [len(points.split()) for points in re.findall(r'polyline points="([^"]*)"', html)][
        :2] == [1, 1]


def test_a_single_sample_has_no_spread() -> None:
    """It is a hollow point, and no line goes through it."""
    def drawn(*downs: int) -> str:
        line, = history.histories([result({"stop": list(downs)})])
        return str(history.panels(line)).partition("</figure>")[0]

    assert 'class="hollow"' in drawn(1_000_000)
    assert not re.search(r'<line x1="([\d.]+)" x2="\1"', drawn(1_000_000))
    assert 'class="hollow"' not in drawn(1_000_000, 2_000_000)
    assert re.search(r'<line x1="([\d.]+)" x2="\1"', drawn(1_000_000, 2_000_000))


def test_a_time_of_nothing_is_in_the_table_and_not_on_the_axis() -> None:
    html = page.render_history([result({"stop": [0]}), result({"stop": [1_000_000]})])
    assert markers(html, "down") == ["stop-4cpu, result 2: 1.00 ms"]
    down = rows_of(html)[0].index("down ms")
    assert rows_of(html)[1][down] == "0.000"


def test_the_table_has_median_least_and_most() -> None:
    html = page.render_history([result({"stop": [1_000_000, 3_000_000, 2_000_000]}),
                                result({"stop": [5_000_000]})])
    rows = rows_of(html)
    assert rows[0][:6] == ["unit", "result", "kexecs", "CPUs back", "down ms", "least to most ms"]
    assert rows[1][:6] == ["stop-4cpu", "1", "3", "4 of 4", "2.000", "1.000 to 3.000"]
    assert rows[2][:5] == ["2", "1", "4 of 4", "5.000", "one sample"]


def test_what_failed_is_told_with_a_word() -> None:
    bad = result({"stop": [1]})
    bad["units"][0]["failures"] = ["x"]
    rows = rows_of(page.render_history([bad, result({"stop": [1]})]))
    assert rows[1][3] == "4 of 4 failed" and rows[2][2] == "4 of 4"


def test_labels_are_never_in_one_picture() -> None:
    html = page.render_history([result({"stop": [1_000_000]}), result({"stop": [2]}, label="kvm"),
                                result({"stop": [3_000_000]})])
    first, second = re.findall(r"<article.*?</article>", html, re.DOTALL)
    assert 'class="label">kvm-on-tcg-icount<' in first and 'class="label">kvm<' in second
    assert [text.split(": ")[1] for text in markers(first, "down")] == ["1.00 ms", "3.00 ms"]
    assert [text.split(": ")[1] for text in markers(second, "down")] == ["2 ns"]


def test_an_emulated_wall_clock_has_no_times() -> None:
    found = [result({"stop": [down]}, label="kvm-on-tcg") for down in (1_000_000, 2_000_000)]
    body = page.render_history(found).partition('<script type="application/json"')[0]
    assert "<svg" not in body and "-trend" not in body
    assert rows_of(body)[0] == ["unit", "result", "kexecs", "CPUs back"]
    assert "All CPUs came back in 2 of 2 kexecs of 2 results." in body
    assert "1000000" not in history.csv_text(history.histories(found))
    assert not re.search(r"\d\.\d|\d ms", short.of_history(found))


# --- which unit is which ----------------------------------------------------------------

def names(*found: dict[str, Any]) -> list[tuple[str, int]]:
    one, = history.histories(list(found))
    return [(track.name, len(track.units)) for track in one.tracks]


def test_units_of_other_plans_and_machines_are_others() -> None:
    assert names(result({"stop": [1]}), result({"stop": [1]})) == [("stop-4cpu", 2)]
    assert names(result({"stop": [1]}), result({"stop": [1]}, name="other")) == [
        ("test: stop-4cpu", 1), ("other: stop-4cpu", 1)]
    assert names(result({"stop": [1]}), result({"module": [1]}, name="other")) == [
        ("stop-4cpu", 1), ("module-4cpu", 1)]
    larger = result({"stop": [1]})
    larger["units"][0]["memory"] = "2G"
    assert names(result({"stop": [1]}), larger) == [
        ("test: stop-4cpu (4, none, vmm, default, 1G)", 1),
        ("test: stop-4cpu (4, none, vmm, default, 2G)", 1)]


@pytest.mark.parametrize("commits, kernels, name", [
    (("a" * 40, "b" * 40), ("0" * 64, "1" * 64), "2 (kernel 111111111)"),
    (("a" * 40, "b" * 40), ("0" * 64, "0" * 64), "2 (parkvmm bbbbbbbbb)"),
    (("a" * 40, "a" * 40), ("0" * 64, "0" * 64), "2")])
def test_a_result_is_named_by_what_differs(commits, kernels, name) -> None:
    one, = history.histories([result({"stop": [1]}, commit, kernel)
                              for commit, kernel in zip(commits, kernels)])
    assert history.named(one.entries[1], one) == name


@pytest.mark.parametrize("releases, name, tick", [
    (("6.18.0-rc1-00011-gdeadbeef", "6.18.0-rc1-00012-gc0ffee123456"),
     "2 (kernel 6.18.0-rc1-00012-gc0ffee123456)", "c0ffee1"),
    (("6.12.117+deb12-cloud-arm64", "7.3.1+deb14-cloud-arm64"),
     "2 (kernel 7.3.1+deb14-cloud-arm64)", "7.3.1"),
    (("6.18.0", "6.18.0"), "2 (kernel 111111111)", "1111111"),
    ((None, "6.18.0"), "2 (kernel 6.18.0)", "6.18.0")])
def test_a_kernel_is_named_by_its_release_if_that_tells_it_apart(releases, name, tick) -> None:
    found = [result({"stop": [1]}, kernel=sha * 64) for sha in "01"]
    for one, release in zip(found, releases):
        one["units"][0]["run"]["guest"]["kernel_release"] = release
    whole, = history.histories(found)
    assert history.named(whole.entries[1], whole) == name
    assert history.tick(whole.entries[1], whole) == tick
    assert f"<code>{releases[1]}</code>" in page.render_history(found)
    assert releases[1] in history.csv_text([whole])


# --- what is said ---------------------------------------------------------------------

def said(*found: dict[str, Any]) -> str:
    one, = history.histories(list(found))
    return history.sentences(one)[0]


def test_a_change_is_one_if_the_samples_are_apart() -> None:
    """A single sample on either side shows none."""
    nothing = ("No time of down, up or teardown changed from one result to the next by more than "
               "its samples are spread.")
    assert said(result({"stop": [100, 200]}), result({"stop": [200, 900]})) == nothing
    assert said(result({"stop": [100]}), result({"stop": [900, 950]})) == nothing
    assert said(result({"stop": [100, 200], "hotplug": [5_000_000, 6_000_000]}),
                result({"stop": [900, 950], "hotplug": [1_000_000, 2_000_000]})) == (
        "The largest change from one result to the next: down of stop-4cpu went from 150 ns in "
        "result 1 to 925 ns in result 2; no sample of one lies among those of the other.")
    assert "went from 0 ns in result 1 to 925 ns" in said(
        result({"stop": [0, 0]}), result({"stop": [900, 950]}))


def test_other_hosts_are_told() -> None:
    one, other = result({"stop": [1]}), result({"stop": [1]})
    words = "The hosts of these results differ"
    assert words not in page.render_history([one, other])
    other["units"][0]["run"]["host"]["kernel"] = "9"
    assert words in page.render_history([one, other])


def test_a_history_is_a_csv_and_short_markdown() -> None:
    found = [result({"stop": [1_000_000, 3_000_000]}, "b" * 40),
             result({"stop": [5_000_000]}, "c" * 40)]
    first, second = csv.DictReader(io.StringIO(history.csv_text(history.histories(found))))
    assert (first["unit"], first["result"], first["parkvmm_commit"]) == (
        "stop-4cpu", "1", "bbbbbbbbb")
    assert [first[f"down_{which}_ns"] for which in ("median", "least", "most")] == [
        "2000000.0", "1000000", "3000000"]
    assert second["cpus_back"] == "4 of 4"
    lines = short.of_history(found).splitlines()
    assert "1. `bbbbbbbbb`, kernel `000000000`" in lines
    assert "| `stop-4cpu` | 1 | 2 | 4 of 4 | 2.000 (1.000 to 3.000) |" in "\n".join(lines)
    assert "| `stop-4cpu` | 2 | 1 | 4 of 4 | 5.000 |" in "\n".join(lines)


def test_results_that_the_vmm_wrote_are_followed() -> None:
    """teardown is in what it writes, and there is a panel of it."""
    html = page.render_history([result_of(measured("hotplug", 4, apart))
                                for apart in (14_000_000, 20_000_000)])
    assert [len(markers(html, measure)) for measure in history.MEASURES] == [2, 2, 2]


def test_text_of_results_stays_text() -> None:
    hostile = result({"stop": [1_000_000]}, HOSTILE, name=HOSTILE)
    hostile["units"][0]["id"] = HOSTILE
    html = page.render_history([hostile, result({"stop": [1]})])
    assert html.count("<script") == html.count("</script>") == 2 and "alert(1)</" not in html


def test_a_long_table_is_folded() -> None:
    few = [result({"stop": [1]})] * history.LONG
    assert "<details>" not in page.render_history(few)
    assert "<details><summary>All 1 units" in page.render_history([*few, few[0]])


def test_an_axis_has_the_unit_of_its_times() -> None:
    for ns, unit_, tick in ((5, "ns", "5.0"), (50_000_000, "ms", "50"), (2_000, "µs", "2.0")):
        html = page.render_history([result({"stop": [ns]})] * 2)
        assert f"<figcaption>down, {unit_}</figcaption>" in html
        assert f'class="tick end">{tick}<' in html


# --- plots ------------------------------------------------------------------------------

def test_a_long_name_is_shortened_and_whole_in_its_title() -> None:
    name = "hotplug-256cpu-thunderx2-psci-kvm-6.12"
    assert len(plots.shortened(name)) == plots.LONGEST_NAME
    html = page.render_history([result({name: [1_000_000]})] * 2)
    assert f"<title>{name}-4cpu</title>{plots.shortened(f'{name}-4cpu')}</text>" in html


def test_ticks_do_not_run_into_each_other() -> None:
    shown = list(plots.shown_ticks([(float(i), "abcdefg") for i in range(30)], lambda x: 10 * x))
    assert shown[0] == (0.0, "abcdefg") and 3 < len(shown) < 30
    assert all(10 * (after - before) > plots.LETTER * 7 for (before, _), (after, _) in
               zip(shown, shown[1:]))


def test_names_grow_the_picture_and_do_not_cover_each_other() -> None:
    many = {f"arm{number}": [1_000_000 + number] for number in range(40)}
    html = str(history.panels(history.histories([result(many)])[0]))
    ys = sorted(float(y) for y in re.findall(r'<text x="\d+" y="([\d.]+)" dy="0.32em"><title>arm',
                                             html.partition("</figure>")[0]))
    assert len(ys) == 40
    assert all(after - before >= plots.LABEL - 0.11 for before, after in zip(ys, ys[1:]))
    assert ys[0] > 0
