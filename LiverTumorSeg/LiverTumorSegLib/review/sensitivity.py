"""Another tumour threshold on the probability that a run kept: a preview while the slider moves, then the real rules.

The preview looks only at the lesions themselves, which takes milliseconds; ``settle`` is the product's own
postprocessing of the whole liver box. The liver's outline stays as it is in the result: only tumour is added or taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputError
from ..grid import place_in
from ..labels import LIVER, TUMOR
from ..pipeline.postprocess import (
    Box,
    Mask,
    Postprocessing,
    bounding_box,
    level_of,
    liver_and_tumor,
    open_and_close,
    widened,
)
from .region import Labels, shifted

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.02, 0.98
"""Ends of the slider, as tumour probability."""
_BLOCK = 4
_FULL_CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Preview:
    """What a threshold would give.

    Attributes
    ----------
    threshold : float
        Tumour probability from which a voxel is tumour, 0..1.
    labels : ndarray of uint8, [z, y, x]
        Of the liver box: 0, 1 liver, 2 tumour.
    lesions : int
        Connected tumours (26-connectivity).
    tumor_ml : float
        Their volume.
    """

    threshold: float
    labels: Labels
    lesions: int
    tumor_ml: float


class Sensitivity:
    """The kept probability of one result, ready for any threshold.

    Parameters
    ----------
    probability : ndarray of uint8, [z, y, x]
        255 times the tumour probability, of the liver box.
    labels : ndarray of uint8, [z, y, x]
        The result in the same box: 0, 1 liver, 2 tumour. Where it says liver or tumour, the organ is.
    spacing_mm : sequence of 3 floats
        Voxel size in array order (z, y, x).
    default_threshold : float
        The one the result was made with; its provenance has it.
    options : Postprocessing, optional
        The ones the result was made with.
    start_zyx : tuple of 3 ints
        First voxel of the box in the whole scan.
    """

    def __init__(
        self,
        probability: npt.NDArray[np.uint8],
        labels: Labels,
        spacing_mm: Sequence[float],
        default_threshold: float,
        options: Postprocessing | None = None,
        start_zyx: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        if probability.shape != labels.shape:
            raise InputError(f"The kept probability has {probability.shape} voxels, the result {labels.shape} there.")
        self.default_threshold, self.start_zyx = default_threshold, start_zyx
        self.options = options or Postprocessing()
        self._probability, self._spacing_mm = probability, tuple(spacing_mm)
        self._organ = labels > 0
        self._organ_labels = np.where(self._organ, LIVER.value, 0).astype(np.uint8)
        self._blocks = _block_maxima(probability)

    @staticmethod
    def of(
        probability: sitk.Image, labelmap: sitk.Image, threshold: float, options: Postprocessing | None = None
    ) -> Sensitivity:
        """Return it for the images of a ``Result``.

        Raises
        ------
        InputError
            When the probability does not lie on the voxels of the labelmap.
        """
        start = place_in(labelmap, probability)
        size = probability.GetSize()
        if start is None or any(
            s < 0 or s + n > whole for s, n, whole in zip(start, size, labelmap.GetSize(), strict=True)
        ):
            raise InputError("The kept probability does not belong to this scan: segment it again.")
        x, y, z = start
        box = tuple(slice(s, s + n) for s, n in zip((z, y, x), reversed(size), strict=True))
        return Sensitivity(
            sitk.GetArrayFromImage(probability),
            sitk.GetArrayViewFromImage(labelmap)[box].copy(),
            labelmap.GetSpacing()[::-1],
            threshold,
            options,
            (z, y, x),
        )

    @property
    def box(self) -> Box:
        """Return where the liver box lies in the whole scan (z, y, x)."""
        return tuple(slice(s, s + n) for s, n in zip(self.start_zyx, self._organ.shape, strict=True))

    def preview(self, threshold: float) -> Preview:
        """Return what a threshold would give, in milliseconds.

        Its tumour differs from that of ``settle`` only by lesions at cavities that new tumour encloses, and where
        closing joins lesions.
        """
        labels = self._organ_labels.copy()
        level, voxels, lesions = level_of(threshold), 0, 0
        for box, owned in self._candidates(level):
            tumor = open_and_close(
                (self._probability[box] >= level) & owned,
                self._spacing_mm,
                self.options.opening_mm,
                self.options.closing_mm,
            )
            for part, lesion in self._lesions(tumor, box):
                labels[part][lesion] = TUMOR.value
                voxels, lesions = voxels + int(np.count_nonzero(lesion)), lesions + 1
        return Preview(threshold, labels, lesions, voxels * self._voxel_ml)

    def settle(self, threshold: float) -> Preview:
        """Return what a threshold gives by the product's own postprocessing of the whole box."""
        # Certain liver wherever the organ is, and nothing beside it that is not tumour.
        liver = np.where(self._organ, 255 - self._probability, 0).astype(np.uint8)
        probability = np.where(self._organ | (self._probability >= level_of(threshold)), self._probability, 0)
        tumor = liver_and_tumor(liver, probability, self._spacing_mm, threshold, self.options) == TUMOR.value
        labels = self._organ_labels.copy()
        labels[tumor] = TUMOR.value
        box = bounding_box(tumor)
        lesions = 0 if box is None else int(ndimage.label(tumor[box], structure=_FULL_CONNECTIVITY)[1])
        return Preview(threshold, labels, lesions, float(np.count_nonzero(tumor)) * self._voxel_ml)

    @property
    def _voxel_ml(self) -> float:
        return float(np.prod(self._spacing_mm)) / 1000.0

    def _candidates(self, level: int) -> Iterator[tuple[Box, Mask]]:
        """Give boxes that hold every voxel of the level, with the voxels that are of this box; no lesion is in two.

        Voxels that touch lie in the same block or in neighbouring ones.
        """
        groups, count = ndimage.label(self._blocks >= level, structure=_FULL_CONNECTIVITY)
        shape = self._probability.shape
        for number, found in enumerate(ndimage.find_objects(groups, count), 1):
            box = tuple(slice(s.start * _BLOCK, min(s.stop * _BLOCK, n)) for s, n in zip(found, shape, strict=True))
            owned = groups[found] == number
            for axis in range(3):
                owned = np.repeat(owned, _BLOCK, axis=axis)
            yield box, owned[tuple(slice(0, s.stop - s.start) for s in box)]

    def _lesions(self, tumor: Mask, box: Box) -> Iterator[tuple[Box, Mask]]:
        """Give the lesions of a candidate that the rules keep, each with its own box."""
        components, count = ndimage.label(tumor, structure=_FULL_CONNECTIVITY)
        sizes = np.bincount(components[tumor], minlength=count + 1)
        smallest = self.options.smallest_lesion_mm3 / self._voxel_ml / 1000.0
        largest_beside = self.options.largest_beside_ml / self._voxel_ml
        for number, found in enumerate(ndimage.find_objects(components, count), 1):
            if sizes[number] < smallest:
                continue
            part = tuple(slice(b.start + f.start, b.start + f.stop) for b, f in zip(box, found, strict=True))
            lesion = components[found] == number
            if self._belongs(lesion, part, bool(sizes[number] <= largest_beside)):
                yield part, lesion

    def _belongs(self, lesion: Mask, part: Box, may_hang_beside: bool) -> bool:
        """Whether a lesion touches the organ, and by enough of its surface unless it is too large for that rule."""
        if not may_hang_beside and self._organ[part][lesion].any():
            return True
        wide = widened(part)
        organ = self._organ[wide]
        if organ.all():
            return True
        whole = np.zeros(organ.shape, bool)
        whole[shifted(part, tuple(s.start for s in wide))] = lesion
        if not (ndimage.binary_dilation(whole, _FULL_CONNECTIVITY) & organ).any():
            return False
        around = ndimage.binary_dilation(whole) & ~whole
        hangs = may_hang_beside and around.any() and organ[around].mean() < self.options.smallest_contact
        return not hangs


def _block_maxima(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the largest value of each block of 4 x 4 x 4 voxels."""
    padded = np.pad(values, [(0, -n % _BLOCK) for n in values.shape])
    z, y, x = (n // _BLOCK for n in padded.shape)
    largest: npt.NDArray[np.uint8] = padded.reshape(z, _BLOCK, y, _BLOCK, x, _BLOCK).max(axis=(1, 3, 5))
    return largest
