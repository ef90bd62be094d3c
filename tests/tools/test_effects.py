# SPDX-License-Identifier: Apache-2.0
"""Questions that pairs of units answer, and how a report draws them."""

import re

import pytest
from bench_results import hidden, result_of, unit
from parkvmm.bench import effects
from parkvmm.bench.analysis import Spread
from parkvmm.bench.effects import Effect
from parkvmm.report import answers

BARE = re.compile(r"<[^>]*>")
MS = 1_000_000


def of(old: list[int], new: list[int], lengthens: bool = False) -> Effect:
    one, = effects.effect("?", "4 CPUs", ("a", "b"), unit("a", old), unit("b", new), "down",
                          lengthens)
    return one


# --- answers ------------------------------------------------------------------------

@pytest.mark.parametrize("old, new, answer, why", [
    ([500, 600], [100, 200], "yes", "3.7 times shorter"),
    ([100, 200], [500, 600], "no, longer", "3.7 times longer"),
    ([100, 200], [200, 300], "not shown", "the samples overlap"),
    ([100, 900], [200, 300], "not shown", "the samples overlap"),
    ([500], [100, 200], "no answer", "a single sample"),
    ([500, 600], [100], "no answer", "a single sample"),
    ([100, 102], [90, 94], "yes", "8.9 % shorter"),
    ([100, 102], [70, 72], "yes", "30 % shorter"),
    ([100, 100], [0, 0], "yes", "shorter: one is 0")])
def test_an_answer_is_given_if_the_samples_are_apart(old, new, answer, why) -> None:
    assert (of(old, new).answer, of(old, new).why) == (answer, why)


def test_a_question_may_be_for_a_longer_time() -> None:
    assert of([100, 200], [500, 600], lengthens=True).answer == "yes"
    assert of([500, 600], [100, 200], lengthens=True).answer == "no, shorter"


@pytest.mark.parametrize("old, new, text", [
    (100, 150, "50 % longer"), (100, 201, "2.0 times longer"), (1000, 10, "100 times shorter"),
    (1_117_000, 1000, "1117 times shorter"), (100, 99, "1.0 % shorter")])
def test_a_change_has_the_digits_that_mean_something(old: float, new: float, text: str) -> None:
    assert effects.change(old, new) == text


# --- questions ----------------------------------------------------------------------

def questions(*units: dict) -> list[tuple[str, str, tuple[str, str]]]:
    return [(one.question, one.machine, one.names) for one in effects.effects(list(units))]


def test_units_are_paired_on_the_same_machine() -> None:
    assert questions(unit("hotplug", [2]), unit("stop", [1]), unit("stop", [1], cpus=8)) == [
        ("Does stopping all CPUs at once, with CPU_OFF, shorten down?", "4 CPUs",
         ("hotplug", "stop"))]
    assert questions(unit("stop", [1]), unit("stop", [1], cpus=8)) == []
    assert questions(unit("hotplug", [2]), unit("stop", [])) == []


def test_a_page_is_asked_for_down_and_for_up_where_all_stop_and_where_they_do_not() -> None:
    """Simple effects: no mean of a time of half a second and one of half a millisecond."""
    asked = questions(*(unit(arm, [1]) for arm in ("hotplug", "stop", "hotplug-page", "park-host")))
    assert [text for text, _, names in asked if names[0] != "hotplug" or names[1] != "stop"] == [
        f"{how}, does a park page in place of CPU_OFF shorten {way}?"
        for how in ("One by one", "All at once") for way in ("down", "up")]


def test_who_answers_psci_is_asked_of_the_whole_kexec() -> None:
    one, = questions(unit("hotplug", [1]), hidden("hotplug", 4))
    assert one == (effects.OF_PSCI, "hotplug, 4 CPUs", ("vmm", "kvm"))


def test_kernels_are_compared_with_the_first() -> None:
    units = [unit("stop", [1]) | {"id": f"stop-4cpu-{name}", "kernel": name}
             for name in ("old/Image", "new/Image", "next/Image")]
    assert questions(*units) == [
        (f"Does another kernel shorten {way}?", "stop, 4 CPUs", ("old/Image", name))
        for name in ("new/Image", "next/Image") for way in ("down", "up")]


def test_every_arm_of_a_question_is_one() -> None:
    from parkvmm.guest.arms import ARMS
    for question in effects.QUESTIONS:
        assert question.before in ARMS and question.after in ARMS, question
    texts = [question.text for question in effects.QUESTIONS]
    assert len(set(texts)) == len(texts), "one question has one row"


