# SPDX-License-Identifier: Apache-2.0
"""A report in a headless browser, for tests and screenshots. Needs what
`tools/setup report` installs."""

import base64
import contextlib
import os
import pathlib
from typing import Any, Iterator

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

DRIVER = "/usr/bin/chromedriver"
DEADLINE = 60  # seconds
SCHEMES = ("light", "dark")
DESK, PHONE = (1280, 900), (375, 812)


@contextlib.contextmanager
def browser(downloads: pathlib.Path | None = None) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--no-first-run"):
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # as root it has none
    if downloads:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    try:
        driver.set_page_load_timeout(DEADLINE)
        driver.set_script_timeout(DEADLINE)
        yield driver
    finally:
        driver.quit()


def show(driver: webdriver.Chrome, page: pathlib.Path, scheme: str,
         size: tuple[int, int] = DESK) -> None:
    """Opens a page from disk, with this screen and this colour scheme."""
    width, height = size
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 2 if width < 600 else 1,
        "mobile": width < 600})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    driver.get(page.absolute().as_uri())


def picture(driver: webdriver.Chrome, selector: str | None = None) -> bytes:
    """Returns a PNG of what is seen, or of a whole element."""
    options: dict[str, Any] = {"format": "png"}
    if selector:
        box = driver.execute_script(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [box.x + scrollX, box.y + scrollY, box.width, box.height]", selector)
        margin = 16
        x, y = max(0, box[0] - margin), max(0, box[1] - margin)
        options |= {"captureBeyondViewport": True, "clip": {
            "x": x, "y": y, "width": box[2] + 2 * margin, "height": box[3] + 2 * margin,
            "scale": 1}}
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])


def screenshots(page: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Yields pictures by name: what is seen at first, at a desk and on a phone, and each
    section of the first result."""
    with browser() as driver:
        for scheme in SCHEMES:
            show(driver, page, scheme, PHONE)
            yield f"phone-{scheme}", picture(driver)
            show(driver, page, scheme)
            yield f"top-{scheme}", picture(driver)
            for section in driver.find_elements("css selector",
                                                "article:first-of-type > section"):
                ident = str(section.get_attribute("id"))
                yield f"{ident.partition('-')[2]}-{scheme}", picture(driver, f"#{ident}")
