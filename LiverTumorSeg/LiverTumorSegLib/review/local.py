"""Segmenting one place again: where the reader clicked, the sensitivity is raised until a lesion shows there.

Only that lesion changes. The probability comes from a run over the surroundings alone, or from the kept one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputError
from ..grid import Grid, place_in
from ..labels import TUMOR
from ..pipeline.postprocess import Box, Mask, Postprocessing, level_of
from .region import Labels, Region
from .sensitivity import LOWEST_THRESHOLD

if TYPE_CHECKING:
    from ..pipeline.inference import Segmenter

REACH_MM = 25.0
"""A lesion found after a click reaches at most this far from it."""
CONTEXT_MM = 69.0
"""What the network is shown on each side of the reach's centre: all that one tile of the shipped model holds."""
NEAR_MM = 5.0
"""A click this far beside a lesion still means it."""
STEP = 0.8
"""Each try lowers the threshold to this part of the one before."""
_FULL_CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class LocalPlan:
    """Where a lesion is looked for; boxes are in array order (z, y, x) of the whole scan.

    Attributes
    ----------
    centre : tuple of int
        The clicked voxel, or the middle of the drawn box.
    reach : tuple of 3 slices
        Where the labelmap may change.
    context : tuple of 3 slices
        What the network is shown.
    boxed : bool
        The reader drew the box: what lies in it is meant, wherever.
    """

    centre: tuple[int, int, int]
    reach: Box
    context: Box
    boxed: bool


@dataclass(frozen=True, eq=False)
class LocalLesion:
    """What was found.

    Attributes
    ----------
    labels : ndarray of uint8, [z, y, x]
        The new labelmap of the whole scan.
    region : Region
        The voxels that became tumour.
    threshold : float
        The tumour probability at which they did.
    cut : bool
        The lesion goes on beyond the reach: draw a larger box.
    """

    labels: Labels
    region: Region
    threshold: float
    cut: bool


def plan_around(grid: Grid, point_mm: Sequence[float], other_mm: Sequence[float] | None = None) -> LocalPlan:
    """Plan a search around a click, or in a box.

    Parameters
    ----------
    grid : Grid
        Of the scan.
    point_mm : sequence of 3 floats
        The click, LPS mm; with `other_mm` one corner of the box.
    other_mm : sequence of 3 floats, optional
        The opposite corner. A box drawn in one slice is as deep as its shorter side.

    Raises
    ------
    InputError
        When the click or the middle of the box lies outside of the scan.
    """
    first = grid.index(np.asarray(point_mm, float))
    second = first if other_mm is None else grid.index(np.asarray(other_mm, float))
    size = np.asarray(grid.size)
    centre = np.round((first + second) / 2).astype(int)
    if (centre < 0).any() or (centre >= size).any():
        raise InputError("That place lies outside of the scan: click inside of it.")
    spacing = np.asarray(grid.spacing_mm)
    if other_mm is None:
        low, high = centre - REACH_MM / spacing, centre + REACH_MM / spacing
    else:
        low, high = np.minimum(first, second), np.maximum(first, second)
        sides = (high - low) * spacing
        flat = int(np.argmin(sides))
        if sides[flat] < spacing[flat]:
            depth = np.partition(sides, 1)[1] / spacing[flat] / 2
            low[flat], high[flat] = centre[flat] - depth, centre[flat] + depth

    def box(low: np.ndarray, high: np.ndarray) -> Box:
        start = np.clip(np.floor(low + 0.5).astype(int), 0, size - 1)
        stop = np.clip(np.ceil(high + 0.5).astype(int), start + 1, size)
        return tuple(slice(int(a), int(b)) for a, b in zip(start[::-1], stop[::-1], strict=True))

    around = CONTEXT_MM / spacing
    context = box(np.minimum(low, centre - around), np.maximum(high, centre + around))
    x, y, z = (int(n) for n in centre)
    return LocalPlan((z, y, x), box(low, high), context, other_mm is not None)


def probability_here(
    segmenter: Segmenter, image: sitk.Image, plan: LocalPlan, liver_hu: float | None = None
) -> npt.NDArray[np.uint8]:
    """Run the network over the surroundings alone; return uint8 tumour probabilities of the reach [z, y, x].

    Parameters
    ----------
    segmenter : Segmenter
        Without a localiser, which needs the whole scan.
    image : sitk.Image
        The whole CT in HU.
    plan : LocalPlan
        Where.
    liver_hu : float, optional
        Density of the liver (`liver_density`), for a model that goes by it.

    Raises
    ------
    InputError
        When the segmenter has a localiser or its model finds no tumours.
    """
    if segmenter.localiser is not None:
        raise InputError("A place is segmented without the localiser: make the segmenter without one.")
    start = [s.start for s in reversed(plan.context)]
    part = sitk.RegionOfInterest(image, [s.stop - s.start for s in reversed(plan.context)], start)
    probability = segmenter.segment(part, force=True, liver_hu=liver_hu).tumor_probability
    if probability is None:
        raise InputError(f"Model {segmenter.bundles[0].id!r} finds no tumours: choose another one.")
    return kept_probability_here(probability, image, plan)


