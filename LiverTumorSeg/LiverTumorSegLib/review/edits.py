"""What an edit by hand means beyond the voxels it touched."""

from __future__ import annotations

from ..errors import InputError
from ..labels import LIVER, TUMOR
from .region import Labels, Region


def erased_tumor_is_liver(before: Labels, after: Labels) -> Labels:
    """Return the labelmap in which tumour that was erased is liver instead of a hole in the organ.

    What should leave the organ as well is erased a second time, from the liver.

    Parameters
    ----------
    before, after : ndarray of uint8, [z, y, x]
        The labelmap before and after the edit; not changed. `after` itself comes back when nothing was erased.
    """
    if before.shape != after.shape:
        raise InputError("The labelmap changed its size during the edit: open the result again.")
    holes = (before == TUMOR.value) & (after == 0)
    if not holes.any():
        return after
    mended = after.copy()
    mended[holes] = LIVER.value
    return mended


def changed_region(before: Labels, after: Labels) -> Region | None:
    """Return the voxels that differ between two labelmaps, or None when they are equal."""
    return Region.of(before != after)
