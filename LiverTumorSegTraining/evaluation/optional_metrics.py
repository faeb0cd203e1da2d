"""Figures that are computed when asked for: boundary IoU and clDice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from LiverTumorSegLib.errors import UsageError
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def boundary_iou(
    reference: Mask,
    prediction: Mask,
    spacing_mm: tuple[float, float, float],
    width_mm: float,
    ignored: Mask | None = None,
) -> float:
    """Return the IoU of two masks' inner rims (Cheng et al., "Boundary IoU", CVPR 2021).

    The rim holds the voxels of a mask whose centre lies within a distance of the nearest voxel centre outside it. The
    end of the image is no boundary.

    Parameters
    ----------
    reference, prediction : ndarray of bool, [z, y, x]
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    width_mm : float
        Width of the rim; never less than one voxel.
    ignored : ndarray of bool, [z, y, x], optional
        Voxels of unknown truth.
    """
    width = max(width_mm, min(spacing_mm))
    first, second = (_rim(mask, spacing_mm, width) for mask in (reference, prediction))
    if ignored is not None:
        first, second = first & ~ignored, second & ~ignored
    union = int(np.count_nonzero(first | second))
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def _rim(mask: Mask, spacing_mm: tuple[float, float, float], width_mm: float) -> Mask:
    if mask.all():
        return np.zeros_like(mask)
    rim: Mask = mask & (ndimage.distance_transform_edt(mask, sampling=spacing_mm) <= width_mm + 1e-6)
    return rim


def centreline_dice(reference: Mask, prediction: Mask, ignored: Mask | None = None) -> float:
    """Return clDice, which tells whether tubes such as vessels stay connected (Shit et al., CVPR 2021).

    The harmonic mean of the part of the prediction's skeleton that lies in the reference and the part of the
    reference's skeleton that lies in the prediction; 1 for two empty masks, 0 for one.

    Parameters
    ----------
    reference, prediction : ndarray of bool, [z, y, x]
    ignored : ndarray of bool, [z, y, x], optional
        Voxels of unknown truth.
    """
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise UsageError(
            "clDice needs the package scikit-image: install it with 'pip install scikit-image'."
        ) from error
    known = np.ones_like(reference) if ignored is None else ~ignored
    reference, prediction = reference & known, prediction & known
    if not reference.any() or not prediction.any():
        return float(reference.any() == prediction.any())
    precision = _part_inside(skeletonize(prediction), reference)
    recall = _part_inside(skeletonize(reference), prediction)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _part_inside(skeleton: npt.NDArray[np.generic], mask: Mask) -> float:
    line = skeleton.astype(bool)
    length = int(np.count_nonzero(line))
    return int(np.count_nonzero(line & mask)) / length if length else 0.0