def liver_density(values: np.ndarray, labels: Labels) -> float | None:
    """Return the median HU of the segmented organ, tumours and all, as a run takes it from its localiser.

    Parameters
    ----------
    values : ndarray
        CT in HU, [z, y, x].
    labels : ndarray of uint8
        Its labelmap, likewise.

    Returns
    -------
    float or None
        None where nothing is segmented.
    """
    organ = values[labels > 0]
    return float(np.median(organ)) if organ.size else None


def kept_probability_here(probability: sitk.Image, image: sitk.Image, plan: LocalPlan) -> npt.NDArray[np.uint8]:
    """Return the part of a kept tumour probability in the reach, uint8 [z, y, x]; 0 where it does not extend."""
    offset = place_in(image, probability)
    if offset is None:
        raise InputError("The probability does not lie on the voxels of the scan: segment it again.")
    values = sitk.GetArrayViewFromImage(probability)
    here = np.zeros(tuple(s.stop - s.start for s in plan.reach), np.uint8)
    theirs, ours = [], []
    for side, start, size in zip(plan.reach, reversed(offset), values.shape, strict=True):
        low = max(side.start, start)
        high = max(min(side.stop, start + size), low)
        theirs.append(slice(low - start, high - start))
        ours.append(slice(low - side.start, high - side.start))
    here[tuple(ours)] = values[tuple(theirs)]
    return here


def find_lesion(
    probability: npt.NDArray[np.uint8],
    labels: Labels,
    plan: LocalPlan,
    spacing_mm: Sequence[float],
    default_threshold: float,
    options: Postprocessing | None = None,
) -> LocalLesion | None:
    """Raise the sensitivity in the reach until a lesion shows that is not tumour yet.

    Parameters
    ----------
    probability : ndarray of uint8, [z, y, x]
        255 times the tumour probability of the reach.
    labels : ndarray of uint8, [z, y, x]
        The labelmap of the whole scan; not changed.
    plan : LocalPlan
        Where.
    spacing_mm : sequence of 3 floats
        Voxel size in array order (z, y, x).
    default_threshold : float
        The first one tried.
    options : Postprocessing, optional
        The smallest lesion counts here too.

    Returns
    -------
    LocalLesion or None
        None when nothing shows at any sensitivity: it has to be painted.
    """
    options = options or Postprocessing()
    smallest = max(1.0, options.smallest_lesion_mm3 / float(np.prod(spacing_mm)))
    allowed, meant = _reach(plan, probability.shape, spacing_mm)
    here = labels[plan.reach]
    organ_near = ndimage.binary_dilation(here > 0, _FULL_CONNECTIVITY)
    threshold = default_threshold
    while threshold >= LOWEST_THRESHOLD:
        components, count = ndimage.label((probability >= level_of(threshold)) & allowed, _FULL_CONNECTIVITY)
        touched = np.unique(components[meant & (components > 0)]) if count else np.zeros(0, int)
        lesion = np.isin(components, [n for n in touched if organ_near[components == n].any()])
        new = lesion & (here != TUMOR.value)
        if np.count_nonzero(new) >= smallest:
            region = Region.of(new, tuple(s.start for s in plan.reach))
            assert region is not None  # it has voxels
            changed = labels.copy()
            region.paint(changed, TUMOR.value)
            edge = allowed & ~ndimage.binary_erosion(allowed)
            return LocalLesion(changed, region, threshold, bool((lesion & edge).any()))
        threshold *= STEP
    return None


def _reach(plan: LocalPlan, shape: tuple[int, ...], spacing_mm: Sequence[float]) -> tuple[Mask, Mask]:
    """Return where a lesion may lie, and what of it the reader meant."""
    if plan.boxed:
        everywhere = np.ones(shape, bool)
        return everywhere, everywhere
    steps = np.ogrid[tuple(slice(0, n) for n in shape)]
    squared = sum(
        ((axis + side.start - c) * mm) ** 2
        for axis, side, c, mm in zip(steps, plan.reach, plan.centre, spacing_mm, strict=True)
    )
    distance = np.sqrt(squared)
    return distance <= REACH_MM, distance <= NEAR_MM
