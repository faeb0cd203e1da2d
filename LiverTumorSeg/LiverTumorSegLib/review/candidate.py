"""A second run beside an edited result: what it would change, lesion by lesion, and taking over some of it.

The changes are disjoint sets of voxels that together are every difference. So merging none gives the edited result,
merging all gives the candidate, and the order of merging does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..labels import TUMOR
from ..pipeline.lesions import find_lesions
from .region import Labels, Region, shifted
from .verdicts import Verdicts

ADDED, REMOVED = 1, 2
"""Values of ``difference_labels``: tumour that only the candidate has, tumour that only the edited result has."""

Kind = Literal["new", "gone", "changed", "outline"]


@dataclass(frozen=True)
class Change:
    """One place where the candidate differs.

    Attributes
    ----------
    number : int
        From 1: new, gone and changed lesions by falling size of the place, then the liver's outline.
    kind : {"new", "gone", "changed", "outline"}
        A lesion that only the candidate has, only the edited result has, both have with other borders; or everything
        that differs elsewhere, which is the liver's outline.
    region : Region
        The voxels that differ.
    added, removed : int
        Voxels of tumour (of the outline: of liver) that merging it adds and removes.
    undoes_edit : bool
        Merging it would take back something that the reader changed by hand.
    was_rejected : bool
        It brings back a lesion that the reader rejected.
    """

    number: int
    kind: Kind
    region: Region
    added: int
    removed: int
    undoes_edit: bool = False
    was_rejected: bool = False


def differences(
    edited: Labels, candidate: Labels, before_edit: Labels | None = None, verdicts: Verdicts | None = None
) -> tuple[Change, ...]:
    """Return what merging a candidate would change.

    Parameters
    ----------
    edited, candidate : ndarray of uint8, [z, y, x]
        0, 1 liver, 2 tumour, on one grid.
    before_edit : ndarray of uint8, optional
        The result as the first run gave it: what differs from it in `edited` is the reader's work.
    verdicts : Verdicts, optional
        Of the edited result, to know what was rejected.

    Raises
    ------
    InputError
        When the arrays do not lie on one grid.
    """
    _on_one_grid(edited, candidate, before_edit)
    different = edited != candidate
    if not different.any():
        return ()
    places = find_lesions((edited == TUMOR.value) | (candidate == TUMOR.value))
    changes: list[Change] = []
    outline = different.copy()
    found = () if places is None else ndimage.find_objects(places.labels)
    for value, local in enumerate(found, 1):
        assert places is not None  # it has components
        box = shifted(local, tuple(-s.start for s in places.box))
        part = different[box] & (places.labels[local] == value)
        region = Region.of(part, tuple(s.start for s in box))
        if region is None:
            continue
        outline[box] &= ~part
        inside = places.labels[local] == value
        ours, theirs = edited[box][inside] == TUMOR.value, candidate[box][inside] == TUMOR.value
        kind: Kind = "new" if not ours.any() else "gone" if not theirs.any() else "changed"
        added, removed = int(np.count_nonzero(theirs & ~ours)), int(np.count_nonzero(ours & ~theirs))
        changes.append(_change(len(changes) + 1, kind, region, added, removed, edited, before_edit, verdicts))
    rest = Region.of(outline)
    if rest is not None:
        liver = candidate[rest.box][rest.mask] > 0
        added = int(np.count_nonzero(liver))
        removed = liver.size - added
        changes.append(_change(len(changes) + 1, "outline", rest, added, removed, edited, before_edit, None))
    return tuple(changes)


def merge(edited: Labels, candidate: Labels, changes: Iterable[Change]) -> Labels:
    """Return the edited result with these changes taken over from the candidate.

    Parameters
    ----------
    edited, candidate : ndarray of uint8, [z, y, x]
        As given to ``differences``; not changed.
    changes : iterable of Change
        One, some, all or none of them.
    """
    _on_one_grid(edited, candidate)
    merged = edited.copy()
    for change in changes:
        box, mask = change.region.box, change.region.mask
        merged[box][mask] = candidate[box][mask]
    return merged


def without_loss(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that neither undo an edit nor bring back what was rejected: safe to merge unasked."""
    return tuple(change for change in changes if not change.undoes_edit and not change.was_rejected)


def difference_labels(edited: Labels, candidate: Labels) -> Labels:
    """Return 1 where only the candidate has tumour and 2 where only the edited result has: two colours to show."""
    _on_one_grid(edited, candidate)
    ours, theirs = edited == TUMOR.value, candidate == TUMOR.value
    shown = np.zeros(edited.shape, np.uint8)
    shown[theirs & ~ours] = ADDED
    shown[ours & ~theirs] = REMOVED
    return shown


def _change(
    number: int,
    kind: Kind,
    region: Region,
    added: int,
    removed: int,
    edited: Labels,
    before_edit: Labels | None,
    verdicts: Verdicts | None,
) -> Change:
    rejected = () if verdicts is None else tuple(lesion.region for lesion in verdicts.lesions if lesion.rejected)
    was_rejected = added > 0 and any(_touch(region, other) for other in rejected)
    undoes = False
    if before_edit is not None:
        by_hand = region.within(edited[region.box] != before_edit[region.box])
        # What a rejection changed is told by its own mark.
        undoes = by_hand is not None and not (was_rejected and all(_inside(by_hand, rejected)))
    return Change(number, kind, region, added, removed, undoes, was_rejected)


def _touch(one: Region, other: Region) -> bool:
    return any(_inside(one, (other,)))


def _inside(one: Region, others: Iterable[Region]) -> np.ndarray:
    """Return for each voxel of a region whether it lies in one of the others, 1-D."""
    covered = np.zeros(one.mask.shape, bool)
    for other in others:
        box = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True))
        if all(s.start < s.stop for s in box):
            mine, theirs = (shifted(box, tuple(s.start for s in each.box)) for each in (one, other))
            covered[mine] |= other.mask[theirs]
    return covered[one.mask]


def _on_one_grid(edited: Labels, *others: Labels | None) -> None:
    for other in others:
        if other is not None and other.shape != edited.shape:
            raise InputError(
                f"The second result has {other.shape} voxels and the edited one {edited.shape}: "
                "segment the same scan again."
            )
