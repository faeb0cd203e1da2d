"""Where the liver is: the part of the scan worth looking at, and judging the localiser's coarse probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..findings import Finding
from ..grid import Grid
from .postprocess import widened

SMALLEST_LIVER_ML = 60.0
SMALL_LIVER_ML = 500.0
LARGEST_LIVER_ML = 6000.0
BODY_HU = -300.0
BODY_MARGIN_VOXELS = 2
COARSE_SHARE = 0.35
"""Part of the coarse organ's probability in that of the organ."""
NO_LIVER = Finding(
    "no_liver",
    "warning",
    "No liver was found, so the segmentation is empty: check that the scan shows the upper abdomen.",
)
REACH_MM = 15.0
"""The fine stage looks this far beyond the coarse liver: more than the localiser's usual error at its 3 mm."""


@dataclass(frozen=True)
class Location:
    """The coarse liver.

    Attributes
    ----------
    grid : Grid
        The localiser's canonical grid.
    reach : ndarray of uint8
        [z, y, x] on `grid`: 1 where the fine stage may find liver or tumour.
    volume_ml : float
        Of the coarse liver.
    probability : ndarray of uint8
        [z, y, x] on `grid`, of the coarse liver; 0 beyond the reach.
    cut : bool
        The liver goes on beyond the scan: the localiser, which goes by the whole organ, is then unsure.
    liver_hu : float
        Median density of the coarse liver.
    """

    grid: Grid
    reach: np.ndarray
    volume_ml: float
    probability: np.ndarray
    cut: bool
    liver_hu: float

    def box(self) -> Grid:
        """Return the part of the grid that holds the reach."""
        places = ndimage.find_objects(self.reach)[0]
        return self.grid.crop(
            np.array([axis.start for axis in reversed(places)]), np.array([axis.stop for axis in reversed(places)])
        )


def body_box(values: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the box of the patient's body, without table and surrounding air; the whole array when there is none.

    Parameters
    ----------
    values : ndarray
        HU, [z, y, x], about 3 mm a voxel.
    """
    # Opening takes away the table, which is a sheet, and separates clothes from the skin.
    body = ndimage.binary_opening(values > BODY_HU, iterations=2)
    pieces, count = ndimage.label(body)
    if not count:
        return slice(None), slice(None), slice(None)
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    z, y, x = (
        slice(max(side.start - BODY_MARGIN_VOXELS, 0), side.stop + BODY_MARGIN_VOXELS)
        for side in ndimage.find_objects(pieces)[largest - 1]
    )
    return z, y, x


def judge(probability: np.ndarray, values: np.ndarray, grid: Grid) -> tuple[Location | None, list[Finding]]:
    """Return the liver's location, or None, with what a reader should know about it.

    Parameters
    ----------
    probability : ndarray
        uint8 [z, y, x] on `grid`, 255 times the probability of liver.
    values : ndarray
        HU, likewise.
    grid : Grid
        Canonical.
    """
    millilitre = float(np.prod(grid.spacing_mm)) / 1000
    components, count = ndimage.label(probability >= 128)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * millilitre
    if count == 0 or sizes.max() < SMALLEST_LIVER_ML:
        return None, [NO_LIVER]
    liver = components == 1 + int(sizes.argmax())
    volume = float(sizes.max())
    findings = _doubts(liver, volume, grid)
    reach = _within(liver, grid, REACH_MM)
    cut = any(finding.code == "liver_cut" for finding in findings)
    return Location(grid, reach, volume, probability * reach, cut, float(np.median(values[liver]))), findings


def joined_liver(liver: np.ndarray, tumor: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Return the liver's probability after the localiser, which sees the whole organ at once, had its say.

    Parameters
    ----------
    liver, tumor : ndarray of uint8
        [z, y, x], 255 times the probabilities of the fine stage; that of tumour is not touched.
    coarse : ndarray of uint8
        Likewise, of the whole organ by the localiser.
    """
    joined = np.empty_like(liver)
    # Slice by slice, so that the floating-point values never leave the processor's cache.
    for index in range(len(liver)):
        tumorous = tumor[index].astype(np.float32)
        organ = liver[index] + tumorous
        organ += COARSE_SHARE * (coarse[index] - organ)
        joined[index] = np.clip(np.round(organ - tumorous), 0, 255 - tumorous)
    return joined


def _doubts(liver: np.ndarray, volume: float, grid: Grid) -> list[Finding]:
    findings = []
    places = ndimage.find_objects(liver.astype(np.uint8))[0]
    # A few voxels at the border are where every liver near it ends; a cut organ shows a whole face.
    cut = []
    for axis, (low, high) in enumerate((("lower", "upper"), ("front", "back"), ("right", "left"))):
        for side, name in ((0, low), (-1, high)):
            face = np.take(liver, side, axis)
            area_cm2 = face.sum() * float(np.prod(grid.spacing_mm)) / grid.spacing_mm[2 - axis] / 100
            if area_cm2 > 5:
                cut.append(name)
    if cut:
        message = (
            f"The liver reaches the {' and '.join(cut)} border of the scan: part of it may be missing, "
            "and volumes are of the visible part."
        )
        findings.append(Finding("liver_cut", "warning", message))
    if not SMALL_LIVER_ML <= volume <= LARGEST_LIVER_ML:
        size = "large" if volume > LARGEST_LIVER_ML else "small"
        message = f"The organ found is unusually {size} for a liver ({volume:.0f} ml): check that it is the liver."
        findings.append(Finding("liver_volume", "warning", message))
    if any(axis.stop - axis.start < 2 for axis in places):
        findings.append(Finding("liver_flat", "warning", "The liver found is only 3 mm thick: check the slices."))
    return findings


def _within(mask: np.ndarray, grid: Grid, distance_mm: float) -> np.ndarray:
    """Return where the distance to the mask is at most `distance_mm`, uint8."""
    margin = [int(np.ceil(distance_mm / s)) + 1 for s in reversed(grid.spacing_mm)]
    places = ndimage.find_objects(mask.astype(np.uint8))[0]
    box = widened(places, margin)
    reach = np.zeros(mask.shape, np.uint8)
    reach[box] = ndimage.distance_transform_edt(~mask[box], grid.spacing_mm[::-1]) <= distance_mm
    return reach
