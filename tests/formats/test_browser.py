"""The example pages in a real browser: Debian's Chromium, headless, driven through its own protocol by selenium.

    apt-get install chromium chromium-driver
    npm install --prefix DIR axe-core
    ENVCHECK_AXE=DIR/node_modules/axe-core/axe.min.js uv run --with selenium python -m pytest -m browser -rs

Nothing of it is needed to work on the rest: without Chromium or selenium they are skipped, without axe-core the last.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.formats.golden import EXAMPLES, SPRINTS

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
NAMES = sorted(SPRINTS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that records what its pages say and ask for."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with chromedriver on this machine (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


def opened(browser: Any, name: str, width: int = 1280) -> Any:
    """The page of an example at a width in CSS pixels."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get((EXAMPLES / f"{name}.html").as_uri())
    return browser


@pytest.mark.parametrize("name", NAMES)
def test_a_page_loads_in_silence_and_alone(browser: Any, name: str) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    page = opened(browser, name)
    assert page.get_log("browser") == [], "no error, warning or violation on the console"
    said = [entry["message"] for entry in page.get_log("performance")]
    asked = [message for message in said if "Network.requestWillBeSent" in message]
    addresses = [text.split('"url":"', 1)[1].split('"', 1)[0] for text in asked if '"url":"' in text]
    assert addresses
    assert [address for address in addresses if not address.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_overflows_the_page(browser: Any, name: str, width: int) -> None:
    page = opened(browser, name, width)
    wide, seen = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert seen == width
    assert wide <= width


SORTED = """
const table = [...document.querySelectorAll("table")].find((t) => t.querySelector("td[data-sort]"));
const index = [...table.tBodies[0].rows[0].cells].findIndex((c) => c.dataset.sort !== undefined);
const head = table.tHead.rows[0].cells[index];
const values = () => [...table.tBodies[0].rows].map((r) => r.cells[index].dataset.sort);
const column = () => values().filter((v) => v !== undefined).map(Number);
head.querySelector("button").click();
const up = column(), first = head.getAttribute("aria-sort");
head.querySelector("button").click();
return [up, first, column(), head.getAttribute("aria-sort")];
"""


@pytest.mark.parametrize("name", NAMES)
def test_tables_sort_by_their_values(browser: Any, name: str) -> None:
    up, first, down, second = opened(browser, name).execute_script(SORTED)
    assert len(set(up)) > 1
    assert (up, first) == (sorted(up), "ascending")
    assert (down, second) == (sorted(down, reverse=True), "descending")


@pytest.mark.parametrize("name", NAMES)
def test_the_theme_switches_and_back(browser: Any, name: str) -> None:
    page = opened(browser, name)
    paper = "return getComputedStyle(document.body).backgroundColor"
    click = "document.getElementById('theme').click();"
    before = page.execute_script(paper)
    assert page.execute_script(click + paper) != before
    assert page.execute_script(click + paper) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_page_prints(browser: Any, name: str) -> None:
    made = opened(browser, name).execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(made["data"])[:5] == b"%PDF-"


AXE_RUN = """
const done = arguments[arguments.length - 1];
for (const fold of document.querySelectorAll("details")) fold.open = true;
axe.run(document, {resultTypes: ["violations"]}).then((found) => done(
  found.violations.map((v) => [v.id, v.impact, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])));
"""


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_to_complain_about(browser: Any, name: str, scheme: str, width: int) -> None:
    axe = os.environ.get("ENVCHECK_AXE")
    if axe is None:
        pytest.skip("ENVCHECK_AXE does not name axe.min.js (see the top of this file)")
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page = opened(browser, name, width)
    page.execute_cdp_cmd("Runtime.evaluate", {"expression": Path(axe).read_text(encoding="utf-8")})
    found = page.execute_async_script(AXE_RUN)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == []


def test_a_phone_sees_every_cell_of_a_wide_table(browser: Any) -> None:
    page = opened(browser, "wsl2-titan-v", 360)
    hidden = page.execute_script(
        "return [...document.querySelectorAll('.wide td')].filter((c) => !c.closest('details') && "
        "(c.getBoundingClientRect().right > innerWidth || !c.getBoundingClientRect().width)).map((c) => c.textContent)"
    )
    assert hidden == []
