"""The benchmark: our command line against the peers, each in its own process, on one scan and one machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.model.tiles import cpu_has_bfloat16
from LiverTumorSegLib.output.report import write_report_json

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

from .child import ChildRun, run_child
from .evaluating import run as evaluation
from .volume import write_volume

ROOT = Path(__file__).resolve().parents[2]
OURS = "livertumorseg"
PEERS = {"monai_attention_unet": (), "monai_attention_unet_bf16": ("--bf16",)}
"""The usual single precision first; the second is what a peer would gain from bfloat16 where the processor has it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmark.py", description="Measure speed and memory beside the peers.")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="a small scan: tries the benchmark out, proves nothing")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--evaluation", action="store_true", help="measure the scoring of a large pair instead")
    part.add_argument("--training", action="store_true", help="measure the samples a second of training instead")
    parser.add_argument("--threads", type=int, default=_cores(), help="threads of every candidate")
    parser.add_argument("--quality", default="standard", choices=("quick", "standard", "best"))
    parser.add_argument("--offline", action="store_true", help="use only what was downloaded before")
    options = parser.parse_args(arguments)
    try:
        if options.evaluation:
            figures = evaluation(quick=options.quick)
        elif options.training:
            from .training import run as training

            figures = training(quick=options.quick)
        else:
            figures = inference(
                quick=options.quick, threads=options.threads, quality=options.quality, offline=options.offline
            )
        options.output.parent.mkdir(parents=True, exist_ok=True)
        write_report_json(options.output, figures)
    except LiverTumorSegError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("benchmark: stopped", file=sys.stderr)
        return 130
    _print_table(figures)
    return 0


def inference(*, quick: bool, threads: int, quality: str = "standard", offline: bool = False) -> dict[str, Any]:
    """Measure the segmentation of one scan, from the file to the saved labels, on the CPU.

    Parameters
    ----------
    quick : bool
        A small scan.
    threads : int
        Threads of every candidate.
    quality : str
        Of our own run.
    offline : bool
        Use only samples that were downloaded before.

    Returns
    -------
    dict
        ``machine``, ``volume``, ``seconds`` {candidate: {stage: s, total, wall}}, ``peak_rss_mb`` {candidate: MiB} and
        ``ratios`` {peer: its total over ours}. A total runs from opening the scan to the last file saved, without the
        start of Python and its imports, which ``wall`` includes.
    """
    sample = next(sample for sample in SAMPLES if sample.name.startswith("lidc"))
    source, _ = fetch(sample, ROOT / "results" / ".cache", offline=offline, say=_say)
    bf16 = cpu_has_bfloat16()
    seconds: dict[str, dict[str, float]] = {}
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scan = work / "scan.nii.gz"
        volume = write_volume(source, scan, quick=quick)
        _say(f"scan of {' x '.join(map(str, volume['size']))} voxels, {threads} threads")
        candidates = {
            OURS: [
                "-m",
                "LiverTumorSegLib",
                str(scan),
                "--output",
                str(work),
                "--quality",
                quality,
                "--device",
                "cpu",
                "--json-progress",
            ]
        }
        for name, flags in PEERS.items():
            if bf16 or "--bf16" not in flags:
                files = [str(work / f"{name}.nii.gz"), str(work / f"{name}.json")]
                candidates[name] = ["-m", "LiverTumorSegTraining.benchmark.peer", str(scan), *files, *flags]
        for name in (*candidates, OURS):  # ours before and after the peers, in case the machine's load drifts
            _say(f"running {name}")
            run = run_child(candidates[name], threads=threads)
            stages = _our_stages(work, run) if name == OURS else _peer_stages(work, name)
            if stages["total"] > seconds.get(name, {}).get("total", 0.0):  # the slower of our two runs counts
                seconds[name] = {**stages, "wall": run.wall_s}
            peaks[name] = max(run.peak_rss_mb, peaks.get(name, 0.0))
        found = _found(work)
    return {
        "machine": _machine(threads, bf16),
        "volume": {**volume, "source": sample.name, "quick": quick},
        "quality": quality,
        "found": found,
        "seconds": seconds,
        "peak_rss_mb": peaks,
        "ratios": {name: seconds[name]["total"] / seconds[OURS]["total"] for name in seconds if name != OURS},
    }


def _our_stages(work: Path, run: ChildRun) -> dict[str, float]:
    """Return the stages of our report; the total runs from the first event of the case to its last file."""
    moments = {json.loads(line)["event"]: moment for moment, line in run.lines if line.startswith("{")}
    stages = dict(json.loads((work / "scan.report.json").read_text(encoding="utf-8"))["seconds"])
    total = moments["result"] - moments["start"]
    return {**stages, "read, write, picture": total - stages.pop("total"), "total": total}


def _peer_stages(work: Path, name: str) -> dict[str, float]:
    return json.loads((work / f"{name}.json").read_text(encoding="utf-8"))


def _found(work: Path) -> dict[str, float]:
    """Return the volumes our run found: a run that found no liver would have skipped its work."""
    return json.loads((work / "scan.report.json").read_text(encoding="utf-8"))["volumes_ml"]


def _machine(threads: int, bf16: bool) -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "bf16_in_hardware": bf16,
        "load_average": list(psutil.getloadavg()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "simpleitk": sitk.Version_VersionString(),
    }


def _processor() -> str:
    """Return the processor's name; Linux keeps it where the standard library does not look."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(text: str) -> None:
    print(f"benchmark: {text}", flush=True)


def _print_table(figures: dict[str, Any]) -> None:
    """Print one row a candidate: its seconds (without and with the start of Python), memory, and ratio to ours."""
    seconds = figures.get("seconds") or figures["seconds_per_step"]
    peaks = figures.get("peak_rss_mb", {})
    title = "total s" if "seconds" in figures else "s a step"
    print(f"\n{'':<28}{title:>10}{'wall s':>10}{'peak MB':>10}{'ratio':>8}")
    for name, measured in seconds.items():
        best = min(measured) if isinstance(measured, list) else measured
        stages = best if isinstance(best, dict) else {"total": best}
        wall = f"{stages['wall']:.1f}" if "wall" in stages else ""
        peak = f"{peaks[name]:.0f}" if name in peaks else ""
        ratio = figures["ratios"].get(name, 1.0)
        print(f"{name:<28}{stages['total']:>10.2f}{wall:>10}{peak:>10}{ratio:>8.1f}")
