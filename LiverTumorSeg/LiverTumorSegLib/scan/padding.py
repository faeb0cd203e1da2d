"""What a file writes outside of the field of view: NaN, or the ends of the number range. A network must see air."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..labels import AIR_HU

FILL_VALUES = (-32768, 32767)
"""The ends of int16: no density, but what programs fill with where there is no measurement."""

_FEWEST = 16
"""Fewer voxels at the edge of a slice are damage, not padding."""
Mask = npt.NDArray[np.bool_]


def is_missing(array: npt.NDArray[np.generic]) -> Mask:
    """Return which voxels hold no measurement: NaN, infinity or an end of the number range."""
    if np.issubdtype(array.dtype, np.integer) and array.size:
        # The two ends of nearly every scan say at once that there is nothing to look for.
        low, high = int(array.min()), int(array.max())
        if low > FILL_VALUES[0] and high < FILL_VALUES[1]:
            return np.zeros(array.shape, bool)
    missing: Mask = (array == FILL_VALUES[0]) | (array == FILL_VALUES[1])
    if np.issubdtype(array.dtype, np.floating):
        missing |= ~np.isfinite(array)
    return missing


def outside_view(missing: Mask) -> Mask:
    """Return the part of a mask [z, y, x] that is connected, within its slice, to the slice's edge."""
    # Few scans need it, and loading it takes as long as reading one.
    from scipy import ndimage

    outside = np.zeros_like(missing)
    for index in np.flatnonzero(missing.any(axis=(1, 2))):
        pieces, count = ndimage.label(missing[index])
        padding = np.zeros(count + 1, bool)
        for edge in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]):
            padding[edge] = True
        padding &= np.bincount(pieces.ravel(), minlength=count + 1) >= _FEWEST
        padding[0] = False
        outside[index] = padding[pieces]
    return outside


def replace_missing(image: sitk.Image) -> sitk.Image:
    """Return the image with air (-1024 HU) where a voxel holds no number, and where the view's outside is filled.

    An image without such voxels comes back as it is. ``check_image`` reports how many there were and refuses an image
    with more than 0.1 % of NaN inside the view. A largest value inside the view (metal) stays.
    """
    array = sitk.GetArrayViewFromImage(image)
    missing = is_missing(array)
    if not missing.any():
        return image
    replaced = outside_view(missing)
    if np.issubdtype(array.dtype, np.floating):
        replaced |= ~np.isfinite(array)
    if not replaced.any():
        return image
    cleaned = array.copy()
    # An unsigned image has no room for -1024; its smallest value is its air.
    cleaned[replaced] = AIR_HU if np.can_cast(np.int16, array.dtype) else array.min()
    result = sitk.GetImageFromArray(cleaned)
    result.CopyInformation(image)
    return result
