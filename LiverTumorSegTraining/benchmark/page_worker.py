"""One start of the reader's page with Chromium at it: seconds to pictures and table, pictures a second, memory.

Run by the interpreter of the page's own environment: page_worker RESULT CHROMIUM. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

from LiverTumorSegTraining.benchmark.page_server import ROOT, PageServer, blank_page, open_browser

WIDTH, HEIGHT = 1920, 1080
SCROLL_S = 10.0
TURN_MS = 20
"""A turn of the wheel this often: more pictures a second are asked for than are wanted."""
DRAWN = "() => [...document.querySelectorAll('.image-display-area')].filter(i => i.naturalWidth > 50).length >= {}"
COUNT = """() => {
  window.shown = [];
  for (const image of document.querySelectorAll('.image-display-area'))
    image.addEventListener('load', () => window.shown.push([image.dataset.view, performance.now()]));
  document.querySelectorAll('.image-display-area').forEach((image, n) => { image.dataset.view = n; });
}"""


class Watched:
    """The server's clock, processor time and memory since its start."""

    def __init__(self, pid: int, started: float) -> None:
        self._process, self._started = psutil.Process(pid), started

    def now(self) -> dict[str, float]:
        """Return seconds and processor seconds until now."""
        times = self._process.cpu_times()
        return {"wall": time.perf_counter() - self._started, "cpu": times.user + times.system}

    def peak_mb(self) -> float:
        """Return the most memory that the server held, MiB (Linux; elsewhere what it holds now)."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) / 1024
        return self._process.memory_info().rss / 2**20


def scroll(page: Page) -> dict[str, Any]:
    """Turn the wheel over the axial view for some seconds; return what came of it in the browser."""
    page.evaluate(COUNT)
    boxes = [image.bounding_box() for image in page.query_selector_all(".image-display-area")]
    view = max(range(len(boxes)), key=lambda n: (boxes[n]["y"], boxes[n]["x"]))
    box = boxes[view]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    started, turns = time.perf_counter(), 0
    while time.perf_counter() - started < SCROLL_S:
        # Up and down again: the views stay inside of the scan.
        page.mouse.wheel(0, 120 if turns // 60 % 2 else -120)
        turns += 1
        page.wait_for_timeout(TURN_MS)
    seconds = time.perf_counter() - started
    shown = [moment for number, moment in page.evaluate("() => window.shown") if int(number) == view]
    gaps = sorted(b - a for a, b in pairwise(shown))
    return {
        "frames_per_s": len(shown) / seconds,
        "turns_per_s": turns / seconds,
        "slowest_gap_ms": gaps[int(0.95 * len(gaps))] if gaps else None,
        "view_pixels": [box["width"], box["height"]],
    }


def main() -> None:
    """Measure."""
    result, chromium = sys.argv[1:3]
    with sync_playwright() as playwright:
        browser = open_browser(playwright, chromium)
        page = blank_page(browser, WIDTH, HEIGHT)
        page.goto("about:blank")
        started = time.perf_counter()
        server = PageServer([result], ROOT / "scripts" / "review.py")
        try:
            watched = Watched(server.process.pid, started)
            moments = {"link": watched.now()}
            page.goto(server.link)
            page.wait_for_function(DRAWN.format(1))
            moments["first picture"] = watched.now()
            page.wait_for_function(DRAWN.format(3))
            moments["all slices"] = watched.now()
            page.wait_for_selector(".lesion-1")
            moments["table"] = watched.now()
            page.wait_for_function(DRAWN.format(4))
            page.wait_for_selector("#opening", state="detached")
            moments["surfaces"] = watched.now()
            before = watched.now()
            scrolled = scroll(page)
            after = watched.now()
            scrolled["server_cpu_share"] = (after["cpu"] - before["cpu"]) / (after["wall"] - before["wall"])
            print(json.dumps({"moments": moments, "scroll": scrolled, "peak_rss_mb": watched.peak_mb()}))
        finally:
            server.kill()
            browser.close()


if __name__ == "__main__":
    main()
