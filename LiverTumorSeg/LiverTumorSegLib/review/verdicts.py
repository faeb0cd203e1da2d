"""A reader's verdict of each lesion, what it does to the labelmap, and how it stays with its lesion over edits.

The labelmap holds what stands: a rejected lesion is liver in it, and its voxels are remembered here so that it can be
taken back. Numbers are given once: rejecting lesion 1 does not make lesion 2 the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..labels import LIVER, TUMOR
from ..pipeline.lesions import LesionParts, find_lesions
from .region import Labels, Region, shifted

Verdict = Literal["", "accept", "reject", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""What a reader may say of a lesion; the empty verdict is "not looked at yet"."""


@dataclass(frozen=True)
class Judged:
    """One lesion and what the reader said of it.

    Attributes
    ----------
    number : int
        From 1, by falling size when the result was opened; kept for the whole session.
    region : Region
        Its voxels; of a rejected lesion those that become tumour again when it is taken back.
    verdict : {"", "accept", "reject", "unsure"}
        Empty: not looked at yet.
    """

    number: int
    region: Region
    verdict: Verdict = ""

    @property
    def rejected(self) -> bool:
        """Return whether the lesion is liver in the labelmap."""
        return self.verdict == "reject"


@dataclass(frozen=True)
class Verdicts:
    """Every lesion of a session, the rejected ones too, in the order of their numbers.

    A face keeps this beside the labelmap; to undo a step it puts back both.
    """

    lesions: tuple[Judged, ...] = ()
    next_number: int = 1

    def lesion(self, number: int) -> Judged:
        """Return the lesion with a number.

        Raises
        ------
        InputError
            When there is none.
        """
        for lesion in self.lesions:
            if lesion.number == number:
                return lesion
        raise InputError(f"There is no lesion {number} any more: choose one of the table.")

    def standing_at(self, index: tuple[int, int, int]) -> Judged | None:
        """Return the lesion that is tumour in a voxel (z, y, x), or None."""
        for lesion in self.lesions:
            if not lesion.rejected and lesion.region.holds(index):
                return lesion
        return None

    def after(self, number: int) -> int | None:
        """Return the number of the next lesion that was not looked at yet, going round; None when all were."""
        waiting = [lesion.number for lesion in self.lesions if not lesion.verdict and lesion.number != number]
        return next((n for n in waiting if n > number), waiting[0] if waiting else None)


def open_verdicts(labels: Labels) -> Verdicts:
    """Return the lesions of a labelmap [z, y, x] without verdicts, numbered as ``measure_lesions`` does."""
    return follow_edit(Verdicts(), labels)


def judge(verdicts: Verdicts, labels: Labels, number: int, verdict: Verdict) -> tuple[Verdicts, Labels]:
    """Give a lesion a verdict.

    Rejecting it makes its voxels liver. Any other verdict takes a rejection back: those of its voxels that are still
    liver become tumour again.

    Parameters
    ----------
    verdicts : Verdicts
        As they stand; call ``follow_edit`` first when the labelmap was edited since.
    labels : ndarray of uint8, [z, y, x]
        0, 1 liver, 2 tumour; not changed.
    number : int
        Which lesion.
    verdict : {"", "accept", "reject", "unsure"}
        The new one.

    Returns
    -------
    verdicts : Verdicts
        The new verdicts.
    labels : ndarray of uint8
        The new labelmap; the same array when the verdict changes no voxel.

    Raises
    ------
    InputError
        No such lesion, or no such verdict.
    """
    if verdict not in VERDICTS:
        raise InputError(f"{verdict!r} is no verdict: it must be accept, reject, unsure or empty.")
    lesion = verdicts.lesion(number)
    judged = replace(lesion, verdict=verdict)
    if lesion.rejected != judged.rejected:
        was, becomes = (TUMOR, LIVER) if judged.rejected else (LIVER, TUMOR)
        region = lesion.region.within(labels[lesion.region.box] == was.value)
        if region is not None:
            labels = labels.copy()
            region.paint(labels, becomes.value)
            judged = replace(judged, region=region)
    kept = tuple(judged if each.number == number else each for each in verdicts.lesions)
    return replace(verdicts, lesions=kept), labels


