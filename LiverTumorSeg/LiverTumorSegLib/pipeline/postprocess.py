"""From class probabilities to labels: threshold, opening and closing, the organ's components, lesions within it.

Pure functions on arrays [z, y, x]; every spacing is in mm and in array order (z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..labels import LIVER, TUMOR

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]

_FULL_CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Postprocessing:
    """Options of the cleaning.

    Attributes
    ----------
    opening_mm, closing_mm : float
        Radius of the ball that opens, then closes the tumour; 0 leaves it as it is.
    smallest_lesion_mm3 : float
        Smaller lesions become liver.
    smallest_contact : float
        A lesion whose surface touches the rest of the organ by a smaller share (0..1) hangs beside the liver, as the
        gallbladder does, and is dropped.
    largest_beside_ml : float
        Larger ones are kept all the same: a tumour can replace most of a lobe, a gallbladder is no larger.
    smallest_organ_share : float
        A further piece of liver is kept when it has at least this share (0..1) of the largest piece's liver voxels.
    organ_threshold : float
        Probability of liver and tumour together from which a voxel belongs to the organ, 0..1.
    """

    opening_mm: float = 0.0
    closing_mm: float = 0.0
    smallest_lesion_mm3: float = 30.0
    smallest_contact: float = 0.2
    largest_beside_ml: float = 60.0
    smallest_organ_share: float = 0.1
    organ_threshold: float = 0.5


def liver_and_tumor(
    liver_probability: npt.NDArray[np.uint8],
    tumor_probability: npt.NDArray[np.uint8],
    spacing_mm: Sequence[float],
    threshold: float = 0.5,
    options: Postprocessing | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the labelmap of a region: 0 background, 1 liver without tumour, 2 tumour within the organ.

    The organ is where liver and tumour together reach ``organ_threshold`` or the tumour reaches ``threshold``; its
    pieces (26-connected) without enough liver are dropped with the tumour in them, the others are filled. Tumour is
    kept only inside the filled organ.

    Parameters
    ----------
    liver_probability, tumor_probability : ndarray of uint8, [z, y, x], 0..255
        Of parenchyma and of tumour; their sum is the probability of the organ.
    spacing_mm : sequence of 3 floats
        Voxel size in array order (z, y, x).
    threshold : float
        Tumour probability from which a voxel is tumour, 0..1.
    options : Postprocessing, optional
        Defaults when None.
    """
    options = options or Postprocessing()
    result = np.zeros(liver_probability.shape, dtype=np.uint8)
    tumor = tumor_probability >= level_of(threshold)
    both = liver_probability.astype(np.uint16) + tumor_probability
    organ = (both >= level_of(options.organ_threshold)) | tumor
    found = bounding_box(organ)
    if found is None:
        return result
    # With a voxel around it: what a lesion at the organ's end borders on outside counts for its contact too.
    box = widened(found)
    parenchyma = liver_probability[box] >= level_of(options.organ_threshold)
    organ = fill_holes(keep_pieces(organ[box], parenchyma, options.smallest_organ_share))
    tumor = open_and_close(tumor[box] & organ, spacing_mm, options.opening_mm, options.closing_mm) & organ
    voxel_mm3 = float(np.prod(spacing_mm))
    tumor = drop_small(tumor, options.smallest_lesion_mm3 / voxel_mm3)
    beside = lesions_beside(tumor, organ, options.smallest_contact, options.largest_beside_ml * 1000 / voxel_mm3)
    tumor, organ = tumor & ~beside, organ & ~beside
    result[box][organ] = LIVER.value
    result[box][tumor] = TUMOR.value
    return result


def with_further_classes(
    values: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.uint8], organ_threshold: float = 0.5
) -> npt.NDArray[np.uint8]:
    """Return the labelmap of liver and tumour with the network's further classes (vessels, spleen, ...) added.

    A voxel gets a further class where that is the most probable of all classes and the organ (liver and tumour
    together) is not likely there; so a vessel that runs through the filled liver is a vessel.

    Parameters
    ----------
    values : ndarray of uint8, [z, y, x]
        As `liver_and_tumor` gives them.
    probabilities : ndarray of uint8, (classes - 1, z, y, x)
        255 times the probability of each class; the first two are liver and tumour.
    organ_threshold : float
        Probability of liver and tumour together from which a voxel belongs to the organ, 0..1.
    """
    if len(probabilities) <= TUMOR.value:
        return values
    best = most_probable(probabilities)
    organ = probabilities[:2].astype(np.uint16).sum(0) >= level_of(organ_threshold)
    further = (best > TUMOR.value) & ~organ
    return np.where(further, best, values).astype(np.uint8)


