"""A reader at the page: Playwright drives a real Chromium; what was seen is printed as JSON.

Run by the interpreter of the page's own environment: reader.py CHROMIUM FOLDER SCREENSHOTS SCAN, with the case of
``test_browser.py`` in FOLDER; SCAN is segmented. The shape of that
phantom is known here: it says where on the screen a voxel is.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from LiverTumorSegTraining.benchmark.page_server import PATIENT_MS, PageServer, blank_page, open_browser

SIZE_MM = (300.0, 220.0)
VOXEL_MM = 2.0
"""Of the phantom in the axial plane."""
Point = tuple[float, float]


class Reader:
    """One tab and what a reader does in it."""

    def __init__(self, browser: Browser, link: str) -> None:
        self.page: Page = blank_page(browser, 1600, 950)
        self.page.goto(link)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def until(self, selector: str, condition: str, value: Any = None) -> str:
        """Wait until the text `t` of an element fulfils a condition in JavaScript; return it."""
        expression = f"v => {{ const e = document.querySelector('{selector}'); if (!e) return false; "
        self.page.wait_for_function(expression + f"const t = e.innerText; return {condition}; }}", arg=value)
        return self.text(selector)

    def opened(self) -> str:
        """Wait until everything is shown that a case shows by itself."""
        self.page.wait_for_selector(".lesion-1")
        self.page.wait_for_selector("#opening", state="detached")
        return self.text("#totals")

    def changed_volumes(self, before: str) -> str:
        return self.until("#volumes", "t !== v", before)

    def volumes(self, words: str) -> str:
        return self.until("#volumes", "t === v", words)

    def choose(self, field: Locator, words: str) -> None:
        field.click()
        self.page.locator(".v-list-item", has_text=words).last.click()

    def at(self, x: float, y: float) -> Point:
        """Return where the axial view shows the voxel column (x, y): it fits the scan, the patient's right is left."""
        views = [image.bounding_box() for image in self.page.query_selector_all(".image-display-area")]
        box = max(views, key=lambda each: (each["y"], each["x"]))
        scale = min(box["width"] / SIZE_MM[0], box["height"] / SIZE_MM[1])
        from_middle = ((x + 0.5) * VOXEL_MM - SIZE_MM[0] / 2, (y + 0.5) * VOXEL_MM - SIZE_MM[1] / 2)
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return middle[0] + scale * from_middle[0], middle[1] + scale * from_middle[1]

    def drag(self, voxels: list[Point], let_go: bool = True) -> None:
        for number, voxel in enumerate(voxels):
            self.page.mouse.move(*self.at(*voxel))
            self.page.wait_for_timeout(30 if number else 200)
            if number == 0:
                self.page.mouse.down()
        if let_go:
            self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        self.drag([(x, y)])

    def picture(self, path: Path) -> None:
        """Wait for the pictures in full quality, then keep them."""
        self.page.wait_for_timeout(2500)
        self.page.screenshot(path=path)


