# SPDX-License-Identifier: Apache-2.0
"""A report as a browser has it: opened from disk, in both colour schemes, at a
desk and on a phone."""

import json
import pathlib
import re
import time
from typing import Iterator

import pytest
import scripted
from bench_results import add_kexec, measured, of_everything, result_of, unit
from parkvmm.bench import export, facts, results
from parkvmm.report import browser, events, history, kexecs, page
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.xdist_group("browser")  # one is enough
DESK, PHONE = browser.DESK, browser.PHONE
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(downloads: pathlib.Path) -> Iterator[webdriver.Chrome]:
    with browser.browser(downloads) as driver_:
        yield driver_


def open_(driver: webdriver.Chrome, folder: pathlib.Path, shown: dict | str, scheme: str = "light",
          size: tuple[int, int] = DESK) -> None:
    """A page of its own, and the logs of nothing else."""
    file = folder / "report.html"
    file.write_text(shown if isinstance(shown, str) else page.render(shown), encoding="utf-8")
    driver.get("about:blank")
    for log in ("browser", "performance"):
        driver.get_log(log)
    browser.show(driver, file, scheme, size)
    assert driver.title.startswith("parkvmm: ")


def complaints(driver: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: webdriver.Chrome) -> list[str]:
    """Of anything but the page itself and what it holds."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith("file:") for url in urls), "the log sees no requests at all"
    return [url for url in urls[1:] if not url.startswith("data:")]


def all_of(driver: webdriver.Chrome, selector: str) -> list:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def one(driver: webdriver.Chrome, selector: str):
    return driver.find_element(By.CSS_SELECTOR, selector)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", browser.SCHEMES)
def test_everything_is_shown_and_nothing_is_asked_for(driver, tmp_path, scheme, size) -> None:
    open_(driver, tmp_path, of_everything(), scheme=scheme, size=size)
    for selector in ("h1", ".answer", ".worth .label", ".failures li", "#r1-medians tbody tr",
                     "#r1-who .bar .kernel", "#r1-lanes svg path.kernel", "#r1-lanes svg path.vmm",
                     "#r1-steps tbody tr", "#r1-scaling svg polyline", "#r1-effects svg circle",
                     "#r1-environment dd", "#r1-data button"):
        found = all_of(driver, selector)
        assert found, selector
        # A segment may be thinner than a pixel, but what matters has a place.
        assert any(element.rect["width"] > 0 and element.rect["height"] > 0
                   for element in found), selector
    assert complaints(driver) == []
    assert requests(driver) == []


@pytest.mark.parametrize("size", [DESK, PHONE, (320, 640)], ids=["desk", "phone", "small"])
def test_a_page_is_as_wide_as_its_screen(driver, tmp_path, size) -> None:
    long = unit("stop", [100]) | {"id": "x" * 90, "failures": ["y" * 400]}
    for shown in (of_everything(), result_of(long)):
        open_(driver, tmp_path, shown, size=size)
        assert driver.execute_script("return document.documentElement.scrollWidth") == size[0]


def run_page(folder: pathlib.Path) -> str:
    """Returns the page of a run that ended badly, with its events."""
    script = scripted.Script(8)
    script.first_boot()
    add_kexec(script, add_kexec(script, 1_000_000, 14_000_000, page=False, step=True), 9_000_000,
              page=True, step=False)
    written = scripted.run(script, folder)
    document = written.json()
    document["stop"] |= {"exit_code": 66, "id": "cpus-lost", "sentence": "s" * 200}
    document["diagnoses"] = [{"id": "early-read", "sentence": "It read. " * 20, "count": 1,
                              "vcpu": 1, "place": "0x7ff00000", "value": "0x1"}]
    return page.render_run(document, events.read(written.events, document))


def history_page(folder: pathlib.Path) -> str:
    return page.render_history([of_everything(), of_everything(),
                                result_of(unit("stop", [100], label="kvm"))])


@pytest.mark.parametrize("size", [DESK, PHONE, (320, 640)], ids=["desk", "phone", "small"])
@pytest.mark.parametrize("render", [run_page, history_page])
def test_runs_and_histories_are_as_wide_as_their_screen(driver, tmp_path, render, size) -> None:
    open_(driver, tmp_path, render(tmp_path), size=size)
    assert driver.execute_script("return document.documentElement.scrollWidth") == size[0]
    for table in all_of(driver, "table"):
        assert table.find_elements(By.CSS_SELECTOR, "caption")
        assert all(cell.get_attribute("scope") for cell in table.find_elements(
            By.CSS_SELECTOR, "th"))
    pictures = driver.execute_script("return [...document.querySelectorAll('svg[role=img]')]"
                                     ".filter((one) => one.checkVisibility())")
    assert pictures and all(picture.accessible_name for picture in pictures)
    assert complaints(driver) == [] and requests(driver) == []


def test_a_history_hands_out_its_table(driver, tmp_path, downloads) -> None:
    open_(driver, tmp_path, history_page(tmp_path))
    one(driver, ".download").click()
    found = history.histories([of_everything(), of_everything(),
                               result_of(unit("stop", [100], label="kvm"))])
    assert wait_for(downloads / "history.csv") == history.csv_text(found)
    assert complaints(driver) == []


def contrast(one_: str, other: str) -> float:
    """As WCAG has it, of two colours like rgb(1, 2, 3)."""
    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1:-1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                  for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one_), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", browser.SCHEMES)
def test_text_can_be_read_and_colours_told_apart(driver, tmp_path, scheme) -> None:
    open_(driver, tmp_path, of_everything(), scheme=scheme)

    def colour(selector: str, name: str) -> str:
        return driver.execute_script(
            "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
            selector, name)

    ground = colour("body", "backgroundColor")
    for selector in (".answer", ".question", ".note", ".unit", ".worth", ".failures b", "td",
                     "summary"):
        assert contrast(colour(selector, "color"), ground) >= 4.5, selector
    for arm in all_of(driver, "#r1-scaling .arm text"):
        assert contrast(driver.execute_script("return getComputedStyle(arguments[0]).fill", arm),
                        ground) >= 4.5
    shares = [colour(f".swatch.{who}", "backgroundColor") for who in facts.WHO]
    # By lightness alone: what no kind of colour-blindness takes away.
    for i, share in enumerate(shares):
        assert all(contrast(share, other) >= 1.3 for other in shares[i + 1:])


# Of each picture that is shown: its frame, and each text with its own. [x, y, width, height]
TEXTS = """
  const box = (one) => {
    const {x, y, width, height} = one.getBoundingClientRect();
    return [x, y, width, height];
  };
  return [...document.querySelectorAll("svg[role=img]")].filter((one) => one.checkVisibility())
    .map((one) => [box(one), [...one.querySelectorAll("text")]
      .map((text) => [text.textContent, box(text)])]);
