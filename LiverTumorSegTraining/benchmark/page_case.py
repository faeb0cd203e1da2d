"""The case that the page is measured on: a scan of 512 x 512 x 300 voxels with a drawn result of known lesions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.labels import LIVER, LIVER_TUMOR, TUMOR
from LiverTumorSegLib.output.segfile import onto_grid, write_segmentation
from scipy import ndimage

LESIONS = 8
RADII_VOXELS = (6.0, 13.0)
THRESHOLD = 0.3
PROBABILITY = 230
"""Of the drawn lesions, of 255."""


def write_case(scan: Path, reference: Path, liver_value: int, folder: Path) -> Path:
    """Write a result for a scan: the liver of a reference, balls in it as lesions, a kept probability.

    Parameters
    ----------
    scan, reference : Path
        A CT, and labels that need not lie on its grid.
    liver_value : int
        The liver's value in the reference.
    folder : Path
        Where the result goes.

    Returns
    -------
    Path
        The result, as ``scripts/review.py`` takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = sitk.ReadImage(str(scan))
    organ = sitk.GetArrayFromImage(onto_grid(sitk.ReadImage(str(reference)), image)) == liver_value
    box = ndimage.find_objects(organ.astype(np.uint8))[0]
    labels = np.zeros(organ.shape, np.uint8)
    labels[box] = _with_lesions(organ[box])
    name = scan.name.removesuffix(".nii.gz")
    result = folder / f"{name}.seg.nrrd"
    grid = Grid.of(image)
    write_segmentation(result, grid.image(labels), LIVER_TUMOR)
    start, stop = (np.array([getattr(side, end) for side in reversed(box)]) for end in ("start", "stop"))
    kept = np.where(labels[box] == TUMOR.value, PROBABILITY, 0).astype(np.uint8)
    probability = folder / f"{name}.tumor-probability.nrrd"
    sitk.WriteImage(grid.crop(start, stop).image(kept), str(probability), True)
    report = {"input": {"path": str(scan)}, "threshold": THRESHOLD, "findings": []}
    (folder / f"{name}.report.json").write_text(json.dumps(report), encoding="utf-8")
    return result


def _with_lesions(organ: np.ndarray) -> np.ndarray:
    """Return 1 in an organ [z, y, x] and 2 in balls well inside of it; always the same ones."""
    labels = np.where(organ, LIVER.value, 0).astype(np.uint8)
    random = np.random.default_rng(0)
    deep = np.argwhere(ndimage.distance_transform_edt(organ) > RADII_VOXELS[1])
    z, y, x = np.ogrid[tuple(slice(0, n) for n in organ.shape)]
    for middle in deep[random.choice(len(deep), LESIONS, replace=False)]:
        squared = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2
        labels[(squared < random.uniform(*RADII_VOXELS) ** 2) & organ] = TUMOR.value
    return labels