def most_probable(probabilities: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the class with the highest probability, [z, y, x]; background has what the others leave.

    Parameters
    ----------
    probabilities : ndarray of uint8, (classes - 1, z, y, x)
        255 times the probability of each class but the background.
    """
    background = 255 - np.minimum(probabilities.astype(np.uint16).sum(0), 255)
    best: npt.NDArray[np.uint8] = np.concatenate([background[None], probabilities]).argmax(0).astype(np.uint8)
    return best


def keep_pieces(organ: Mask, parenchyma: Mask, smallest_share: float) -> Mask:
    """Return the 26-connected pieces of an organ that hold enough of its parenchyma.

    Parameters
    ----------
    organ : ndarray of bool, [z, y, x]
        Liver and tumour candidates.
    parenchyma : ndarray of bool, [z, y, x]
        Certain liver: a tumour-like mass elsewhere in the body must not win by its size. Where there is none, the
        sizes of the pieces themselves count.
    smallest_share : float
        0..1, of the piece with most parenchyma.
    """
    pieces, count = ndimage.label(organ, structure=_FULL_CONNECTIVITY)
    if count <= 1:
        return organ
    amounts = np.bincount(pieces[parenchyma & organ], minlength=count + 1)
    if not amounts.any():
        amounts = np.bincount(pieces.ravel(), minlength=count + 1)
    amounts[0] = 0
    keep = amounts >= max(1.0, smallest_share * amounts.max())
    return keep[pieces]


def fill_holes(mask: Mask) -> Mask:
    """Return the mask with every cavity filled that does not reach the border of the array (6-connected)."""
    background, count = ndimage.label(~mask)
    open_air = np.zeros(count + 1, dtype=bool)
    for axis in range(mask.ndim):
        for end in (0, -1):
            open_air[np.take(background, end, axis=axis)] = True
    # 0 is the mask itself.
    open_air[0] = False
    return ~open_air[background]


def open_and_close(mask: Mask, spacing_mm: Sequence[float], opening_mm: float, closing_mm: float) -> Mask:
    """Return the mask opened, then closed, with balls of these radii in mm (0: not at all)."""
    reach = [int(np.ceil(max(opening_mm, closing_mm) / s)) + 1 for s in spacing_mm]
    box = bounding_box(mask)
    if box is None or max(opening_mm, closing_mm) <= 0:
        return mask
    # The margin lets the ball roll around the mask without meeting the border of the array.
    part = np.pad(mask[box], [(r, r) for r in reach])
    if opening_mm > 0:
        part = _grow(_shrink(part, spacing_mm, opening_mm), spacing_mm, opening_mm)
    if closing_mm > 0:
        part = _shrink(_grow(part, spacing_mm, closing_mm), spacing_mm, closing_mm)
    result = np.zeros(mask.shape, dtype=bool)
    inner = tuple(slice(r, n - r) for r, n in zip(reach, part.shape, strict=True))
    # Closing adds nothing beyond the mask's own box.
    result[box] = part[inner]
    return result


def drop_small(mask: Mask, smallest_voxels: float) -> Mask:
    """Return the mask without 26-connected components of fewer voxels than this."""
    box = bounding_box(mask)
    if box is None or smallest_voxels <= 1:
        return mask
    components, count = ndimage.label(mask[box], structure=_FULL_CONNECTIVITY)
    keep = np.bincount(components.ravel(), minlength=count + 1) >= smallest_voxels
    keep[0] = False
    result = np.zeros(mask.shape, dtype=bool)
    result[box] = keep[components]
    return result


def lesions_beside(tumor: Mask, organ: Mask, smallest_contact: float, largest_voxels: float) -> Mask:
    """Return the lesions that hang beside the organ instead of lying in it.

    Parameters
    ----------
    tumor, organ : ndarray of bool, [z, y, x]
        The organ holds the tumour.
    smallest_contact : float
        0..1: least share of a lesion's neighbouring voxels (6-connected) that belong to the organ.
    largest_voxels : float
        Larger lesions are never returned.
    """
    beside = np.zeros(tumor.shape, dtype=bool)
    components, count = ndimage.label(tumor, structure=_FULL_CONNECTIVITY)
    for number, found in enumerate(ndimage.find_objects(components, count), 1):
        box = widened(found)
        lesion = components[box] == number
        around = ndimage.binary_dilation(lesion) & ~lesion
        if lesion.sum() <= largest_voxels and around.any() and organ[box][around].mean() < smallest_contact:
            beside[box] |= lesion
    return beside


def bounding_box(values: np.ndarray) -> Box | None:
    """Return the smallest box that holds every voxel that is True or has a label; None when there is none."""
    box: Box = ()
    for axis in range(values.ndim):
        hit = np.flatnonzero(values[box].any(axis=tuple(a for a in range(values.ndim) if a != axis)))
        if hit.size == 0:
            return None
        box = (*box, slice(int(hit[0]), int(hit[-1]) + 1))
    return box


def widened(box: Box, margin: Sequence[int] = (1, 1, 1)) -> Box:
    """Return a box with so many voxels more to each side; not before the first one, and the array ends it behind."""
    return tuple(slice(max(side.start - more, 0), side.stop + more) for side, more in zip(box, margin, strict=True))


def level_of(probability: float) -> int:
    """Return the smallest uint8 value that stands for at least this probability; never 0."""
    return max(1, int(np.ceil(probability * 255.0 - 1e-9)))


def _shrink(mask: Mask, spacing_mm: Sequence[float], radius_mm: float) -> Mask:
    if not mask.any():
        return mask
    shrunk: Mask = ndimage.distance_transform_edt(mask, sampling=spacing_mm) > radius_mm
    return shrunk


def _grow(mask: Mask, spacing_mm: Sequence[float], radius_mm: float) -> Mask:
    if not mask.any():
        return mask
    grown: Mask = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= radius_mm
    return grown
