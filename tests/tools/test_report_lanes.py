# SPDX-License-Identifier: Apache-2.0
"""Lanes: kexecs CPU by CPU, above each other on one axis."""

import json
import math
import pathlib
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import scripted
from bench_results import add_kexec, hidden, measured, result_of, sample, unit
from parkvmm.bench import results
from parkvmm.bench.facts import PHASES
from parkvmm.failure import USAGE, Failure
from parkvmm.report import command, kexecs, lanes, page, plots
from parkvmm.report.lanes import WIDTH, Extent, Kexec, Label

SVG = "{http://www.w3.org/2000/svg}"
MS = 1_000_000
HOSTILE = "</svg><script>alert(1)</script>"


def cpu(vcpu: int, left: int | None, off: int | None, known: int | None, called: int | None,
        started: int | None) -> dict[str, Any]:
    return {"vcpu": vcpu, "mpidr": hex(vcpu), "left_ns": left, "off_ns": off, "known_ns": known,
            "called_ns": called, "started_ns": started}


def kexec_of(*cpus: dict[str, Any], **phases: int | None) -> Kexec:
    times = dict.fromkeys(PHASES, 0) | phases
    split = {name: ns and {"firmware": 0, "vmm": ns // 4, "polling": 0, "kernel": ns - ns // 4}
             for name, ns in times.items()}
    return Kexec("stop-4cpu", "kexec 1 of 1", sample(0) | {
        "per_cpu": list(cpus), "phase_ns": times, "split_ns": split})


def boxes(picture: lanes.Picture, kind: str) -> list[tuple[float, float, float]]:
    """Returns x, y and width of each lane of a kind."""
    paths = re.findall(rf'<path d="([^"]*)" class="{kind}">', "".join(picture.shapes))
    return [(float(x), float(y), float(wide)) for path in paths for x, y, wide in
            re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path)]


# --- where everything is --------------------------------------------------------------

ONE = kexec_of(cpu(1, 100, 1_100, 10_100, 5 * MS, 5 * MS + 1_000),
               cpu(2, 1_000_100, 1_001_100, None, 6 * MS, 6 * MS + 50_000), down=1_001_000,
               up=1_050_000)


def down_at(ns: float, end: float = 1_001_000) -> float:
    return lanes.LEFT + math.asinh(ns / 1000) / math.asinh(end / 1000) * (
        WIDTH - lanes.LEFT - lanes.RIGHT)


def test_a_lane_is_where_its_moments_are() -> None:
    """The axis begins when the first CPU leaves, and is logarithmic from a microsecond on."""
    picture = lanes.cpus_on_their_way([ONE], "down", Extent.of([ONE]))
    first, second = boxes(picture, "vmm")
    assert first == (pytest.approx(down_at(0), abs=0.1), pytest.approx(lanes.LINE + 4),
                     pytest.approx(down_at(1000) - down_at(0), abs=0.1))
    assert second[0] == pytest.approx(down_at(1_000_000), abs=0.1)
    assert second[2] == lanes.THINNEST, "a microsecond after a millisecond is less than a pixel"
    (x, _, wide), = boxes(picture, "kernel")
    assert (x, wide) == (lanes.LEFT, pytest.approx(down_at(1_000_000) - lanes.LEFT, abs=0.1))
    (x, _, wide), = boxes(picture, "polling")
    assert (x, wide) == (pytest.approx(down_at(1000), abs=0.1),
                         pytest.approx(down_at(10_000) - down_at(1000), abs=0.1))
    assert len(boxes(picture, "off")) == 1  # The second one is off only at the very end.


def test_the_way_up_is_off_then_the_vmm_then_the_kernel() -> None:
    picture = lanes.cpus_on_their_way([ONE], "up", Extent.of([ONE]))
    assert [len(boxes(picture, kind)) for kind in ("off", "vmm", "kernel", "polling")] == [
        1, 2, 1, 0]
    (x, _, wide), = boxes(picture, "off")
    assert x == lanes.LEFT
    assert boxes(picture, "vmm")[1][0] == pytest.approx(x + wide, abs=0.1)


def test_two_kexecs_are_above_each_other_on_one_axis() -> None:
    slow, fast = (kexec_of(cpu(1, 0, 1000, None, None, None), cpu(2, ns, ns + 1000, None, None,
                                                                  None), down=ns + 1000)
                  for ns in (500 * MS, 100_000))
    picture = lanes.cpus_on_their_way([slow, fast], "down", Extent.of([slow, fast]))
    vmm = boxes(picture, "vmm")
    end = 500 * MS + 1000
    assert [x for x, _, _ in vmm] == [pytest.approx(down_at(ns, end), abs=0.1)
                                      for ns in (0, 500 * MS, 0, 100_000)]
    assert [y for _, y, _ in vmm] == sorted(y for _, y, _ in vmm)
    assert "10 µs" in "".join(picture.shapes) and "100 ms" in "".join(picture.shapes)


