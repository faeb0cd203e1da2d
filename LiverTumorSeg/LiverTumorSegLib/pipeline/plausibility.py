"""Does what was found look like a liver? A pelvis has no liver, and a full bladder is no proof of one.

The limits were set on 198 scans and parts cut out of scans, with and without liver; each alone is met by some true
liver (fatty, cut by a border, replaced by tumour), so two doubts together are needed.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..findings import Finding
from ..grid import Grid
from ..labels import LIVER, TUMOR
from .localise import NO_LIVER, Location
from .preprocess import resample

SMALLEST_ML = 20.0
LOWEST_HU, HIGHEST_HU = 22.0, 250.0
"""Median of the parenchyma: from a fatty liver without contrast to a strongly enhanced one. Bladders measure 16-20."""
LEAST_AGREEMENT, WEAK_AGREEMENT = 0.4, 0.55
"""Dice of the coarse and the fine organ; true livers, also parts of them, reach 0.52 and more."""
LEAST_CERTAINTY = 0.75
"""Mean probability, 0..1, within the coarse liver."""
MOST_TUMOR = 0.25
RIGHT_OF_MIDDLE_MM = 10.0
LEAST_OF_BODY = 0.03
"""Volume of a whole liver over the body's cross-section to the power 1.5; adults have about 0.08."""

BONE_HU = 300.0
LARGEST_SKULL_CM2 = 300.0
LEAST_ENCLOSED = 0.3
"""Share of a brain that lies in a closed ring; the base and the top of a skull are open in axial slices."""


def outside_skulls(probability: np.ndarray, values: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the probability of liver without the components that lie in a closed ring of bone: brains.

    Parameters
    ----------
    probability : ndarray of uint8
        [z, y, x], 255 times the probability of liver, about 3 mm a voxel.
    values : ndarray
        HU on the same canonical grid.
    grid : Grid
        Of both.
    """
    pieces, count = ndimage.label(probability >= 128)
    if not count:
        return probability
    enclosed = np.zeros(values.shape, bool)
    for index in np.flatnonzero(pieces.any(axis=(1, 2))):
        enclosed[index] = _enclosed_by_bone(values[index], grid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    brain = np.bincount(pieces[enclosed], minlength=count + 1) > LEAST_ENCLOSED * sizes
    brain[0] = False
    return np.where(brain[pieces], 0, probability)


def _enclosed_by_bone(plane: np.ndarray, grid: Grid) -> np.ndarray:
    """Return which pixels of an axial slice [y, x] a ring of bone surrounds, at most as large as a skull."""
    # Mirrored at its borders, so that a ring which the scan cuts is closed.
    margin = [(n, n) for n in plane.shape]
    bone = ndimage.binary_closing(np.pad(plane > BONE_HU, margin, mode="symmetric"))
    inside, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    sizes = np.bincount(inside.ravel(), minlength=count + 1) * grid.spacing_mm[0] * grid.spacing_mm[1] / 100
    sizes[0] = np.inf
    small: np.ndarray = (sizes < LARGEST_SKULL_CM2)[inside]
    return small[tuple(slice(low, low + n) for (low, _), n in zip(margin, plane.shape, strict=True))]


def judge_liver(
    labels: np.ndarray, start: np.ndarray, image: sitk.Image, location: Location, keep: bool = False
) -> tuple[bool, list[Finding]]:
    """Return whether an organ may be shown as a liver, and what is to be said of it.

    Parameters
    ----------
    labels : ndarray of uint8
        [z, y, x], 1 liver, 2 tumour, of a part of the image's grid.
    start : ndarray of int
        Index (x, y, z) of the part's first voxel.
    image : sitk.Image
        CT in HU.
    location : Location
        The coarse liver.
    keep : bool
        The reader insists: an unlikely organ is shown with a warning.
    """
    grid = location.box()
    part = Grid.of(image).crop(start, start + labels.shape[::-1])
    found = _on(grid, part.image(labels), nearest=True)
    coarse = _on(grid, location.grid.image(location.probability), nearest=True)
    volume = float((found > 0).sum() * np.prod(grid.spacing_mm)) / 1000
    if volume < SMALLEST_ML:
        return False, [NO_LIVER]
    values = sitk.GetArrayFromImage(resample(image, grid))
    agreement = _dice(found > 0, coarse >= 128)
    doubts = [*_doubts_of_stages(agreement, coarse), *_doubts_of_density(found, values, grid, location)]
    share = float((found == TUMOR.value).sum() / (found > 0).sum())
    tumorous = [f"{100 * share:.0f} % of it looks like tumour"] if share > MOST_TUMOR else []
    small = _doubt_of_size(volume, location)
    doubts += small
    if agreement >= LEAST_AGREEMENT and len(doubts + tumorous) < 2:
        if not doubts or small:
            return True, []
        return True, [_doubtful(doubts)]
    if keep:
        return True, [_doubtful(doubts + tumorous)]
    words = (
        f"{NO_LIVER.message} Something of {volume:.0f} ml was left out as no liver: {'; '.join(doubts + tumorous)}."
    )
    return False, [Finding(NO_LIVER.code, NO_LIVER.grade, words)]


def _doubtful(doubts: list[str]) -> Finding:
    words = f"What was found may not be the liver: {'; '.join(doubts)}. Look at it before using any figure."
    return Finding("liver_doubtful", "warning", words)


def _doubts_of_stages(agreement: float, coarse: np.ndarray) -> list[str]:
    doubts = []
    if agreement < WEAK_AGREEMENT:
        doubts.append(f"the two networks agree on little of it (Dice {agreement:.2f})")
    certainty = float(coarse[coarse >= 128].mean()) / 255
    if certainty < LEAST_CERTAINTY:
        doubts.append(f"the network that looked for the liver is unsure (probability {certainty:.2f})")
    return doubts


def _doubts_of_density(found: np.ndarray, values: np.ndarray, grid: Grid, location: Location) -> list[str]:
    parenchyma = found == LIVER.value
    core = ndimage.binary_erosion(parenchyma)
    inside = values[core] if core.any() else values[parenchyma if parenchyma.any() else found > 0]
    middle = float(np.median(inside))
    if LOWEST_HU <= middle <= HIGHEST_HU:
        return []
    doubts = [f"its density is {middle:.0f} HU"]
    index = np.array([axis.mean() for axis in np.nonzero(found)])[::-1]
    centre = location.grid.index(grid.point_mm(index))[0] - (location.grid.size[0] - 1) / 2
    # The grid is cropped to the body, so its middle is the body's.
    if centre * location.grid.spacing_mm[0] > -RIGHT_OF_MIDDLE_MM:
        doubts.append("it does not lie on the patient's right")
    return doubts


def _doubt_of_size(volume_ml: float, location: Location) -> list[str]:
    across, deep = (n * s / 10 for n, s in zip(location.grid.size[:2], location.grid.spacing_mm[:2], strict=True))
    body = (0.7 * across * deep) ** 1.5
    if location.cut or volume_ml >= LEAST_OF_BODY * body:
        return []
    return [f"it is small for a whole liver ({volume_ml:.0f} ml)"]


def _on(grid: Grid, image: sitk.Image, nearest: bool) -> np.ndarray:
    return sitk.GetArrayFromImage(resample(image, grid, nearest=nearest, outside=0))


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))
