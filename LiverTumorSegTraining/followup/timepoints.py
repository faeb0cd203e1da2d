"""One scan of a patient in memory: labelmap, image where there is one, and its lesions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import IGNORE, LIVER, TUMOR
from LiverTumorSegLib.pipeline.lesions import Lesion, label_lesions, measure_lesions

Points = npt.NDArray[np.float64]


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
    """

    name: str
    labelmap: sitk.Image
    image: sitk.Image | None = None
    day: date | None = None

    def __post_init__(self) -> None:
        if not np.any(np.isin(self.labels, (LIVER.value, TUMOR.value))):
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
        numbered = sitk.GetArrayFromImage(label_lesions(self.labelmap))
        at = np.argwhere(numbered > 0)
        numbers = numbered[tuple(at.T)]
        points = physical_points(self.labelmap, at)
        return {lesion.id: points[numbers == lesion.id] for lesion in self.lesions}

    @property
    def organ(self) -> npt.NDArray[np.bool_]:
        """Liver with its tumours; unknown voxels belong to it, for they mostly lie inside."""
        return np.isin(self.labels, (LIVER.value, TUMOR.value, IGNORE))

    @property
    def liver_ml(self) -> float:
        """Volume of the organ."""
        voxel_ml = float(np.prod(self.labelmap.GetSpacing())) / 1000.0
        return float(np.count_nonzero(np.isin(self.labels, (LIVER.value, TUMOR.value)))) * voxel_ml

    @property
    def tumor_ml(self) -> float:
        """Volume of all lesions."""
        return sum(lesion.volume_ml for lesion in self.lesions)

    @property
    def slice_mm(self) -> float:
        """Largest voxel side: the slice thickness of a usual CT."""
        return max(self.labelmap.GetSpacing())


def physical_points(grid: sitk.Image, index_zyx: npt.NDArray[np.int64]) -> Points:
    """Return patient coordinates (n, 3) of array indices (n, 3) in z, y, x."""
    axes = np.reshape(grid.GetDirection(), (3, 3)) * np.asarray(grid.GetSpacing())
    return index_zyx[:, ::-1] @ axes.T + np.asarray(grid.GetOrigin())
