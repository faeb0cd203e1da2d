"""Speed and memory of the evaluation on one large pair, beside surface-distance and MONAI in the same run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from LiverTumorSegTraining.evaluation.phantoms import large_pair

ORACLES = "LIVERTUMORSEG_ORACLES"
"""Environment variable: Python of an environment that has surface-distance."""
_SHAPE = (600, 512, 512)
_QUICK_SHAPE = (120, 256, 256)
_LIMIT_S = 3600


def run(output: Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Measure the evaluation of one pair with 50 lesions against the peers.

    Ours is timed from opening the two .nii.gz files to every figure of both regions, lesions included; the peers only
    for Dice and the surface figures they have, from arrays in memory. The ratios are therefore lower bounds.

    Parameters
    ----------
    output : Path, optional
        JSON file to write as well.
    quick : bool
        A small pair: tries the measurement out, proves nothing.

    Returns
    -------
    dict
        ``shape`` [z, y, x], ``lesions``, ``seconds`` {candidate: s}, ``peak_rss_mb`` {candidate: MiB}, ``ratios``
        {peer: its seconds over ours}, ``cpu_seconds`` and ``cpu_ratios`` (the same in processor time, which other jobs
        on the machine disturb less), ``figures`` {candidate: {region: {metric: value}}}, and ``omitted`` {peer:
        reason} for peers that are not installed.
    """
    shape = _QUICK_SHAPE if quick else _SHAPE
    pair = large_pair(shape, (1.0, 0.75, 0.75) if not quick else (2.5, 1.4, 1.4))
    results: dict[str, dict[str, Any]] = {}
    omitted: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        _write_pair(Path(folder), pair.reference, pair.prediction, pair.spacing_mm)
        del pair
        for candidate, python in _candidates(omitted).items():
            results[candidate] = _measure(candidate, python, Path(folder))
    ours = results["ours"]
    peers = {name: result for name, result in results.items() if name != "ours"}
    report = {
        "shape": list(shape),
        "lesions": ours["figures"]["tumor"]["lesions"],
        "seconds": {name: result["seconds"] for name, result in results.items()},
        "cpu_seconds": {name: result["cpu_seconds"] for name, result in results.items()},
        "peak_rss_mb": {name: result["peak_rss_mb"] for name, result in results.items()},
        "ratios": {name: result["seconds"] / ours["seconds"] for name, result in peers.items()},
        "cpu_ratios": {name: result["cpu_seconds"] / ours["cpu_seconds"] for name, result in peers.items()},
        "figures": {name: result["figures"] for name, result in results.items()},
        "omitted": omitted,
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _candidates(omitted: dict[str, str]) -> dict[str, str]:
    """Return candidate -> Python that runs it, noting why a peer is left out."""
    found = {"ours": sys.executable}
    if importlib.util.find_spec("monai") is not None:
        found["monai"] = sys.executable
    else:
        omitted["monai"] = "not installed (train extra)"
    oracles = os.environ.get(ORACLES)
    if oracles and Path(oracles).is_file():
        found["surface-distance"] = oracles
    else:
        omitted["surface-distance"] = f"{ORACLES} does not name a Python that has it"
    return found


def _write_pair(
    folder: Path,
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: tuple[float, float, float],
) -> None:
    (folder / "spacing.json").write_text(json.dumps(spacing_mm), encoding="utf-8")
    for role, labels in (("reference", reference), ("prediction", prediction)):
        np.save(folder / f"{role}.npy", labels)
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(spacing_mm[::-1])
        sitk.WriteImage(image, str(folder / f"{role}.nii.gz"), True, 1)


def _measure(candidate: str, python: str, folder: Path) -> dict[str, Any]:
    worker = Path(__file__).with_name("evaluating_worker.py")
    # The worker must find this package however it was found here, also without an installation.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_WAIT_POLICY": "PASSIVE"}
    if python != sys.executable:
        environment.pop("PYTHONPATH")
    done = subprocess.run(
        [python, str(worker), candidate, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"the measurement of {candidate} failed: {done.stderr.strip()[-800:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
