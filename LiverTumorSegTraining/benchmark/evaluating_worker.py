"""One candidate of the speed measurement, in a process of its own so that its memory is its own.

Usage: python evaluating_worker.py CANDIDATE FOLDER, where FOLDER holds reference.npy, prediction.npy (uint8 labels,
[z, y, x]), reference.nii.gz, prediction.nii.gz and spacing.json. Writes one JSON object to standard output. The peers'
part needs nothing of this package, because surface-distance lives in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE_MM = 2.0


def measure_ours(folder: Path) -> dict[str, dict[str, float]]:
    """Read both files and compute every figure of the evaluation."""
    from LiverTumorSegTraining.evaluation.case_scores import score_case
    from LiverTumorSegTraining.evaluation.loading import load_case
    from LiverTumorSegTraining.evaluation.pairing import CasePaths
    from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR

    paths = CasePaths("large", folder / "reference.nii.gz", folder / "prediction.nii.gz")
    loaded = load_case(paths, LIVER_TUMOR)
    case = score_case("large", loaded.reference, loaded.prediction, loaded.spacing_mm, LIVER_TUMOR, TOLERANCE_MM)
    keys = ("dice", "hd95_mm", "assd_mm", "nsd")
    figures = {name: {key: float(region.values[key] or 0.0) for key in keys} for name, region in case.regions.items()}
    figures["tumor"]["lesions"] = sum(lesion.side == "reference" for lesion in case.regions["tumor"].lesions)
    return figures


def measure_surface_distance(folder: Path) -> dict[str, dict[str, float]]:
    """Compute the package's four figures of both regions."""
    import surface_distance

    figures = {}
    for name, reference, prediction, spacing in _regions(folder):
        distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
        surface_distance.compute_average_surface_distance(distances)
        figures[name] = {
            "dice": float(surface_distance.compute_dice_coefficient(reference, prediction)),
            "hd95_mm": float(surface_distance.compute_robust_hausdorff(distances, 95)),
            "nsd": float(surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM)),
        }
    return figures


def measure_monai(folder: Path) -> dict[str, dict[str, float]]:
    """Compute MONAI's four figures of both regions."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    figures = {}
    for name, reference, prediction, spacing in _regions(folder):
        ours, theirs = (torch.from_numpy(np.stack([~mask, mask])[None]) for mask in (prediction, reference))
        options: dict[str, Any] = {"spacing": list(spacing), "include_background": False}
        figures[name] = {
            "dice": float(compute_dice(ours, theirs, include_background=False)),
            "hd95_mm": float(compute_hausdorff_distance(ours, theirs, percentile=95, **options)),
            "assd_mm": float(compute_average_surface_distance(ours, theirs, symmetric=True, **options)),
            "nsd": float(compute_surface_dice(ours, theirs, [TOLERANCE_MM], **options)),
        }
    return figures


def _regions(folder: Path):  # type: ignore[no-untyped-def]
    reference, prediction = (np.load(folder / f"{role}.npy", mmap_mode="r") for role in ("reference", "prediction"))
    spacing = tuple(json.loads((folder / "spacing.json").read_text()))
    for name, values in (("liver", (1, 2)), ("tumor", (2,))):
        yield name, np.isin(reference, values), np.isin(prediction, values), spacing


def main() -> None:
    """Measure one candidate."""
    measure = {"livertumorseg": measure_ours, "surface-distance": measure_surface_distance, "monai": measure_monai}
    candidate = measure[sys.argv[1]]
    if sys.argv[1] == "livertumorseg":
        # Imports are not the subject; the peers' are not timed either.
        import LiverTumorSegTraining.evaluation.loading  # noqa: F401
    elif sys.argv[1] == "monai":
        import monai.metrics  # noqa: F401
    else:
        import surface_distance  # noqa: F401
    start, used = time.perf_counter(), time.process_time()
    figures = candidate(Path(sys.argv[2]))
    result = {
        "seconds": {"total": time.perf_counter() - start},
        "cpu_seconds": time.process_time() - used,
        "figures": figures,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
