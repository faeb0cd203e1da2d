"""Liver between lesions, which the network calls tumour with them: told by its density, and given back.

Among many lesions the network joins them through healthy tissue. A lesion that stands out clearly cannot go on far
into tissue as dense as the liver; one that hardly stands out at all may, and is left alone. Each lesion is its own
measure, so that a faint metastasis does not have to stand out like the cyst beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .postprocess import Mask, level_of

SMOOTHING_MM = 3.0
CLEAREST_QUARTER = 75
"""Percentile of a lesion's contrast against the liver that says how clearly it stands out."""
SHARE = 0.3
"""Of that contrast: what has less is as dense as the liver."""
CONTRAST_HU = 15.0
"""What has more is no liver, however clearly the rest stands out: a lesion may hold lipiodol, or necrosis."""
BORDER_MM = 3.0
"""So far around what stands out a lesion may reach: contrast fades towards a border."""
SMALLEST_LESION_ML = 0.1
FAINTEST, CERTAIN = 26, 128
"""Of 255: below the first nothing is said of tumour, from the second it is liver."""


def give_back(
    liver: npt.NDArray[np.uint8],
    tumor: npt.NDArray[np.uint8],
    values: npt.NDArray[np.number],
    spacing_mm: Sequence[float],
    threshold: float,
) -> None:
    """Move the probability of tumour to that of liver where a lesion runs on into tissue as dense as the liver.

    Parameters
    ----------
    liver, tumor : ndarray of uint8
        [z, y, x], 255 times the probabilities; changed in place.
    values : ndarray
        HU, likewise.
    spacing_mm : sequence of 3 floats
        Of a voxel, in array order (z, y, x).
    threshold : float
        Tumour probability from which a voxel is tumour, 0..1.
    """
    lesions, count = ndimage.label(tumor >= level_of(threshold))
    parenchyma = values[(liver >= CERTAIN) & (tumor < FAINTEST)] if count else values[:0]
    if not parenchyma.size:
        return
    level, voxel_ml = float(np.median(parenchyma)), float(np.prod(spacing_mm)) / 1000
    margin = [int(np.ceil(3 * SMOOTHING_MM / length)) for length in spacing_mm]
    for number, place in enumerate(ndimage.find_objects(lesions), 1):
        box = tuple(slice(max(side.start - m, 0), side.stop + m) for side, m in zip(place, margin, strict=True))
        lesion = lesions[box] == number
        if np.count_nonzero(lesion) * voxel_ml < SMALLEST_LESION_ML:
            continue
        organ = liver[box] >= CERTAIN - np.minimum(tumor[box], CERTAIN)
        contrast = np.abs(_smoothed(values[box], organ, spacing_mm) - level)
        least = min(CONTRAST_HU, SHARE * float(np.percentile(contrast[lesion], CLEAREST_QUARTER)))
        distance_mm = ndimage.distance_transform_edt(~(lesion & (contrast > least)), spacing_mm)
        given = lesion & (distance_mm > BORDER_MM)
        liver[box][given] = np.minimum(liver[box][given].astype(np.uint16) + tumor[box][given], 255)
        tumor[box][given] = 0


def _smoothed(values: npt.NDArray[np.number], within: Mask, spacing_mm: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the mean of the values around each voxel, of those within a mask."""
    sigma = [SMOOTHING_MM / length for length in spacing_mm]
    weight = ndimage.gaussian_filter(within.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(within, values, 0).astype(np.float32), sigma)
    mean: npt.NDArray[np.float32] = total / np.maximum(weight, 1e-3)
    return mean
