"""Segmenting a folder of scans: side by side in worker processes, against one scan after the other in one process."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

from .child import run_child
from .comparison import OURS, Measurement, Say, compare
from .segmenting import ROOT
from .segmenting_scan import AIR_HU, write_volume

PEER = "one_after_the_other"
SCANS = 4
NOISE_HU = 12.0


def run(
    *, quick: bool, rounds: int, threads: int, say: Say, quality: str = "standard", offline: bool = False,
    scan: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure how many scans an hour a folder takes on the CPU.

    Parameters
    ----------
    quick : bool
        Small scans.
    rounds, threads, say
        As in `compare`.
    quality : str
        Of both candidates.
    offline : bool
        Use only samples that were downloaded before.
    scan : Path, optional
        The CT from which the scans are made; the public sample when None.

    Returns
    -------
    dict
        As `compare`, with ``volume``, ``scans`` and ``scans_an_hour`` {candidate: number}. A total runs from the first
        scan's start to the last file saved; "wall" and ``cpu_seconds`` have the start of Python and of the workers.
    """
    if scan is None:
        sample = next(sample for sample in SAMPLES if sample.name.startswith("lidc"))
        scan, _ = fetch(sample, ROOT / "results" / ".cache", offline=offline, say=say)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scans = work / "scans"
        scans.mkdir()
        volume = write_volume(scan, work / "scan.nii.gz", quick=quick)
        write_scans(work / "scan.nii.gz", scans, SCANS)
        say(f"{SCANS} scans of {' x '.join(map(str, volume['size']))} voxels, {threads} threads")
        candidates = {
            OURS: partial(_run, [str(scans)], work, quality, threads),
            # Scans that are named one by one are done in one process.
            PEER: partial(_run, [str(path) for path in sorted(scans.iterdir())], work, quality, threads),
        }
        figures = compare(candidates, rounds=rounds, threads=threads, say=say)
    an_hour = {name: 3600 * SCANS / stages["total"] for name, stages in figures["seconds"].items()}
    return {**figures, "volume": volume, "scans": SCANS, "scans_an_hour": an_hour, "quality": quality}


def write_scans(source: Path, folder: Path, number: int) -> None:
    """Write copies of a scan, each with noise of its own, so that it compresses as one of a scanner does."""
    image = sitk.ReadImage(str(source))
    values = sitk.GetArrayFromImage(image)
    for seed in range(number):
        noise = np.random.default_rng(seed).normal(0.0, NOISE_HU, values.shape).astype(np.int16)
        copy = sitk.GetImageFromArray(np.where(values > AIR_HU, values + noise, values).astype(np.int16))
        copy.CopyInformation(image)
        sitk.WriteImage(copy, str(folder / f"scan{seed}.nii.gz"))


def _run(inputs: list[str], work: Path, quality: str, threads: int) -> Measurement:
    with tempfile.TemporaryDirectory(dir=work) as output:
        options = ["--output", output, "--quality", quality, "--device", "cpu", "--json-progress"]
        run = run_child(["-m", "LiverTumorSegLib", *inputs, *options], threads=threads)
        told = [(moment, json.loads(line)) for moment, line in run.lines if line.startswith("{")]
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(output).glob("*.report.json"))]
    begun = min(moment for moment, event in told if event["event"] == "start")
    ended = max(moment for moment, event in told if event["event"] == "result")
    # Scans that were skipped, or in which no liver was found, would show here.
    found = {"results": len(reports), "liver_ml": round(sum(report["volumes_ml"]["liver"] for report in reports))}
    return Measurement({"total": ended - begun, "wall": run.wall_s}, run.cpu_s, run.peak_rss_mb, found)
