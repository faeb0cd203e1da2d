"""Localiser and fine network together: one organ of both, a part that one of them drops, and what to say of it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..findings import Finding
from ..grid import Grid
from ..labels import LIVER, TUMOR
from .localise import Location, joined_liver
from .preprocess import resample

CERTAIN = 230
"""Of 255: what the localiser holds for the organ beyond doubt."""
DROPPED = 128
"""Below it the fine network does not call a voxel organ."""
LEAST_DEPTH_MM = 8.0
"""Thinner differences are the two outlines, not a part of the organ."""
SMALLEST_PART_ML = 40.0
LARGEST_PART_SHARE = 0.5
"""Of what both stages call organ: a part is added to an organ, it does not make one."""
LARGEST_DIFFERENCE = 0.1


def join(mean: np.ndarray, location: Location, part: Grid) -> list[Finding]:
    """Give the localiser its say in the fine network's probabilities, and return what a reader should know.

    Parameters
    ----------
    mean : ndarray of uint8
        (classes - 1, z, y, x) on `part`; changed in place.
    location : Location
        Of the localiser.
    part : Grid
        Of the scan.
    """
    organ = mean[LIVER.value - 1] + np.minimum(mean[TUMOR.value - 1], 255 - mean[LIVER.value - 1])
    organ_there = sitk.GetArrayFromImage(resample(part.image(organ), location.grid, outside=0))
    mean *= sitk.GetArrayFromImage(resample(location.grid.image(location.reach), part, nearest=True, outside=0))[None]
    if location.cut:
        # The localiser goes by the whole organ and is unsure of a part of one.
        return []
    coarse = location.probability
    there = sitk.GetArrayFromImage(resample(location.grid.image(coarse), part, outside=0))
    liver, tumor = mean[LIVER.value - 1], mean[TUMOR.value - 1]
    liver[...] = joined_liver(liver, tumor, there)
    kept = dropped_part(coarse, organ_there, location.grid)
    if kept.any():
        added = resample(location.grid.image(kept.astype(np.uint8) * 255), part, outside=0)
        np.maximum(liver, sitk.GetArrayFromImage(added), out=liver, where=tumor < DROPPED)
        np.minimum(liver, 255 - tumor, out=liver)
    return doubt_agreement(coarse, organ_there, kept, location.grid)


def dropped_part(coarse: np.ndarray, organ: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the large connected parts that the localiser holds for certain and the fine network drops.

    Parameters
    ----------
    coarse : ndarray of uint8
        [z, y, x] on `grid`, 255 times the localiser's probability of the organ.
    organ : ndarray of uint8
        Likewise, of liver and tumour together by the fine network.
    grid : Grid
        The localiser's.

    Returns
    -------
    ndarray of bool
        [z, y, x] on `grid`.
    """
    dropped = _deep((coarse >= CERTAIN) & (organ < DROPPED), grid)
    components, count = ndimage.label(dropped)
    sizes = np.bincount(components.ravel(), minlength=count + 1) * _millilitre(grid)
    sizes[0] = 0
    kept: np.ndarray = (sizes >= SMALLEST_PART_ML)[components]
    agreed = np.count_nonzero((coarse >= DROPPED) & (organ >= DROPPED))
    return kept if kept.sum() <= LARGEST_PART_SHARE * agreed else np.zeros_like(kept)


def doubt_agreement(coarse: np.ndarray, organ: np.ndarray, kept: np.ndarray, grid: Grid) -> list[Finding]:
    """Return what a reader should know of the disagreement; arguments as in `dropped_part`, `kept` its result."""
    findings = []
    if kept.any():
        message = (
            f"{kept.sum() * _millilitre(grid):.0f} ml of the organ come from the coarse localiser alone, because the "
            "fine network did not see liver there: check that part, tumours in it are not found."
        )
        findings.append(Finding("part_kept", "warning", message))
    first, second = coarse >= DROPPED, organ >= DROPPED
    differing = (_deep(first & ~second & ~kept, grid).sum() + _deep(second & ~first, grid).sum()) * _millilitre(grid)
    volume = second.sum() * _millilitre(grid)
    if differing > LARGEST_DIFFERENCE * volume > 0:
        message = (
            f"Localiser and fine network disagree on {differing:.0f} ml, {100 * differing / volume:.0f} % of the "
            "organ: check whether a lobe is missing or a mass beside the liver was taken in."
        )
        findings.append(Finding("stages_disagree", "warning", message))
    return findings


def _deep(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the mask without what is nowhere `LEAST_DEPTH_MM` deep: its opening with a ball of that radius."""
    if not mask.any():
        return mask
    places = ndimage.find_objects(mask.astype(np.uint8))[0]
    part = np.pad(mask[places], 1)
    core = ndimage.distance_transform_edt(part, grid.spacing_mm[::-1]) > LEAST_DEPTH_MM
    deep = np.zeros(mask.shape, bool)
    if core.any():
        grown = ndimage.distance_transform_edt(~core, grid.spacing_mm[::-1]) <= LEAST_DEPTH_MM
        deep[places] = (grown & part)[1:-1, 1:-1, 1:-1]
    return deep


def _millilitre(grid: Grid) -> float:
    return float(np.prod(grid.spacing_mm)) / 1000