def test_a_question_is_answered_where_most_cpus_are() -> None:
    units = [unit(arm, [ns], cpus=cpus) for cpus in (4, 32, 8)
             for arm, ns in (("hotplug", 9), ("stop", 1))]
    slow = [unit(arm, [5], cpus=32) | {"id": f"{arm}-32cpu-thunderx2"}
            for arm in ("hotplug", "stop")]
    found = effects.foremost(effects.effects(slow + units))
    assert [(one.machine, one.old.median) for one in found] == [("32 CPUs", 9)]


def test_boots_of_virtual_time_are_the_same() -> None:
    wall, virtual = result_of(unit("stop", [1], label="kvm")), result_of(unit("stop", [1]))
    for result in (wall, virtual):
        assert effects.boots_of(result) == 1
        result["plan"] = result["plan"] | {"rounds": 5}
    assert (effects.boots_of(wall), effects.boots_of(virtual)) == (5, 1)


# --- what is drawn --------------------------------------------------------------------

def rows_of(html: str) -> list[list[list[str]]]:
    """Returns the words of each cell of each row but the first."""
    return [[BARE.sub(" ", cell).split() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row,
                                                                re.DOTALL)]
            for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)][1:]


def test_a_row_has_median_least_most_and_number() -> None:
    html = str(answers.effects_section(
        result_of(unit("hotplug", [8 * MS, 10 * MS, 9 * MS]), unit("stop", [MS, 2 * MS])), "r1"))
    row, = rows_of(html)
    assert [" ".join(cell) for cell in row[:5]] == [
        "Does stopping all CPUs at once, with CPU_OFF, shorten down?",
        "yes 6.0 times shorter, in one boot", "4 CPUs", "hotplug 9.000 8.000 to 10.000, n 3",
        "stop 1.500 1.000 to 2.000, n 2"]
    assert "Label kvm-on-tcg-icount." in html
    assert answers.effects_section(result_of(unit("stop", [1])), "r1") is None


def test_the_other_machines_of_a_question_are_folded() -> None:
    units = [unit(arm, [ns], cpus=cpus) for cpus in (4, 32)
             for arm, ns in (("hotplug", 900), ("stop", 100))]
    html = str(answers.effects_section(result_of(*units), "r1"))
    first, _, folded = html.partition("<details>")
    assert "32\u00a0CPUs" in first and "4\u00a0CPUs" not in first and "4\u00a0CPUs" in folded


def place(ns: float, low: int, high: int) -> float:
    return answers.Axis(low, high).x_of(ns)


def test_a_spread_is_where_its_times_are() -> None:
    axis = answers.Axis.of([of([10_000, 30_000, 20_000], [MS, 2 * MS])])
    assert (axis.low, axis.high) == (4, 7)
    html = str(answers.picture(of([10_000, 30_000, 20_000], [MS, 2 * MS]), axis))
    assert re.findall(r'd="M([\d.]+) (\d+)H([\d.]+)"', html) == [
        (f"{place(least, 4, 7):.1f}", y, f"{place(most, 4, 7):.1f}")
        for least, most, y in ((10_000, 30_000, "9"), (MS, 2 * MS, "21"))]
    assert f'cx="{place(1_500_000, 4, 7):.1f}" cy="21.0"' in html
    assert axis.x_of(1e4) == answers.EDGE and axis.x_of(1e7) == answers.WIDTH - answers.EDGE


def test_a_single_sample_is_drawn_without_a_spread_and_nothing_not_at_all() -> None:
    alone = of([20_000], [MS, 2 * MS])
    html = str(answers.picture(alone, answers.Axis.of([alone])))
    assert html.count('class="hollow"') == 1 and len(re.findall(r'd="M[\d. ]+H', html)) == 1
    nothing = of([0, 0], [MS, 2 * MS])
    html = str(answers.picture(nothing, answers.Axis.of([nothing])))
    assert 'class="without"' not in html and 'class="with"' in html
    empty = Effect("?", "", 4, ("a", "b"), Spread(0, 0, 0, 2), Spread(0, 0, 0, 2))
    assert answers.Axis.of([empty]).decades == [1, 10]


@pytest.mark.parametrize("low, high, names", [
    (4, 7, ["10 µs", "100 µs", "1 ms", "10 ms"]), (4, 9, ["10 µs", "1 ms", "100 ms"]),
    (2, 10, ["100 ns", "100 µs", "100 ms"])])
def test_names_of_decades_have_room(low: int, high: int, names: list[str]) -> None:
    html = answers.ticks(answers.Axis(low, high))
    assert re.findall(r">([^<>]+)</text>", str(html)) == names
