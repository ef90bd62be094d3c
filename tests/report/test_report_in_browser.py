# SPDX-License-Identifier: Apache-2.0
"""A report as a browser has it: opened from disk, in both colour schemes, at a
desk and on a phone."""

import json
import pathlib
import time
from typing import Iterator

import pytest
import scripted
from bench_results import add_kexec, measured, of_everything, result_of, unit
from parkvmm.bench import export, facts, results
from parkvmm.report import browser, events, history, page
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

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
                     "#r1-who .bar .kernel", "#r1-lanes svg rect.kernel", "#r1-lanes svg rect.vmm",
                     "#r1-steps tbody tr", "#r1-scaling svg polyline", "#r1-factorial .dot",
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
    for picture in all_of(driver, "svg[role=img]"):
        assert picture.accessible_name
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


def test_lanes_are_of_the_kexec_that_is_chosen(driver, tmp_path) -> None:
    open_(driver, tmp_path, of_everything())
    assert "hotplug-16cpu: CPUs leave from 0.100 to" in one(driver, ".said").text
    Select(one(driver, ".unit-of")).select_by_visible_text("stop-4cpu")
    assert "stop-4cpu: CPUs leave from 0.100 to 0.132 ms" in one(driver, ".said").text
    Select(one(driver, ".kexec-of")).select_by_visible_text("3 of 3")
    assert "from 0.100 to 0.133 ms" in one(driver, ".said").text  # 200 ns later
    one(driver, "#r1-lanes summary").click()
    cells = [cell.text for cell in all_of(driver, ".lane-table tbody tr:nth-child(2) > *")]
    assert cells[:3] == ["0x2", "0.116", "0.117"]
    titles = [title.get_attribute("textContent") for title in all_of(driver, ".lanes rect title")]
    assert "CPU 1 off or parked: 0.150 to 12.599 ms" in titles
    assert complaints(driver) == []


def test_lanes_are_where_their_moments_are(driver, tmp_path) -> None:
    """A CPU that leaves twice as late leaves twice as far to the right."""
    open_(driver, tmp_path, result_of(measured("hotplug", 4, 10_000_000)))
    panel = one(driver, ".lanes .panels svg")
    left, right = (panel.find_elements(By.CSS_SELECTOR, "line.axis")[0].get_attribute(name)
                   for name in ("x1", "x2"))
    ends = [float(rect.get_attribute("x")) + float(rect.get_attribute("width"))
            for rect in panel.find_elements(By.CSS_SELECTOR, "rect.kernel")]
    one_, two, three = ends
    assert float(left) < one_ < two < three < float(right)
    assert two - one_ == pytest.approx(three - two, rel=0.01)


def test_tables_are_sorted_by_keyboard_too(driver, tmp_path) -> None:
    open_(driver, tmp_path, of_everything())
    button = next(button for button in all_of(driver, "#r1-medians thead button")
                  if button.text.startswith("down"))

    def column() -> list[float]:
        cells = all_of(driver, "#r1-medians tbody td:nth-child(6)")
        return [float(cell.text) for cell in cells if cell.text != "-"]

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
    assert HOSTILE in one(driver, ".failures").text and HOSTILE in one(driver, ".said").text
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
    assert {"phone-dark", "top-light", "lanes-light", "factorial-dark"} <= set(found)
    assert all(png.startswith(b"\x89PNG") for png in found.values())