def test_a_moment_that_was_not_seen_leaves_a_gap() -> None:
    lost = kexec_of(cpu(1, 0, 1000, 2000, 3 * MS, 3 * MS + 1000),
                    cpu(2, 5000, None, None, None, None), cpu(3, None, None, None, 4 * MS, None),
                    down=5000, up=1000)
    down = lanes.cpus_on_their_way([lost], "down", Extent.of([lost]))
    assert [len(boxes(down, kind)) for kind in ("kernel", "vmm", "polling", "off")] == [1, 1, 1, 1]
    up = lanes.cpus_on_their_way([lost], "up", Extent.of([lost]))
    # One is never called and one never starts.
    assert [len(boxes(up, kind)) for kind in ("off", "vmm", "kernel")] == [2, 1, 1]


def test_many_cpus_have_every_second_lane() -> None:
    many = kexec_of(*(cpu(n, n * 1000, n * 1000 + 300, None, None, None) for n in range(1, 128)),
                    down=127_000)
    assert [one["vcpu"] for one in lanes.chosen(many.sample)] == list(range(1, 128, 2))
    picture = lanes.cpus_on_their_way([many], "down", Extent.of([many]))
    assert "64 of 127 CPUs" in "".join(picture.shapes) and len(boxes(picture, "vmm")) == 64
    assert len(lanes.chosen(ONE.sample)) == 2


# --- phases ---------------------------------------------------------------------------

def texts(picture: lanes.Picture) -> str:
    return "".join(picture.shapes)


def test_a_narrow_phase_is_named_at_a_leader() -> None:
    found = lanes.labels_of(kexec_of(
        prepare=MS, down=500 * MS, jump=2 * MS, early=3 * MS, up=4 * MS, userspace=490 * MS).sample,
        1000 * MS)
    assert {label.text: label.line for label in found} == {
        "down 500 ms": 0, "userspace 490 ms": 0, "prepare 1.00 ms": 4, "jump 2.00 ms": 3,
        "early 3.00 ms": 2, "up 4.00 ms": 1}
    late = lanes.labels_of(kexec_of(down=990 * MS, jump=5 * MS, up=5 * MS).sample, 1000 * MS)
    assert {label.text: label.line for label in late} == {
        "down 990 ms": 0, "jump 5.00 ms": -1, "up 5.00 ms": -2}
    assert not lanes.labels_of(kexec_of().sample, MS), "a phase of no time has no place"


def crossed(one: Label, other: Label) -> bool:
    """Tells whether a text covers another, or a leader."""
    if one.line == 0 or other.line == 0 or (one.line > 0) != (other.line > 0):
        return False  # In the bar, or on the other side of it.
    begin, end = one.span
    covers = one.line == other.line and begin < other.span[1] and other.span[0] < end
    passes = abs(other.line) > abs(one.line) and begin <= other.x <= end
    return covers or passes


@pytest.mark.parametrize("parts", [
    (1, 1, 1, 1, 1, 1), (1, 900, 1, 20, 1, 300), (300, 1, 1, 1, 1, 900), (900, 1, 1, 1, 1, 1),
    (0, 1, 0, 1, 2000, 1), (5, 500, 40, 272, 27, 1230), (37, 562, 40, 272, 27, 1231)])
@pytest.mark.parametrize("total", [1, 3, 20])
def test_names_of_phases_never_cross(parts: tuple[int, ...], total: int) -> None:
    """Whatever the phases are, and however far the axis reaches."""
    one = kexec_of(**{name: ns * MS for name, ns in zip(PHASES, parts)})
    found = lanes.labels_of(one.sample, total * sum(parts) * MS)
    assert len(found) == sum(ns > 0 for ns in parts)
    for label in found:
        begin, end = label.span
        assert 0 <= begin and end <= WIDTH, label
        assert not any(crossed(label, other) for other in found if other is not label), label
    inside = [label for label in found if label.line == 0]
    assert all(before.span[1] < after.span[0] for before, after in zip(inside, inside[1:]))


def test_a_phase_that_was_not_seen_has_no_place() -> None:
    picture = lanes.phases([kexec_of(prepare=None, down=MS, up=MS)], Extent(4 * MS, MS, MS))
    assert "prepare" not in texts(picture) and "down 1.00 ms" in texts(picture)
    assert picture.said == ("stop-4cpu, kexec 1 of 1: down 1.00 ms, jump 0 ns, early 0 ns, "
                            "up 1.00 ms, userspace 0 ns")


