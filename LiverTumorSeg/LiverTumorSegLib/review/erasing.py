"""Erasing tumour by hand leaves liver, not a hole: where a false lesion was inside the organ, the organ goes on."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..labels import LIVER, TUMOR
from ..pipeline.lesions import find_lesions
from .region import Labels


def liver_where_erased(before: Labels, after: Labels) -> Labels:
    """Return the labelmap after an edit with erased tumour turned into liver where it lay inside the liver.

    Each connected piece of what was erased is one decision. When a whole lesion is gone, its place is liver if it
    touched the liver at all. When a part of a lesion is gone, that part is liver if more of its surface lies against
    liver than against background; an overhang that was cut off outside stays background.

    Parameters
    ----------
    before, after : ndarray of uint8, [z, y, x]
        0, 1 liver, 2 tumour, before and after the edit; not changed.

    Returns
    -------
    ndarray of uint8
        `after` itself when nothing turns into liver.

    Raises
    ------
    InputError
        When the arrays do not lie on one grid.
    """
    if before.shape != after.shape:
        raise InputError(f"The labelmap had {before.shape} voxels and now has {after.shape}: open its own scan.")
    pieces = find_lesions((before == TUMOR.value) & (after == 0))
    if pieces is None:
        return after
    filled = after
    for value, local in enumerate(ndimage.find_objects(pieces.labels), 1):
        box = tuple(
            slice(max(b.start + s.start - 1, 0), min(b.start + s.stop + 1, n))
            for b, s, n in zip(pieces.box, local, after.shape, strict=True)
        )
        piece = np.zeros(tuple(s.stop - s.start for s in box), bool)
        inner = tuple(
            slice(b.start + s.start - w.start, b.start + s.stop - w.start)
            for b, s, w in zip(pieces.box, local, box, strict=True)
        )
        piece[inner] = pieces.labels[local] == value
        around = after[box][ndimage.binary_dilation(piece) & ~piece]
        liver, outside = np.count_nonzero(around == LIVER.value), np.count_nonzero(around == 0)
        is_part = bool((around == TUMOR.value).any())
        if liver > outside or (liver and not is_part):
            if filled is after:
                filled = after.copy()
            filled[box][piece] = LIVER.value
    return filled