def ring(x: float, y: float, radius: float) -> list[Point]:
    turns = [2 * math.pi * n / 16 for n in range(16)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def strangers(browser: Browser, link: str) -> dict[str, Any]:
    """Return what others see while a reader is at work: a second tab, a wrong token, a path outside."""
    seen: dict[str, Any] = {}
    tabs = {"second_tab": link, "wrong_token": link.split("secret=", maxsplit=1)[0] + "secret=guess"}
    others = {name: Reader(browser, address) for name, address in tabs.items()}
    others["second_tab"].page.wait_for_timeout(2500)
    for name, other in others.items():
        seen[name] = other.page.locator(".lesion-1").count()
        other.page.close()
    base = link.split("/index.html", maxsplit=1)[0]
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd"):
        try:
            with urllib.request.urlopen(base + path) as answer:
                seen[path] = answer.status
        except urllib.error.HTTPError as error:
            seen[path] = error.code
    return seen


def edits(reader: Reader) -> dict[str, Any]:
    """Take every tool into the hand; each but the paint is taken back."""
    page, seen = reader.page, {}
    before = reader.text("#volumes")
    page.click("#tool-scissors")
    page.wait_for_timeout(500)
    reader.drag(ring(80, 60, 9))
    seen["scissors"] = reader.changed_volumes(before)
    page.keyboard.press("Control+z")
    reader.volumes(before)
    page.click("#tool-islands")
    page.wait_for_timeout(500)
    reader.click(80, 60)
    seen["islands"] = reader.changed_volumes(before)
    page.keyboard.press("Control+z")
    reader.volumes(before)
    page.keyboard.press("p")
    page.wait_for_timeout(500)
    reader.drag([(84 + n, 60) for n in range(7)])
    seen["painted"] = reader.changed_volumes(before)
    page.keyboard.press("e")
    page.wait_for_timeout(500)
    reader.drag([(79, 60), (80, 60)])
    seen["erased"] = reader.changed_volumes(seen["painted"])
    page.keyboard.press("Control+z")
    reader.volumes(seen["painted"])
    page.keyboard.press("Escape")
    return seen


def find_missed(reader: Reader) -> dict[str, Any]:
    """Point at the lesion that shows only at a lower threshold, then take it back."""
    before = reader.text("#volumes")
    reader.page.keyboard.press("f")
    reader.page.wait_for_timeout(500)
    reader.click(66, 78)
    seen = {"message": reader.until("#message", "t.startsWith('Lesion')"), "volumes": reader.changed_volumes(before)}
    reader.page.keyboard.press("Control+z")
    reader.volumes(before)
    return seen


def slide(reader: Reader) -> dict[str, Any]:
    """Move the slider after an edit: a preview, a question, and everything as it was."""
    before = reader.text("#volumes")
    box = reader.page.locator(".v-navigation-drawer .v-slider").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    reader.page.mouse.move(box["x"] + 0.70 * box["width"], middle)
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 0.85 * box["width"], middle)
    preview = reader.until("#preview", "t.includes('lesions')")
    reader.page.mouse.up()
    reader.page.click("#slide-drop")
    return {"preview": preview, "kept": reader.volumes(before)}


def first_session(browser: Browser, server: PageServer, folder: Path, pictures: Path) -> dict[str, Any]:
    reader = Reader(browser, server.link)
    page = reader.page
    seen: dict[str, Any] = {"opened": reader.opened(), "place": reader.text("#place")}
    seen["strangers"] = strangers(browser, server.link)
    seen["volumes"] = reader.text("#volumes")
    page.keyboard.press("a")
    seen["accepted"] = reader.until("#totals", "t.startsWith('accepted 1')")
    page.keyboard.press("r")
    seen["rejected"] = reader.until("#totals", "t.includes('1 rejected')")
    seen["volumes_rejected"] = reader.changed_volumes(seen["volumes"])
    reader.picture(pictures / "rejected.png")
    page.keyboard.press("Control+z")
    reader.volumes(seen["volumes"])
    # Undo leaves the reader at lesion 1; the second one's slice is where everything else happens.
    page.click(".lesion-2")
    page.wait_for_timeout(500)
    seen.update(edits(reader))
    reader.picture(pictures / "painted.png")
    seen["missed"] = find_missed(reader)
    seen["slid"] = slide(reader)
    page.click(".lesion-1")
    page.keyboard.press("r")
    seen["volumes_saved"] = reader.changed_volumes(seen["painted"])
    page.keyboard.press("Control+s")
    seen["saved"] = reader.until("#saved", "t.startsWith('Saved')")
    shutil.copy(folder / "phantom.reviewed.seg.nrrd", folder.parent / "first.seg.nrrd")
    page.reload()
    seen["reloaded"] = [reader.opened(), reader.volumes(seen["volumes_saved"])]
    page.click(".lesion-2")
    page.keyboard.press("u")
    reader.until("#totals", "t.includes('1 unsure')")
    page.keyboard.press("p")
    page.wait_for_timeout(500)
    reader.drag([(40, 70), (43, 70)])
    seen["volumes_killed"] = reader.changed_volumes(seen["volumes_saved"])
    wait_for_autosave(folder, seen["volumes_killed"])
    reader.drag([(60, 40), (64, 40)], let_go=False)
    server.kill()
    page.close()
    return seen


