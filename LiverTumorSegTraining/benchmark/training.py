"""A training step of this package against MONAI's stock way, both with the same network, on the same cases."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .child import run_child
from .comparison import OURS, Measurement, Say, compare, measurement_of

CASES, QUICK_CASES = 4, 2
WORKER = "LiverTumorSegTraining.benchmark.training_worker"


def run(*, quick: bool, rounds: int, threads: int, say: Say) -> dict[str, Any]:
    """Measure the seconds of one step of both.

    Both load the same cases, draw patches of 64^3 (half of them centred in a tumour), augment them with rotation,
    scaling, flips, noise, contrast and shift, and take AdamW steps on Dice + cross entropy with the network of the
    shipped model. Ours is what `Trainer` does by default, MONAI's is CacheDataset, RandCropByPosNegLabeld and
    DataLoader as in its tutorials, float32.

    Parameters
    ----------
    quick : bool
        Few steps, few cases and a smaller network.
    rounds, threads, say
        As in `compare`.

    Returns
    -------
    dict
        As `compare`: a total is one step, without starting and preparing; with ``steps`` timed in each run.
    """
    steps = 3 if quick else 10
    with tempfile.TemporaryDirectory() as folder:
        write_cases(Path(folder) / "data", QUICK_CASES if quick else CASES)

        def measure(candidate: str) -> Measurement:
            arguments = ["-m", WORKER, candidate, folder, str(steps), *(["--quick"] if quick else [])]
            return measurement_of(run_child(arguments, threads=threads))

        candidates = {name: lambda name=name: measure(name) for name in (OURS, "monai")}
        return {**compare(candidates, rounds=rounds, threads=threads, say=say), "steps": steps}


def write_cases(root: Path, count: int = CASES) -> None:
    """Write scans of the size of a liver box at 2 mm, with a tumour in each."""
    root.mkdir(parents=True)
    axes = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in (80, 110, 120)], indexing="ij")
    for number in range(count):
        rng = np.random.default_rng(number)
        radius = np.sqrt(sum(axis**2 for axis in axes))
        shift = rng.uniform(-0.3, 0.3, 3)
        lesion = np.sqrt(sum((axis - s) ** 2 for axis, s in zip(axes, shift, strict=True))) < 0.15
        label = (radius < 0.8).astype(np.uint8)
        label[lesion] = 2
        values = rng.normal(0, 15, radius.shape) + label * 60.0
        for name, array in ((f"p{number}", values.astype(np.int16)), (f"p{number}_label", label)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((2.0, 2.0, 2.0))
            sitk.WriteImage(image, str(root / f"{name}.nii.gz"))
