"""The reader's page as a child process, and a browser at it: for its measurement and for its test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_OPTIONS = ("--no-sandbox", "--disable-gpu")
PATIENT_MS = 120_000


class PageServer:
    """A running page.

    Parameters
    ----------
    arguments : sequence of str
        As ``scripts/review.py`` takes them.
    script : Path, optional
        What to start; the page itself when None, without the bootstrap of the script.

    Attributes
    ----------
    link : str
        What a reader opens.
    process : subprocess.Popen
        The server.
    """

    def __init__(self, arguments: Sequence[str], script: Path | None = None) -> None:
        started = [str(script)] if script else ["-m", "LiverTumorSegReview"]
        # Every user's Python keeps what it compiled; one that may not would compile all of it at each start.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "LiverTumorSeg"), str(ROOT)))
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the server
        self.process = subprocess.Popen(
            [sys.executable, *started, *arguments, "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None  # a pipe was asked for
        self.link = next((found[0] for line in self.process.stdout if (found := re.search(r"http://\S+", line))), "")
        if not self.link:
            raise SystemExit(f"the page did not start: {self.words()[-2000:]}")

    def words(self) -> str:
        """Return what the server said on its standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._errors.close()


def open_browser(playwright: Any, chromium: str) -> Any:
    """Start Chromium without a window."""
    return playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_OPTIONS), timeout=PATIENT_MS)


def blank_page(browser: Any, width: int, height: int) -> Any:
    """Return an empty tab of a size in pixels."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENT_MS)
    return page