"""


def overlap(one_: list[float], other: list[float]) -> bool:
    """Tells whether two texts cover each other, but for a pixel and the room below letters."""
    (x, y, width, height), (x2, y2, width2, height2) = one_, other
    return (x + width > x2 + 1 and x2 + width2 > x + 1
            and y + 0.8 * height > y2 + 1 and y2 + 0.8 * height2 > y + 1)


def bench_page(folder: pathlib.Path) -> str:
    return page.render(of_everything())


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("render", [bench_page, run_page, history_page])
def test_no_text_of_a_picture_covers_another_or_is_cut(driver, tmp_path, render, size) -> None:
    """In lanes, phases and curves, with the font that the browser has."""
    open_(driver, tmp_path, render(tmp_path), size=size)
    pictures = driver.execute_script(TEXTS)
    assert len(pictures) > 3
    for (left, _, wide, _), found in pictures:
        for index, (text, box) in enumerate(found):
            assert left - 1 <= box[0] and box[0] + box[2] <= left + wide + 1, text
            for other, beside in found[index + 1:]:
                assert not overlap(box, beside), f"{text!r} covers {other!r}"


def test_every_kexec_can_be_opened_without_a_script(driver, tmp_path) -> None:
    open_(driver, tmp_path, of_everything())
    one(driver, ".kexec summary").click()
    assert one(driver, ".kexec svg path.vmm").is_displayed()
    one(driver, ".kexec .moments summary").click()
    assert one(driver, ".kexec .moments td").is_displayed()
    assert complaints(driver) == []


def test_lanes_are_a_picture_of_their_own(driver, tmp_path) -> None:
    """Its ground and its text go with the colour scheme; nothing is asked for."""
    file = tmp_path / "lanes.svg"
    file.write_text(kexecs.lanes_svg(of_everything()), encoding="utf-8")
    for scheme in browser.SCHEMES:
        driver.get_log("performance")
        browser.show(driver, file, scheme)
        assert requests(driver) == [] and complaints(driver) == []
        ground, ink = (driver.execute_script(
            "return getComputedStyle(document.querySelector(arguments[0])).fill", name)
            for name in ("svg > rect", "svg > text"))
        assert contrast(ground, ink) >= 7, scheme
        assert re.findall(r"\d+", ground)[0] == {"light": "253", "dark": "21"}[scheme]


def test_tables_are_sorted_by_keyboard_too(driver, tmp_path) -> None:
    open_(driver, tmp_path, of_everything())
    button = next(button for button in all_of(driver, "#r1-medians thead button")
                  if button.text.startswith("down"))

    def column() -> list[float]:
        cells = all_of(driver, "#r1-medians tbody td:nth-child(6)")
        return [float(cell.text.split()[0]) for cell in cells if cell.text != "-"]

    button.click()
    assert column() == sorted(column())
    button.send_keys(Keys.ENTER)
    assert column() == sorted(column(), reverse=True)
    assert one(driver, "#r1-medians [aria-sort]").get_attribute("aria-sort") == "descending"


def wait_for(file: pathlib.Path) -> str:
    end = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < end, f"no {file.name} after 20 s"
        time.sleep(0.05)
    return file.read_text(encoding="utf-8")


def test_the_raw_data_is_the_result(driver, tmp_path, downloads) -> None:
    result = of_everything()
    open_(driver, tmp_path, result)
    for button in all_of(driver, ".download"):
        button.click()
    wait_for(downloads / "test.json")
    assert results.load(downloads / "test.json") == result
    assert wait_for(downloads / "test.csv") == export.csv_text(result)
    assert complaints(driver) == []


def test_text_of_a_result_does_nothing(driver, tmp_path) -> None:
    hostile = measured("stop", 4, 16_000) | {"id": HOSTILE, "arm": HOSTILE, "failures": [HOSTILE]}
    result = result_of(hostile)
    result["name"] = HOSTILE
    open_(driver, tmp_path, result)
    assert one(driver, "h1").text == HOSTILE
    assert HOSTILE in one(driver, ".failures").text
    assert HOSTILE in one(driver, ".kexec summary").text
    assert not all_of(driver, "img") and len(all_of(driver, "script")) == 2
    assert complaints(driver) == []


def test_the_browser_would_complain(driver, tmp_path) -> None:
    """Else no complaints would mean nothing."""
    file = tmp_path / "bad.html"
    html = page.render(result_of(unit("stop", [1])))
    file.write_text(html.replace("</main>", "<img src='https://example.invalid/x.png'>"
                                 "<script>alert(1)</script></main>"), encoding="utf-8")
    driver.get_log("browser")
    browser.show(driver, file, "light")
    said = " ".join(complaints(driver))
    assert "img-src" in said and "script-src" in said


def test_screenshots_are_taken(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.render(of_everything()), encoding="utf-8")
    found = dict(browser.screenshots(file))
    assert {"phone-dark", "top-light", "lanes-light", "effects-dark"} <= set(found)
    assert all(png.startswith(b"\x89PNG") for png in found.values())