@pytest.mark.parametrize("total, ticks", [
    (100, [0, 20, 40, 60, 80, 100]), (2170, [0, 500, 1000, 1500, 2000]), (10, [0, 2, 4, 6, 8, 10])])
def test_ticks_are_even(total: float, ticks: list[float]) -> None:
    assert lanes.even_ticks(total) == ticks


@pytest.mark.parametrize("ns, text", [
    (1000, "1 µs"), (1_500_000_000, "1.5 s"), (100 * MS, "100 ms"), (10_000, "10 µs"),
    (500, "500 ns")])
def test_ticks_have_no_zeros_to_end_with(ns: float, text: str) -> None:
    assert lanes.tick_text(ns) == text


# --- who had the time -------------------------------------------------------------------

def test_the_share_of_the_vmm_is_drawn_and_told() -> None:
    """What had no time has no mark: a logarithmic axis has no place for it."""
    picture = lanes.shares([kexec_of(down=4000, up=0)])
    shapes = "".join(picture.shapes)
    assert "down: VMM 1.00 µs of 4.00 µs, 25 %" in shapes and "up:" not in shapes
    assert re.findall(r'class="mark (\w+)"', shapes) == ["kernel", "vmm"]
    places = [float(x) for x in re.findall(r"translate\(([\d.]+) ", shapes)]
    assert places[1] == 8 and places[0] == pytest.approx(8 + math.log10(3) * (WIDTH - 16), abs=0.1)
    assert not lanes.shares([kexec_of(down=None, up=0)]).said


# --- which kexecs -----------------------------------------------------------------------

def test_the_median_kexec_of_rivals_is_drawn() -> None:
    slow, fast = measured("hotplug", 4, 14 * MS), measured("stop", 4, 16_000)
    slow["samples"] = [slow["samples"][i] for i in (2, 0, 1)]
    pair = kexecs.compared([measured("module", 2, 1000), fast, slow])
    assert [(one.unit, one.which) for one in pair] == [
        ("hotplug-4cpu", "kexec 3 of 3"), ("stop-4cpu", "kexec 2 of 3")]


def test_without_rivals_the_largest_machines_are_drawn() -> None:
    units = [measured("stop", 2, 1000), measured("stop", 8, 1000), measured("park-host", 8, 1000)]
    assert [one.unit for one in kexecs.compared(units)] == ["stop-8cpu", "park-host-8cpu"]
    assert [one.unit for one in kexecs.compared(units[:2])] == ["stop-8cpu"]
    assert kexecs.compared([unit("stop", [1]), hidden("stop", 4)]) == []


def test_a_page_has_every_kexec_with_a_table() -> None:
    result = result_of(measured("hotplug", 4, 14 * MS), measured("stop", 4, 16_000),
                       unit("module", []))
    html = page.render(result)
    assert re.findall(r'<details class="kexec"><summary>([^<]*)', html) == [
        "hotplug-4cpu: 3 kexecs", "stop-4cpu: 3 kexecs"]
    assert html.count("<caption>Moments of each CPU: ") == 6
    first = html[html.index("<caption>Moments of each CPU: "):]
    row = re.search(r'<tr><th scope="row">1 \(0x1\)</th>(.*?)</tr>', first)
    moments = result["units"][0]["samples"][0]["per_cpu"][0]
    assert row and re.findall(r"<td>([^<]*)", row[1]) == [
        f"{moments[name] / 1e6:.3f}" for name in kexecs.MOMENTS]
    assert kexecs.lanes_section([unit("stop", [1])], "r1") is None


def test_a_kexec_that_is_alone_is_drawn_once() -> None:
    one = measured("stop", 4, 1000)
    one["samples"] = one["samples"][:1]
    section = str(kexecs.lanes_section([one], "r1", whole=True))
    assert section.count("<svg") == 4 and section.count("<caption>Moments of each CPU") == 1


def test_down_of_one_cpu_that_leaves_begins_at_the_mark() -> None:
    alone = kexec_of(cpu(1, 29 * MS, 29 * MS + 300, None, None, None), down=29 * MS)
    assert "down 29.0 ms from the kexec mark" in "".join(
        lanes.cpus_on_their_way([alone], "down", Extent.of([alone])).shapes)
    assert "mark" not in "".join(lanes.cpus_on_their_way([ONE], "down", Extent.of([ONE])).shapes)


def test_kexecs_of_a_page_share_their_axes() -> None:
    """So that any two may be compared: the same moment has the same place."""
    units = [measured("hotplug", 4, 14 * MS), measured("stop", 4, 16_000)]
    section = str(kexecs.lanes_section(units, "r1"))
    downs = re.findall(r"<title>down: CPU by CPU.*?</svg>", section, re.DOTALL)
    ticks = [re.findall(r'<text x="([\d.]+)"[^>]*class="tick \w+">([^<]* \ws)<', one)
             for one in downs]
    assert len(ticks) == 7 and all(one == ticks[0] for one in ticks)
    assert ticks[0][-1][1] == "10 ms"


