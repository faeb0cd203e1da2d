"""Speed and memory of the evaluation on one large pair, beside surface-distance and MONAI in the same run."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from LiverTumorSegTraining.evaluation.phantoms import large_pair

from .child import run_child
from .comparison import OURS, Measurement, Say, compare, measurement_of

ORACLES = "LIVERTUMORSEG_ORACLES"
"""Environment variable: Python of an environment that has surface-distance."""
_SHAPE = (600, 512, 512)
_QUICK_SHAPE = (120, 256, 256)


def run(*, quick: bool, rounds: int, threads: int, say: Say) -> dict[str, Any]:
    """Measure the evaluation of one pair with 50 lesions against the peers.

    Ours is timed from opening the two .nii.gz files to every figure of both regions, lesions included; the peers only
    for Dice and the surface figures they have, from arrays in memory. The ratios are therefore lower bounds.

    Parameters
    ----------
    quick : bool
        A small pair: tries the measurement out, proves nothing.
    rounds, threads, say
        As in `compare`.

    Returns
    -------
    dict
        As `compare`, ``figures`` {candidate: {region: {metric: value}}}, with ``shape`` [z, y, x], ``lesions``, and
        ``omitted`` {peer: reason} for peers that are not installed.
    """
    shape = _QUICK_SHAPE if quick else _SHAPE
    pair = large_pair(shape, (1.0, 0.75, 0.75) if not quick else (2.5, 1.4, 1.4))
    omitted: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        _write_pair(Path(folder), pair.reference, pair.prediction, pair.spacing_mm)
        del pair
        candidates = {
            name: lambda name=name, python=python: _measure(name, python, Path(folder), threads)
            for name, python in _candidates(omitted).items()
        }
        figures = compare(candidates, rounds=rounds, threads=threads, say=say)
    lesions = figures["figures"][OURS]["tumor"]["lesions"]
    return {**figures, "shape": list(shape), "lesions": lesions, "omitted": omitted}


def _candidates(omitted: dict[str, str]) -> dict[str, str]:
    """Return candidate -> Python that runs it, noting why a peer is left out."""
    found = {OURS: sys.executable}
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


def _measure(candidate: str, python: str, folder: Path, threads: int) -> Measurement:
    worker = Path(__file__).with_name("evaluating_worker.py")
    return measurement_of(run_child([str(worker), candidate, str(folder)], threads=threads, python=python))