def wait_for_autosave(folder: Path, volumes: str) -> None:
    """Wait until the work that is kept has the tumour volume that the page shows."""
    until, shown_ml = time.time() + PATIENT_MS / 1000, float(volumes.split("tumour ")[1].split(" ml", maxsplit=1)[0])
    while time.time() < until:
        time.sleep(0.5)
        # It appears last, when the labelmap is whole.
        if (folder / "phantom.autosave.json").is_file():
            labelmap = sitk.ReadImage(str(folder / "phantom.autosave.seg.nrrd"))
            kept_ml = (sitk.GetArrayViewFromImage(labelmap) == 2).sum() * math.prod(labelmap.GetSpacing()) / 1000
            if abs(kept_ml - shown_ml) < 0.06:
                return
    raise SystemExit("the last stroke was not kept")


def second_session(browser: Browser, server: PageServer, folder: Path, pictures: Path) -> dict[str, Any]:
    """Find the work of the killed server again, and merge from a second run."""
    reader = Reader(browser, server.link)
    page = reader.page
    page.wait_for_selector("#autosave-take")
    seen: dict[str, Any] = {"reopened": reader.text("#totals"), "volumes_reopened": reader.text("#volumes")}
    page.click("#autosave-take")
    seen["restored"] = reader.until("#totals", "t.includes('1 unsure')")
    page.wait_for_selector("#opening", state="detached")
    seen["volumes_restored"] = reader.text("#volumes")
    seen["differs"] = reader.until("#changes-count", "/in \\d+ places/.test(t)")
    page.wait_for_selector(".change-1")
    seen["changes"] = [words.inner_text() for words in page.query_selector_all("#changes .d-flex")]
    page.click("#changes a")
    reader.picture(pictures / "merged.png")
    page.click("#changes-safe")
    seen["volumes_merged"] = reader.changed_volumes(seen["volumes_restored"])
    page.keyboard.press("Control+s")
    reader.until("#saved", "t.startsWith('Saved')")
    page.close()
    return seen


def scan_alone(browser: Browser, server: PageServer, _folder: Path, pictures: Path) -> dict[str, Any]:
    """Segment a scan really: cancelled once, then to its end."""
    reader = Reader(browser, server.link)
    page = reader.page
    page.wait_for_selector("#segment")
    reader.choose(page.locator(".v-select").first, "quick")
    page.click("#segment")
    page.click("#cancel")
    seen = {"cancelled": reader.until("#message", "t.includes('Cancelled')")}
    seen["offered_again"] = page.locator("#segment").count()
    page.click("#segment")
    page.wait_for_selector("#save")
    page.wait_for_selector("#opening", state="detached")
    seen["volumes"], seen["totals"] = reader.text("#volumes"), reader.text("#totals")
    reader.picture(pictures / "segmented.png")
    page.close()
    return seen


def main() -> None:
    chromium, (folder, pictures, scan) = sys.argv[1], map(Path, sys.argv[2:5])
    sessions = {
        "first": (first_session, [str(folder), "--autosave", "1"]),
        "second": (second_session, [str(folder), "--compare", str(folder.parent / "other")]),
        "scan": (scan_alone, [str(scan), "--output", str(folder.parent / "new")]),
    }
    seen: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = open_browser(playwright, chromium)
        for name, (session, arguments) in sessions.items():
            started = time.perf_counter()
            server = PageServer(arguments)
            try:
                seen[name] = session(browser, server, folder, pictures)
            except Exception:
                for page in browser.contexts[-1].pages:
                    page.screenshot(path=pictures / "failed.png")
                raise
            finally:
                if server.process.poll() is None:
                    server.kill()
            seen[name]["seconds"] = round(time.perf_counter() - started, 1)
        browser.close()
    print(json.dumps(seen))


main()
