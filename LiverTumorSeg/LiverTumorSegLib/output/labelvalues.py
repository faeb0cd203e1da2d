"""The values of a labelmap file in the values that a program means, by the names that the file gives them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..labelnames import canonical_name
from ..labels import IGNORE

IGNORED_NAME = "ignore"
"""The name by which a dataset.json marks voxels whose truth is unknown."""


def meant_values(
    labels: npt.NDArray[np.generic],
    segments: Mapping[str, int],
    names: Mapping[str, int],
    allowed: Mapping[str, tuple[int, ...]],
    ignore: int | None,
    what: str,
) -> npt.NDArray[np.uint8]:
    """Return a labelmap in the values that are meant, using segment names where the file has them.

    Parameters
    ----------
    labels : ndarray, [z, y, x]
        As read from the file.
    segments : mapping of str to int
        Name -> value in this file; empty where nothing tells names.
    names : mapping of str to int
        Canonical name (`labelnames`) -> the value that is meant.
    allowed : mapping of str to tuple of int
        Values by the region they belong to; any other is refused.
    ignore : int or None
        Value of voxels whose truth is unknown.
    what : str
        Case and role, for error messages ("case 12, prediction").

    Returns
    -------
    ndarray of uint8, [z, y, x]

    Raises
    ------
    InputError
        For values that are not whole numbers or that no region uses, and when only some segment names are known.
    """
    present = _present_values(labels, what)
    meant = {**names, IGNORED_NAME: IGNORE}
    known = {name: meant[canonical_name(name)] for name in segments if canonical_name(name) in meant}
    used = {name: value for name, value in segments.items() if value in present}
    table = np.arange(256, dtype=np.uint8)
    if known:
        unknown = sorted(set(used) - set(known))
        if unknown:
            raise InputError(
                f"{what}: the segments {', '.join(map(repr, unknown))} belong to no region; known names are "
                f"{', '.join(sorted(names))}. Rename or remove them."
            )
        # Values that the names renumber may have had another meaning of their own.
        for name, value in known.items():
            table[segments[name]] = value
        listed = set(segments.values())
        strays = sorted(present - listed - {0, ignore})
    else:
        strays = sorted(present - {value for values in allowed.values() for value in values} - {0, ignore})
    if strays:
        raise InputError(
            f"{what}: label values {', '.join(map(str, strays))} belong to no region "
            f"({', '.join(f'{name}={values}' for name, values in allowed.items())}). "
            "Define a region for them or remove them."
        )
    compact = labels.astype(np.uint8, copy=False)
    return compact if np.array_equal(table, np.arange(256)) else table[compact]


def _present_values(labels: npt.NDArray[np.generic], what: str) -> frozenset[int]:
    """Return the values of a labelmap, refusing any that is not a whole number from 0 to 255."""
    if labels.dtype == np.uint8:
        # A histogram slice by slice: a whole-volume bincount would first copy the volume as 64-bit integers.
        counts = sum((np.bincount(part.ravel(), minlength=256) for part in labels), np.zeros(256, dtype=np.int64))
        return frozenset(int(value) for value in np.flatnonzero(counts))
    values = np.unique(labels)
    wrong = values[(values < 0) | (values > 255) | (values != np.floor(values))]
    if wrong.size:
        shown = ", ".join(f"{value:g}" for value in wrong[:5])
        raise InputError(f"{what}: the labelmap holds {shown}; label values are whole numbers from 0 to 255.")
    return frozenset(int(value) for value in values)
