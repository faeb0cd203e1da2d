"""Measures of each lesion in a labelmap: volume, diameters, place, density, distance to the liver surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputError
from ..grid import affine_of, grid_difference, place_in, superior_axis
from .diameters import axial_diameters
from .organ_surface import OrganSurface
from .postprocess import Box, bounding_box

_FULL_CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lesion:
    """One connected tumour region (26-connectivity).

    Attributes
    ----------
    id : int
        1 for the largest, 2 for the next, ...; the value of the lesion in ``label_lesions``.
    volume_ml : float
        Voxel count times voxel volume.
    diameter_mm : float
        Longest diameter in any axial slice.
    perpendicular_mm : float
        Longest diameter perpendicular to it in the same slice.
    centroid_lps_mm : tuple of float
        Mean of the voxel centres (x, y, z) in patient coordinates, LPS.
    mean_hu, sd_hu : float
        Mean and population standard deviation of the image over the lesion.
    mean_probability : float or None
        0..1; None without a probability image.
    distance_to_liver_surface_mm : float or None
        Shortest gap between the lesion and the outside of the organ (liver and tumour together, holes filled);
        0 when the lesion reaches the surface, None when there is no liver label or no surface in the image.
    voxels : int
        Voxel count.
    """

    id: int
    volume_ml: float
    diameter_mm: float
    perpendicular_mm: float
    centroid_lps_mm: tuple[float, float, float]
    mean_hu: float
    sd_hu: float
    mean_probability: float | None
    distance_to_liver_surface_mm: float | None
    voxels: int


@dataclass(frozen=True)
class LesionParts:
    """Lesions inside their common box.

    ``labels`` is [z, y, x] with 0 for background and 1..count by falling size; ``index_zyx`` (3, n) and ``ids`` (n,)
    list its n lesion voxels, indices counted from the corner of the whole grid.
    """

    box: Box
    labels: npt.NDArray[np.int32]
    count: int
    index_zyx: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]

    def voxels(self) -> npt.NDArray[np.int64]:
        """Return the voxel count of each lesion."""
        return np.bincount(self.ids, minlength=self.count + 1)[1:]

    def means(self, values: Floats, chosen: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """Return the mean over each lesion of one value a (chosen) voxel; NaN where a lesion has none."""
        ids = self.ids[chosen]
        voxels = np.bincount(ids, minlength=self.count + 1)[1:]
        sums = np.bincount(ids, weights=values, minlength=self.count + 1)[1:]
        return np.divide(sums, voxels, out=np.full(self.count, np.nan), where=voxels > 0)


def label_lesions(labelmap: sitk.Image, tumor_value: int = 2) -> sitk.Image:
    """Return the lesions of a labelmap as a uint32 image on the same grid, numbered as in ``measure_lesions``."""
    array = sitk.GetArrayViewFromImage(labelmap)
    full = np.zeros(array.shape, dtype=np.uint32)
    parts = find_lesions(array == tumor_value)
    if parts is not None:
        full[parts.box] = parts.labels
    result = sitk.GetImageFromArray(full)
    result.CopyInformation(labelmap)
    return result


def measure_lesions(
    labelmap: sitk.Image,
    image: sitk.Image,
    probability: sitk.Image | None = None,
    tumor_value: int = 2,
    liver_value: int = 1,
) -> tuple[Lesion, ...]:
    """Measure every lesion of a labelmap.

    Axial means the slices of the grid whose index axis is closest to the patient's superior direction; on an oblique
    grid the diameters are therefore measured in the acquired slices, not in resampled ones.

    Parameters
    ----------
    labelmap : sitk.Image
        3D integer labelmap.
    image : sitk.Image
        CT in Hounsfield units on the same grid.
    probability : sitk.Image, optional
        Tumour probability, uint8 0..255 or float 0..1; same spacing and directions, may cover only a part of the
        grid. Voxels it does not cover are left out of the mean.
    tumor_value, liver_value : int
        Values of the labelmap.

    Returns
    -------
    tuple of Lesion
        Largest first (equal sizes: in scan order), ids 1..n.

    Raises
    ------
    InputError
        When the grids do not belong together.
    """
    difference = grid_difference(labelmap, image)
    if difference:
        raise InputError(f"The image has {difference}: it must lie on the grid of the segmentation.")
    array = sitk.GetArrayViewFromImage(labelmap)
    parts = find_lesions(array == tumor_value)
    if parts is None:
        return ()
    liver = array == liver_value
    surface = None
    if liver.any():
        liver[parts.box] |= parts.labels > 0
        surface = OrganSurface.of(liver, image.GetSpacing()[::-1])
    return measure_parts(parts, surface, sitk.GetArrayViewFromImage(image), image, probability)


def measure_parts(
    parts: LesionParts,
    surface: OrganSurface | None,
    image_hu: npt.NDArray[np.generic],
    frame: sitk.Image,
    probability: sitk.Image | None = None,
) -> tuple[Lesion, ...]:
    """Measure lesions that are given as parts, connected or not; the ids are their values, in order.

    Parameters
    ----------
    parts : LesionParts
        At least one voxel each.
    surface : OrganSurface or None
        Of the organ, lesions included; None when there is no liver label, or no surface in the image.
    image_hu : ndarray, [z, y, x]
        The whole CT.
    frame : sitk.Image
        Has its first voxel, spacing and directions; how many voxels it has itself does not matter.
    probability : sitk.Image, optional
        As for ``measure_lesions``.
    """
    hu = image_hu[tuple(parts.index_zyx)].astype(np.float64)
    mean_hu = parts.means(hu)
    sd_hu = np.sqrt(parts.means((hu - mean_hu[parts.ids - 1]) ** 2))
    centroids = _centroids_lps(frame, parts)
    probabilities = None if probability is None else _mean_probability(frame, probability, parts)
    spacing_zyx = frame.GetSpacing()[::-1]
    gaps = None if surface is None else surface.gaps_mm(parts.index_zyx, parts.ids)
    voxels = parts.voxels()
    voxel_ml = float(np.prod(spacing_zyx)) / 1000.0
    axis = 2 - superior_axis(frame.GetDirection())
    lesions = []
    for i, box in enumerate(ndimage.find_objects(parts.labels)):
        longest, perpendicular = axial_diameters(parts.labels[box] == i + 1, spacing_zyx, axis)
        lesions.append(
            Lesion(
                id=i + 1,
                volume_ml=float(voxels[i]) * voxel_ml,
                diameter_mm=longest,
                perpendicular_mm=perpendicular,
                centroid_lps_mm=(float(centroids[i, 0]), float(centroids[i, 1]), float(centroids[i, 2])),
                mean_hu=float(mean_hu[i]),
                sd_hu=float(sd_hu[i]),
                mean_probability=None if probabilities is None else float(probabilities[i]),
                distance_to_liver_surface_mm=None if gaps is None else float(gaps[i]),
                voxels=int(voxels[i]),
            )
        )
    return tuple(lesions)


def find_lesions(tumor: npt.NDArray[np.bool_]) -> LesionParts | None:
    """Return the 26-connected components of a mask [z, y, x] by falling size (equal sizes in scan order).

    None when the mask is empty.
    """
    box = bounding_box(tumor)
    if box is None:
        return None
    # int32, because the lesion count of a noisy segmentation exceeds 8 and 16 bits.
    labels = np.empty(tumor[box].shape, dtype=np.int32)
    count = int(ndimage.label(tumor[box], structure=_FULL_CONNECTIVITY, output=labels))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, dtype=np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, count + 1, dtype=np.int32)
    labels = rank[labels]
    local = np.nonzero(labels)
    corner = np.array([[s.start] for s in box])
    return LesionParts(box, labels, count, np.stack(local) + corner, labels[local])


def _centroids_lps(grid: sitk.Image, parts: LesionParts) -> Floats:
    """Return the centroid of each lesion in patient coordinates, (count, 3)."""
    mean_xyz = np.stack([parts.means(parts.index_zyx[a].astype(np.float64)) for a in (2, 1, 0)], axis=1)
    affine = affine_of(grid)
    centroids: Floats = mean_xyz @ affine[:3, :3].T + affine[:3, 3]
    return centroids


def _mean_probability(grid: sitk.Image, probability: sitk.Image, parts: LesionParts) -> Floats:
    """Return the mean probability of each lesion (0..1; 0 for a lesion the probability image does not reach)."""
    start = place_in(grid, probability)
    if start is None:
        raise InputError("The probability image does not lie on the voxels of the segmentation.")
    values = sitk.GetArrayViewFromImage(probability)
    index = parts.index_zyx - np.array(start[::-1])[:, None]
    inside = np.all((index >= 0) & (index < np.array(values.shape)[:, None]), axis=0)
    found = values[tuple(index[:, inside])].astype(np.float64)
    if values.dtype == np.uint8:
        found /= 255.0
    return np.nan_to_num(parts.means(found, inside))