def follow_edit(verdicts: Verdicts, labels: Labels) -> Verdicts:
    """Return the verdicts after the labelmap was changed by hand, by the slider, by a merge.

    Each connected tumour takes number and verdict of the old lesion with which it shares most voxels; when a lesion
    was cut in pieces, the piece that shares most keeps the number and the others get new ones with the same verdict.
    What shares no voxel with a lesion is new and not looked at. A rejected lesion stays rejected as far as its place
    is still liver; where tumour stands again in most of it, that is the lesion, not looked at.

    Parameters
    ----------
    verdicts : Verdicts
        Before the edit.
    labels : ndarray of uint8, [z, y, x]
        The labelmap now.
    """
    parts = find_lesions(labels == TUMOR.value)
    regions = _regions(parts)
    shared = _shared_voxels(verdicts.lesions, parts)
    standing: dict[int, Judged] = {}
    taken: set[int] = set()
    # Lesions that stand come before rejected ones, then the largest share.
    pairs = sorted(
        ((n, old, new) for (old, new), n in shared.items()),
        key=lambda pair: (verdicts.lesions[pair[1]].rejected, -pair[0], pair[1:]),
    )
    for voxels, old, new in pairs:
        lesion = verdicts.lesions[old]
        if new in standing or old in taken or (lesion.rejected and 2 * voxels <= lesion.region.voxels):
            continue
        taken.add(old)
        standing[new] = Judged(lesion.number, regions[new], "" if lesion.rejected else lesion.verdict)
    number = verdicts.next_number
    for new, region in enumerate(regions):
        if new not in standing:
            standing[new] = Judged(number, region, _inherited(new, pairs, verdicts.lesions))
            number += 1
    rejected = [
        replace(lesion, region=left)
        for old, lesion in enumerate(verdicts.lesions)
        if lesion.rejected
        and old not in taken
        and (left := lesion.region.within(labels[lesion.region.box] == LIVER.value)) is not None
    ]
    lesions = sorted([*standing.values(), *rejected], key=lambda lesion: lesion.number)
    return Verdicts(tuple(lesions), number)


def follow_network(verdicts: Verdicts, labels: Labels) -> tuple[Verdicts, Labels]:
    """Return verdicts and labelmap after the network's tumour was taken over: by the slider, from a second run.

    As ``follow_edit``, but what the reader rejected stays rejected: a tumour that stands again in most of a rejected
    lesion, and touches no lesion that stands, becomes liver under the old number.

    Parameters
    ----------
    verdicts : Verdicts
        Before.
    labels : ndarray of uint8, [z, y, x]
        The labelmap as the network would have it; not changed.
    """
    parts = find_lesions(labels == TUMOR.value)
    regions = _regions(parts)
    shared = _shared_voxels(verdicts.lesions, parts)
    defended = {new for old, new in shared if not verdicts.lesions[old].rejected}
    again: dict[int, Judged] = {}
    for (old, new), voxels in sorted(shared.items(), key=lambda item: item[1]):
        lesion = verdicts.lesions[old]
        if lesion.rejected and new not in defended and 2 * voxels > lesion.region.voxels:
            again[new] = replace(lesion, region=regions[new])
    if not again:
        return follow_edit(verdicts, labels), labels
    labels = labels.copy()
    for lesion in again.values():
        lesion.region.paint(labels, LIVER.value)
    larger = {lesion.number: lesion for lesion in again.values()}
    # A rejected lesion that grew over another one has become one with it.
    absorbed = {old for old, new in shared if new in again and verdicts.lesions[old].number not in larger}
    kept = [lesion for old, lesion in enumerate(verdicts.lesions) if old not in absorbed]
    grown = tuple(larger.get(lesion.number, lesion) for lesion in kept)
    return follow_edit(replace(verdicts, lesions=grown), labels), labels


