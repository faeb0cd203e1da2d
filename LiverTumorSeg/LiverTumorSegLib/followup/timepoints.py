"""One scan of a patient in memory: labelmap, image where there is one, and its lesions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..grid import superior_axis
from ..labels import IGNORE, LIVER, TUMOR
from ..pipeline.lesions import Lesion, label_lesions, measure_lesions

Points = npt.NDArray[np.float64]
_IN_ORGAN = np.isin(np.arange(256), (LIVER.value, TUMOR.value, IGNORE))
MARGIN_MM = 60.0
"""Kept around what is labelled: enough for every picture of a lesion."""


@dataclass(frozen=True)
class TimePoint:
    """One scan.

    Attributes
    ----------
    name : str
        Shown in tables.
    labelmap : sitk.Image
        uint8: 1 parenchyma, 2 tumour, 255 unknown.
    image : sitk.Image or None
        The CT on the same grid.
    day : date or None
        Of the scan.
    slices_below : int
        Axial slices of the whole scan towards the feet that were cut away (`around_organ`).
    """

    name: str
    labelmap: sitk.Image
    image: sitk.Image | None = None
    day: date | None = None
    slices_below: int = 0

    def __post_init__(self) -> None:
        if not self.liver_ml:
            raise InputError(
                f"{self.name}: the segmentation holds neither liver nor tumour, so there is nothing to follow."
            )

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """The labelmap's voxels [z, y, x]."""
        return sitk.GetArrayViewFromImage(self.labelmap)

    @cached_property
    def lesions(self) -> tuple[Lesion, ...]:
        """The lesions, largest first; densities are those of a blank image when there is no CT."""
        image = self.image
        if image is None:
            image = sitk.Image(self.labelmap.GetSize(), sitk.sitkInt16)
            image.CopyInformation(self.labelmap)
        return measure_lesions(self.labelmap, image)

    @cached_property
    def lesion_points(self) -> dict[int, Points]:
        """Voxel centres of each lesion in patient coordinates (x, y, z in mm)."""
        numbered = sitk.GetArrayViewFromImage(self.numbers)
        at = np.argwhere(numbered > 0)
        numbers = numbered[tuple(at.T)]
        points = physical_points(self.labelmap, at)
        return {lesion.id: points[numbers == lesion.id] for lesion in self.lesions}

    @cached_property
    def numbers(self) -> sitk.Image:
        """The lesions' ids, uint16."""
        return sitk.Cast(label_lesions(self.labelmap), sitk.sitkUInt16)

    @cached_property
    def organ(self) -> npt.NDArray[np.bool_]:
        """Liver with its tumours; unknown voxels belong to it, for they mostly lie inside."""
        return _IN_ORGAN[self.labels]

    @cached_property
    def liver_ml(self) -> float:
        """Volume of the organ."""
        voxel_ml = float(np.prod(self.labelmap.GetSpacing())) / 1000.0
        labels = self.labels
        return float(np.count_nonzero(labels == LIVER.value) + np.count_nonzero(labels == TUMOR.value)) * voxel_ml

    @property
    def tumor_ml(self) -> float:
        """Volume of all lesions."""
        return sum(lesion.volume_ml for lesion in self.lesions)

    @property
    def slice_mm(self) -> float:
        """Largest voxel side: the slice thickness of a usual CT."""
        return max(self.labelmap.GetSpacing())


def around_organ(
    labelmap: sitk.Image, image: sitk.Image | None, margin_mm: float = MARGIN_MM
) -> tuple[sitk.Image, sitk.Image | None, int]:
    """Return a labelmap and its CT cut to what is labelled with a margin, and the slices cut away towards the feet.

    Patient coordinates stay, and so does every measure; work and memory follow the organ instead of the scan.
    """
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOff()
    statistics.Execute(labelmap > 0)
    size = np.asarray(labelmap.GetSize())
    if not statistics.HasLabel(1):
        return labelmap, image, 0
    box = np.asarray(statistics.GetBoundingBox(1))
    margin = np.ceil(margin_mm / np.asarray(labelmap.GetSpacing())).astype(int)
    start = np.maximum(box[:3] - margin, 0)
    stop = np.minimum(box[:3] + box[3:] + margin, size)
    direction = np.reshape(labelmap.GetDirection(), (3, 3))
    axis = superior_axis(labelmap.GetDirection())
    below = start[axis] if direction[2, axis] > 0 else size[axis] - stop[axis]
    extent, corner = [int(n) for n in stop - start], [int(n) for n in start]
    parts = [None if one is None else sitk.RegionOfInterest(one, extent, corner) for one in (labelmap, image)]
    assert parts[0] is not None  # there is a labelmap
    return parts[0], parts[1], int(below)


def physical_points(grid: sitk.Image, index_zyx: npt.NDArray[np.int64]) -> Points:
    """Return patient coordinates (n, 3) of array indices (n, 3) in z, y, x."""
    axes = np.reshape(grid.GetDirection(), (3, 3)) * np.asarray(grid.GetSpacing())
    return index_zyx[:, ::-1] @ axes.T + np.asarray(grid.GetOrigin())


def array_index(grid: sitk.Image, points: Points) -> npt.NDArray[np.int64]:
    """Return the nearest array indices (n, 3) in z, y, x of patient coordinates (n, 3); they may lie outside."""
    axes = np.reshape(grid.GetDirection(), (3, 3)) * np.asarray(grid.GetSpacing())
    index = (points - np.asarray(grid.GetOrigin())) @ np.linalg.inv(axes).T
    return np.round(index[:, ::-1]).astype(np.int64)
