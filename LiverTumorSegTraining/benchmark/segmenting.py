"""Segmenting one scan, from the file to the saved labels: our command line against MONAI's common recipe."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from LiverTumorSegLib.model.tiles import cpu_has_bfloat16

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

from .child import run_child
from .comparison import OURS, Measurement, Say, compare, measurement_of
from .segmenting_scan import write_volume

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"monai_attention_unet": (), "monai_attention_unet_bf16": ("--bf16",)}
"""The usual single precision first; the second is what a peer would gain from bfloat16 where the processor has it."""


def run(
    *, quick: bool, rounds: int, threads: int, say: Say, quality: str = "standard", offline: bool = False
) -> dict[str, Any]:
    """Measure the segmentation of one scan on the CPU.

    Parameters
    ----------
    quick : bool
        A small scan.
    rounds, threads, say
        As in `compare`.
    quality : str
        Of our own run.
    offline : bool
        Use only samples that were downloaded before.

    Returns
    -------
    dict
        As `compare`, with ``volume`` and ``quality``. A total runs from opening the scan to the last file saved.
    """
    sample = next(sample for sample in SAMPLES if sample.name.startswith("lidc"))
    source, _ = fetch(sample, ROOT / "results" / ".cache", offline=offline, say=say)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scan = work / "scan.nii.gz"
        volume = write_volume(source, scan, quick=quick)
        say(f"scan of {' x '.join(map(str, volume['size']))} voxels, {threads} threads")
        candidates: dict[str, Callable[[], Measurement]] = {OURS: partial(_ours, scan, work, quality, threads)}
        for name, flags in PEERS.items():
            if cpu_has_bfloat16() or "--bf16" not in flags:
                candidates[name] = partial(_peer, scan, work / f"{name}.nii.gz", flags, threads)
        figures = compare(candidates, rounds=rounds, threads=threads, say=say)
    return {**figures, "volume": {**volume, "source": sample.name, "quick": quick}, "quality": quality}


def _ours(scan: Path, work: Path, quality: str, threads: int) -> Measurement:
    """Run the command line; the total runs from the first event of the case to its last file."""
    options = ["--output", str(work), "--quality", quality, "--device", "cpu", "--json-progress"]
    run = run_child(["-m", "LiverTumorSegLib", str(scan), *options], threads=threads)
    moments = {json.loads(line)["event"]: moment for moment, line in run.lines if line.startswith("{")}
    report = json.loads((work / "scan.report.json").read_text(encoding="utf-8"))
    stages = dict(report["seconds"])
    total = moments["result"] - moments["start"]
    seconds = {**stages, "read, write, picture": total - stages.pop("total"), "total": total, "wall": run.wall_s}
    # A run that found no liver would have skipped its work.
    return Measurement(seconds, run.cpu_s, run.peak_rss_mb, report["volumes_ml"])


def _peer(scan: Path, output: Path, flags: tuple[str, ...], threads: int) -> Measurement:
    module = "LiverTumorSegTraining.benchmark.segmenting_peer"
    return measurement_of(run_child(["-m", module, str(scan), str(output), *flags], threads=threads))