def undone(before: Verdicts, since: Verdicts) -> Verdicts:
    """Return the verdicts of a labelmap that stands again: its numbers and rejections, and what was decided since.

    Parameters
    ----------
    before : Verdicts
        Of this labelmap, when it stood last.
    since : Verdicts
        Those of the labelmap that was taken back.
    """
    decided = {lesion.number: lesion.verdict for lesion in since.lesions if not lesion.rejected}
    lesions = tuple(
        lesion if lesion.rejected else replace(lesion, verdict=decided.get(lesion.number, lesion.verdict))
        for lesion in before.lesions
    )
    return Verdicts(lesions, max(before.next_number, since.next_number))


def accepted_only(verdicts: Verdicts, labels: Labels, also: Sequence[Verdict] = ()) -> Labels:
    """Return the labelmap in which every lesion that was not accepted is liver.

    Parameters
    ----------
    verdicts : Verdicts
        Of this labelmap.
    labels : ndarray of uint8, [z, y, x]
        Not changed.
    also : sequence of str
        Further verdicts to keep, such as "unsure" and "".
    """
    kept = labels.copy()
    for lesion in verdicts.lesions:
        if not lesion.rejected and lesion.verdict not in ("accept", *also):
            lesion.region.paint(kept, LIVER.value)
    return kept


def stored_verdicts(verdicts: Verdicts) -> dict[str, Any]:
    """Return the verdicts in JSON types, for a scene or an autosave."""
    lesions = [{"number": x.number, "verdict": x.verdict, **x.region.packed()} for x in verdicts.lesions]
    return {"next_number": verdicts.next_number, "lesions": lesions}


def restored_verdicts(stored: dict[str, Any], labels: Labels) -> Verdicts:
    """Return verdicts that were stored, matched with the labelmap as it is now.

    Raises
    ------
    InputError
        When the stored ones are damaged or belong to another grid.
    """
    try:
        lesions = tuple(
            Judged(int(each["number"]), Region.unpacked(each), each["verdict"]) for each in stored["lesions"]
        )
        before = Verdicts(lesions, int(stored["next_number"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("The stored verdicts are damaged: give them again.") from error
    if any(lesion.verdict not in VERDICTS for lesion in lesions):
        raise InputError("The stored verdicts are damaged: give them again.")
    if any(not 0 <= s.start < s.stop <= n for x in lesions for s, n in zip(x.region.box, labels.shape, strict=True)):
        raise InputError("The stored verdicts belong to another scan: give them again.")
    return follow_edit(before, labels)


def _regions(parts: LesionParts | None) -> list[Region]:
    if parts is None:
        return []
    boxes = ndimage.find_objects(parts.labels)
    corner = tuple(-s.start for s in parts.box)
    return [Region(shifted(box, corner), parts.labels[box] == value) for value, box in enumerate(boxes, 1)]


def _shared_voxels(old: Sequence[Judged], parts: LesionParts | None) -> dict[tuple[int, int], int]:
    """Return how many voxels the old lesion at one place of its list shares with the new one at another of its."""
    shared: dict[tuple[int, int], int] = {}
    if parts is None:
        return shared
    for place, lesion in enumerate(old):
        overlap = _common_part(lesion.region, parts)
        for new, voxels in enumerate(np.bincount(overlap, minlength=1)[1:]):
            if voxels:
                shared[place, new] = int(voxels)
    return shared


def _common_part(region: Region, parts: LesionParts) -> np.ndarray:
    """Return the values of the parts in the voxels of a region, 0 for none, 1-D."""
    box = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(region.box, parts.box, strict=True))
    if any(s.start >= s.stop for s in box):
        return np.zeros(0, np.int32)
    corner = tuple(s.start for s in parts.box)
    inner = shifted(box, tuple(s.start for s in region.box))
    return parts.labels[shifted(box, corner)][region.mask[inner]]


def _inherited(new: int, pairs: list[tuple[int, int, int]], old: Sequence[Judged]) -> Verdict:
    """Return the verdict that a further piece takes: of the lesion it shares most with, unless that was rejected."""
    verdicts = [old[place].verdict for _, place, other in pairs if other == new and not old[place].rejected]
    return verdicts[0] if verdicts else ""
