"""What a reader waits for in the panel: the slider, a place segmented again, how well a run was foretold."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

from .child import run_child
from .comparison import Say
from .machine import describe_machine
from .segmenting import ROOT
from .segmenting_scan import write_volume

READER = ROOT / "Testing" / "panel" / "measure_reader.py"
"""The panel itself, on real Qt and MRML: what the tests of the panel stand on."""


def run(*, quick: bool, rounds: int, threads: int, say: Say, offline: bool = False) -> dict[str, Any]:
    """Drive the panel with the shipped models on the CPU.

    Parameters
    ----------
    quick : bool
        Small scans.
    rounds : int
        How many sessions, each in a process of its own.
    threads, say, offline
        As in the other parts.

    Returns
    -------
    dict
        ``machine``; for each of ``sessions``: ``volume``; ``plan`` (words, seconds, MiB), told with the pace of a run
        on a smaller scan just before; what the ``run`` took, from the click to the result in the scene, and the most
        memory its process held; ``plan_error`` (plan over run, less 1); ``slider_ms`` a move (first, median and
        largest of the others); ``place_s`` from the button to the answer: cold, warm.
    """
    sample = next(sample for sample in SAMPLES if sample.name.startswith("lidc"))
    source, _ = fetch(sample, ROOT / "results" / ".cache", offline=offline, say=say)
    sessions = []
    with tempfile.TemporaryDirectory() as folder:
        small, scan, output = (Path(folder) / name for name in ("small.nii.gz", "scan.nii.gz", "told.json"))
        write_volume(source, small, quick=True)
        write_volume(source, scan, quick=quick)
        for number in range(1, rounds + 1):
            say(f"session {number} of {rounds}")
            told = {"small": str(small), "scan": str(scan), "output": str(output)}
            more = {"LIVERTUMORSEG_MEASURE": json.dumps(told), "QT_QPA_PLATFORM": "offscreen"}
            arguments = ["-m", "pytest", str(READER), "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
            run_child(arguments, threads=threads, more=more)
            sessions.append(json.loads(output.read_text(encoding="utf-8")))
    return {"machine": describe_machine(threads), "rounds": rounds, "sessions": sessions}
