"""Boxes: the part of an array that holds something, so that the work follows the organ and not the scan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice, slice]


def bounding_box(*masks: npt.NDArray[np.generic]) -> Box | None:
    """Return the smallest box [z, y, x] that holds every non-zero voxel of the arrays, or None when all are empty."""
    shape = masks[0].shape
    rows = [np.zeros(n, dtype=bool) for n in shape]
    for mask in masks:
        for z in range(shape[0]):
            # Slice by slice: no copy of the volume as booleans.
            filled = mask[z].any(axis=1)
            if filled.any():
                rows[0][z] = True
                rows[1] |= filled
                rows[2] |= mask[z].any(axis=0)
    if not rows[0].any():
        return None
    found = [np.flatnonzero(row) for row in rows]
    planes, lines, columns = (slice(int(index[0]), int(index[-1]) + 1) for index in found)
    return planes, lines, columns


def grow(box: Box, margin: int | tuple[int, int, int], shape: tuple[int, ...]) -> Box:
    """Return the box wider by a margin in voxels on every side, kept inside the array."""
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    z, y, x = (
        slice(max(0, part.start - m), min(n, part.stop + m)) for part, m, n in zip(box, margins, shape, strict=True)
    )
    return z, y, x
