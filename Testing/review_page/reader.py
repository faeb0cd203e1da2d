"""A reader at the page: Playwright drives a real Chromium; what was seen is printed as JSON.

Run by the interpreter of the page's own environment: reader.py CHROMIUM FOLDER SCREENSHOTS.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

PATIENT_MS = 120_000
AXIAL = (0.511, 0.75)
"""Inside the liver in the axial view, as parts of width and height of the page."""


class Server:
    """The page's server as a child process."""

    def __init__(self, case: Path, *options: str) -> None:
        command = [sys.executable, "-m", "LiverTumorSegReview", str(case), "--no-browser", "--autosave", "1", *options]
        self._errors = (case.parent / "server.log").open("a")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=dict(os.environ)
        )
        assert self.process.stdout is not None
        self.link = ""
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                self.link = found[0]
                break
        if not self.link:
            raise SystemExit(f"the server did not start: {(case.parent / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._errors.close()


def open_page(browser: Browser, link: str) -> Page:
    page = browser.new_page(viewport={"width": 1600, "height": 950})
    page.set_default_timeout(PATIENT_MS)
    page.goto(link)
    return page


def text(page: Page, selector: str) -> str:
    return page.inner_text(selector)


def until(page: Page, selector: str, condition: str, value: Any = None) -> str:
    """Wait until the text `t` of an element fulfils a condition in JavaScript; return it."""
    expression = f"v => {{ const e = document.querySelector('{selector}'); if (!e) return false; "
    page.wait_for_function(expression + f"const t = e.innerText; return {condition}; }}", arg=value)
    return text(page, selector)


def stroke(page: Page) -> None:
    size = page.viewport_size
    x, y = AXIAL[0] * size["width"], AXIAL[1] * size["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(6):
        page.mouse.move(x + 3 * step, y)
    page.mouse.up()


def first_session(browser: Browser, server: Server, pictures: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    page = open_page(browser, server.link)
    page.wait_for_selector(".lesion-1")
    seen["opened"] = until(page, "#totals", "t.startsWith('accepted 0')")
    seen["place"] = text(page, "#place")
    other = open_page(browser, server.link)
    other.wait_for_timeout(3000)
    seen["second_tab_sees"] = other.locator(".lesion-1").count()
    other.close()
    wrong = open_page(browser, re.sub(r"secret=.*", "secret=guess", server.link))
    wrong.wait_for_timeout(3000)
    seen["wrong_token_sees"] = wrong.locator(".lesion-1").count()
    wrong.close()
    page.keyboard.press("a")
    seen["accepted"] = until(page, "#totals", "t.startsWith('accepted 1')")
    before = text(page, "#volumes")
    page.keyboard.press("r")
    seen["rejected"] = until(page, "#totals", "t.includes('1 rejected')")
    seen["volumes_before"], seen["volumes_rejected"] = before, until(page, "#volumes", "t !== v", before)
    page.keyboard.press("Control+z")
    seen["volumes_undone"] = until(page, "#volumes", "t === v", before)
    page.keyboard.press("Control+y")
    until(page, "#volumes", "t === v", seen["volumes_rejected"])
    page.wait_for_timeout(4000)
    page.screenshot(path=pictures / "rejected.png")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("p")
    page.wait_for_timeout(1000)
    stroke(page)
    seen["volumes_painted"] = until(page, "#volumes", "t !== v", seen["volumes_rejected"])
    page.keyboard.press("Escape")
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "painted.png")
    slider = page.locator(".v-navigation-drawer .v-slider").first.bounding_box()
    middle = slider["y"] + slider["height"] / 2
    page.mouse.move(slider["x"] + 0.70 * slider["width"], middle)
    page.mouse.down()
    page.mouse.move(slider["x"] + 0.80 * slider["width"], middle)
    seen["preview"] = until(page, "#preview", "t.includes('lesions')")
    page.mouse.up()
    page.click("#slide-drop")
    seen["volumes_kept"] = until(page, "#volumes", "t === v", seen["volumes_painted"])
    page.keyboard.press("Control+s")
    seen["saved"] = until(page, "#saved", "t.startsWith('Saved')")
    page.keyboard.press("u")
    seen["unsaved"] = until(page, "#totals", "t.includes('1 unsure')")
    page.wait_for_timeout(4000)
    server.kill()
    page.close()
    return seen


def second_session(browser: Browser, server: Server, pictures: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    page = open_page(browser, server.link)
    page.wait_for_selector("#autosave-take")
    seen["reopened"] = text(page, "#totals")
    page.click("#autosave-take")
    seen["restored"] = until(page, "#totals", "t.includes('1 unsure')")
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "restored.png")
    page.close()
    return seen


def scan_alone(browser: Browser, server: Server, pictures: Path) -> dict[str, Any]:
    page = open_page(browser, server.link)
    page.click("#segment")
    page.click("#cancel")
    seen = {"cancelled": until(page, "#message", "t.includes('Cancelled')")}
    seen["offered_again"] = page.locator("#segment").count()
    page.close()
    return seen


def main() -> None:
    chromium, folder, pictures = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments, timeout=PATIENT_MS)
        seen = {}
        scan = folder.parent / "phantom.nii.gz"
        for name, session, case in (
            ("first", first_session, folder),
            ("second", second_session, folder),
            ("scan", scan_alone, scan),
        ):
            server = Server(case, "--output", str(folder.parent / "new"))
            try:
                seen[name] = session(browser, server, pictures)
            finally:
                if server.process.poll() is None:
                    server.kill()
        browser.close()
    print(json.dumps(seen))


main()
