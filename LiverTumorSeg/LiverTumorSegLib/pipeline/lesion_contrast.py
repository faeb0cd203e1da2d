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

from .postprocess import Mask, level_of, widened

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
COARSEST_MM = 1.6
"""Densities smoothed over millimetres are looked at in steps of up to so much: finer voxels would only cost time."""
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
        box = widened(place, margin)
        lesion = lesions[box] == number
        if np.count_nonzero(lesion) * voxel_ml < SMALLEST_LESION_ML:
            continue
        organ = liver[box] >= CERTAIN - np.minimum(tumor[box], CERTAIN)
        given = lesion & _as_dense_as(level, values[box], organ, lesion, spacing_mm)
        liver[box][given] = np.minimum(liver[box][given].astype(np.uint16) + tumor[box][given], 255)
        tumor[box][given] = 0


def _as_dense_as(
    level: float, values: npt.NDArray[np.number], organ: Mask, lesion: Mask, spacing_mm: Sequence[float]
) -> Mask:
    """Return where a lesion is as dense as the liver of that level, and far from where it is not."""
    steps = [max(int(COARSEST_MM / length), 1) for length in spacing_mm]
    coarse_mm = [step * length for step, length in zip(steps, spacing_mm, strict=True)]
    sigma = [SMOOTHING_MM / length for length in coarse_mm]
    weight = ndimage.gaussian_filter(_means(organ, steps), sigma)
    total = ndimage.gaussian_filter(_means(np.where(organ, values, 0), steps), sigma)
    contrast = np.abs(total / np.maximum(weight, 1e-3) - level)
    inside = _means(lesion, steps) >= 0.5
    if not inside.any():
        return np.zeros_like(lesion)
    least = min(CONTRAST_HU, SHARE * float(np.percentile(contrast[inside], CLEAREST_QUARTER)))
    far = ndimage.distance_transform_edt(~(inside & (contrast > least)), coarse_mm) > BORDER_MM
    for axis, step in enumerate(steps):
        far = np.repeat(far, step, axis)
    fine: Mask = far[tuple(slice(n) for n in lesion.shape)]
    return fine


def _means(values: npt.NDArray[np.generic], steps: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the means of blocks of `steps` voxels; at the end the last voxel goes on."""
    padded = np.pad(values, [(0, -n % step) for n, step in zip(values.shape, steps, strict=True)], mode="edge")
    z, y, x = (n // step for n, step in zip(padded.shape, steps, strict=True))
    blocks = padded.reshape(z, steps[0], y, steps[1], x, steps[2])
    means: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means
