"""How soon the reader's page shows a scan, how fluently it scrolls, how much memory it takes; no peer, no GPU."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

from .child import run_child
from .comparison import Say
from .machine import describe_machine
from .page_case import write_case
from .page_server import ROOT
from .segmenting_scan import write_volume

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ENVIRONMENT = ROOT / ".venv-review"


def run(*, quick: bool, rounds: int, threads: int, say: Say, offline: bool = False) -> dict[str, Any]:
    """Start the page of one case in turns and measure each start.

    Parameters
    ----------
    quick : bool
        A small scan: tries the measurement out, proves nothing.
    rounds : int
        How many starts; one more before them fills the caches and does not count.
    threads, say, offline
        As in the other parts.

    Returns
    -------
    dict
        ``machine``, ``volume``; ``seconds`` and ``cpu_seconds`` {"link", "first picture", "all slices", "table",
        "surfaces": median since the start of ``scripts/review.py``}; ``scroll`` of the last start with
        ``frames_per_s`` {"median", "each"} as the browser showed them; ``peak_rss_mb`` of the server.

    Raises
    ------
    UsageError
        No Chromium, or no environment of the page.
    """
    chromium = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if chromium is None:
        raise UsageError("The page is measured in Chromium, which is not here (Debian, Ubuntu: apt install chromium).")
    sample = next(sample for sample in SAMPLES if sample.name.startswith("lidc"))
    source, reference = fetch(sample, ROOT / "results" / ".cache", offline=offline, say=say)
    say("making the page's environment, once")
    subprocess.run([sys.executable, str(ROOT / "scripts" / "review.py"), "--help"], check=True, capture_output=True)
    python = next(path for path in (ENVIRONMENT / "bin/python", ENVIRONMENT / "Scripts/python.exe") if path.exists())
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.nii.gz"
        volume = write_volume(source, scan, quick=quick)
        result = write_case(scan, reference, sample.liver_values[0], Path(folder) / "results")
        starts = []
        for number in range(rounds + 1):
            say(f"start {number} of {rounds}")
            module = "LiverTumorSegTraining.benchmark.page_worker"
            child = run_child(["-m", module, str(result), chromium], threads=threads, python=str(python))
            starts.append(json.loads(child.lines[-1][1]))
    return {"machine": describe_machine(threads), "rounds": rounds, "volume": volume, **summary(starts[1:])}


def summary(starts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of what the starts measured, and the most memory."""
    frames = [start["scroll"]["frames_per_s"] for start in starts]

    def median(clock: str) -> dict[str, float]:
        return {
            name: round(statistics.median(start["moments"][name][clock] for start in starts), 2)
            for name in starts[0]["moments"]
        }

    return {
        "seconds": median("wall"),
        "cpu_seconds": median("cpu"),
        "scroll": {**starts[-1]["scroll"], "frames_per_s": {"median": statistics.median(frames), "each": frames}},
        "peak_rss_mb": max(start["peak_rss_mb"] for start in starts),
    }