# --- as one SVG -------------------------------------------------------------------------

def svg(document: dict[str, Any]) -> tuple[str, ElementTree.Element]:
    text = kexecs.lanes_svg(document)
    assert len(text.encode()) < 100_000 and "<script" not in text
    assert not re.search(r"(?:href|src)=|url\(|@import", text)
    return text, ElementTree.fromstring(text)


def test_lanes_are_one_picture_for_others() -> None:
    document = result_of(measured("hotplug", 4, 14 * MS), measured("stop", 4, 16_000))
    text, root = svg(document)
    assert root.tag == f"{SVG}svg" and text == kexecs.lanes_svg(document)
    assert [child.findtext(f"{SVG}title") for child in root.findall(f"{SVG}svg")] == [
        "phases: since the guest calls kexec", "who had the time: logarithmic",
        "down: CPU by CPU, since the first CPU leaves, logarithmic",
        "up: CPU by CPU, since the first CPU is called, logarithmic"]
    assert "prefers-color-scheme: dark" in text
    said = root.findtext(f"{SVG}desc") or ""
    assert "hotplug-4cpu, kexec 2 of 3: 3 CPUs, 28.0 ms" in said
    assert "stop-4cpu, kexec 2 of 3, down: firmware model 0 ns" in said
    frame = [float(word) for word in root.attrib["viewBox"].split()]
    for child in root.findall(f"{SVG}svg"):
        box = {name: float(child.attrib[name]) for name in ("x", "y", "width", "height")}
        assert box["x"] + box["width"] <= frame[2] and box["y"] + box["height"] <= frame[3]


def test_the_largest_machine_fits(tmp_path: pathlib.Path) -> None:
    one = unit("stop", [1000, 2000], cpus=512)
    for kexec in one["samples"]:
        kexec["per_cpu"] = [cpu(n, n * 20_000, n * 20_000 + 11_111, 30 * MS + n, 40 * MS + n * MS,
                                40 * MS + n * MS + 25_000) for n in range(1, 512)]
    text, _ = svg(result_of(one, json.loads(json.dumps(one)) | {"id": "other", "arm": "other"}))
    assert text.count("64 of 511 CPUs") == 4


def test_lanes_of_a_run_are_those_of_its_median_kexec(tmp_path: pathlib.Path, capsys) -> None:
    script = scripted.Script(4)
    script.first_boot()
    ns = MS
    for apart in (14 * MS, 20 * MS, 16 * MS):
        ns = add_kexec(script, ns, apart, page=False, step=False)
    written = scripted.run(script, tmp_path, arm="mine")
    text, _ = svg(written.json())
    assert "mine-4cpu, kexec 3 of 3" in text and "kexec 1" not in text
    assert command.main([str(written.results), "--svg", str(tmp_path / "lanes.svg")]) == 0
    assert (tmp_path / "lanes.svg").read_text() == text
    assert not (tmp_path / "report.html").exists()
    html = page.render_run(written.json())
    assert re.findall(r'<details class="kexec"><summary>([^<]*)', html) == [
        f"mine-4cpu, kexec {number} of 3" for number in (1, 2, 3)]
    results.save(result_of(measured("stop", 4, 1000)), tmp_path / "bench.json")
    with pytest.raises(Failure, match="--svg: these are 2 results; it draws one") as caught:
        command.main([str(tmp_path / "bench.json")] * 2 + ["--svg", "-"])
    assert caught.value.status == USAGE


@pytest.mark.parametrize("label, words", [
    ("kvm-on-tcg", "times are worth nothing, so no lanes are drawn"),
    ("kvm", "No kexec of this result has a CPU whose way was seen")])
def test_where_nothing_is_drawn_it_says_why(label: str, words: str) -> None:
    one = unit("stop", [5 * MS], label=label)
    if label == "kvm-on-tcg":
        one["samples"][0]["per_cpu"] = ONE.sample["per_cpu"]
    text, _ = svg(result_of(one))
    assert words in text and not re.search(r"\d ms", text)


def test_text_of_a_result_stays_text_in_a_picture() -> None:
    hostile = measured("stop", 4, 1000) | {"id": HOSTILE, "arm": HOSTILE}
    document = result_of(hostile)
    document["name"] = HOSTILE
    _, root = svg(document)
    assert HOSTILE in (root.findtext(f"{SVG}title") or "")


def test_letters_are_no_wider_than_is_reckoned_with() -> None:
    """Places of texts are computed from it, here and in plots."""
    assert plots.LETTER * len("userspace 1231 ms") + 4 < WIDTH / 2
