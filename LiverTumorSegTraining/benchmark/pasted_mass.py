"""Scans with a large cystic mass pasted beside the liver, as of a kidney: nothing of it may become tumour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.labels import LIVER, TUMOR
from scipy import ndimage

from LiverTumorSegTraining.benchmark.accuracy import Labelled
from LiverTumorSegTraining.samples.shapes import fill_ball

SEED = 20261201
FLUID_HU = 12.0
TISSUE_HU = (-150.0, 250.0)
"""A mass takes the place of fat and soft tissue, not of lung or bone."""
NEAR, FAR = 0.6, 0.95
"""Distance of its middle from the liver, in radii: pressed against the organ."""


def scans_with_mass(scans: Iterable[Labelled], millilitres: float) -> Iterator[Labelled]:
    """Yield each scan of a liver without tumour with one mass beside it; the same ones at every call.

    Parameters
    ----------
    scans : iterable of Labelled
        Those whose reference holds tumour, or no liver, are left out, and those without room beside the liver.
    millilitres : float
        Of a ball; where the liver is in its way, the mass is smaller. The scan's new name tells what it has.
    """
    radius_mm = (3 * millilitres * 1000 / (4 * math.pi)) ** (1 / 3)
    for number, scan in enumerate(scans):
        liver = scan.reference == LIVER.value
        if not liver.any() or (scan.reference == TUMOR.value).any():
            continue
        spacing_zyx = np.asarray(scan.image.GetSpacing()[::-1])
        values = sitk.GetArrayFromImage(scan.image)
        changed = values.astype(np.float32)
        tissue = (scan.reference == 0) & (changed > TISSUE_HU[0]) & (changed < TISSUE_HU[1])
        away_mm = ndimage.distance_transform_edt(~liver, spacing_zyx)
        origin = tissue & (away_mm > NEAR * radius_mm) & (away_mm < FAR * radius_mm)
        rng = np.random.default_rng([SEED, number])
        filled = fill_ball(changed, origin, tissue, radius_mm, FLUID_HU, 2.0, spacing_zyx, rng, wall_hu=25.0)
        volume_ml = float(filled.sum() * np.prod(spacing_zyx)) / 1000
        if volume_ml:
            image = sitk.GetImageFromArray(np.round(changed).astype(values.dtype))
            image.CopyInformation(scan.image)
            yield Labelled(f"{scan.name} + mass of {volume_ml:.0f} ml", image, scan.reference)
