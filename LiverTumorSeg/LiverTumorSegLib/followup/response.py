"""The response category that the measured sizes would correspond to under RECIST 1.1. An aid, never a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .changes import lesions_of, sum_of_diameters
from .coverage import hidden_lesions
from .recist import COMPLETE, NOT_EVALUABLE, PERSISTENT, has_grown, response_at, target_response
from .registration import LEAST_OVERLAP, Alignment
from .timepoints import TimePoint
from .tracking import Track
from .wording import of_category, of_further, of_nontargets, of_targets

SMALLEST_NEW_MM = 5.0
"""Longest diameter from which a lesion without a partner counts as new; specks come and go with noise."""


@dataclass(frozen=True)
class Assessment:
    """The measured change at one later scan.

    Attributes
    ----------
    sum_mm : float
        Sum of the target lesions' diameters; without those whose place is not seen.
    against_baseline, against_smallest : float or None
        Relative to the baseline's sum and to the smallest sum so far; None without targets, where the target lesions
        are not evaluable, and relative to nothing.
    target_response : str or None
        Of the target lesions alone (`recist.target_response`); None when the baseline has none.
    nontarget_response : str or None
        Of the baseline's other lesions, as far as measuring tells: "complete response", "non-CR/non-PD" or
        "not evaluable"; None when there are none. Unequivocal progression is for a reader to see.
    grown_nontargets : tuple of int
        Track numbers of those that are 20 % and 5 mm above their smallest diameter.
    hidden_lesions : tuple of int
        Track numbers of the baseline's lesions whose place is unknown or outside this scan, and of those found here
        where the baseline is unknown, which need not be new.
    new_lesions : tuple of int
        Track numbers of lesions that the baseline does not have; only those of at least 5 mm.
    category : str
        "complete response", "partial response", "stable disease", "progressive disease", "non-CR/non-PD" (the
        baseline has lesions, but no target) or "not evaluable".
    category_without_new : str
        The same if the new lesions are none.
    wording : str
        Sentences that say what was measured and that a reader must decide.
    """

    sum_mm: float
    against_baseline: float | None
    against_smallest: float | None
    target_response: str | None
    nontarget_response: str | None
    grown_nontargets: tuple[int, ...]
    hidden_lesions: tuple[int, ...]
    new_lesions: tuple[int, ...]
    category: str
    category_without_new: str
    wording: str


def assess(
    points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], alignments: Sequence[Alignment]
) -> list[Assessment]:
    """Return the assessment of every scan after the first.

    Parameters
    ----------
    alignments : sequence of Alignment
        From the first scan to each. Livers that do not lie on each other cannot be compared lesion by lesion, and a
        lesion that is not found there has not gone.
    """
    hidden = hidden_lesions(points, tracks, alignments)
    found: list[Assessment] = []
    for scan in range(1, len(points)):
        completed = any(one.category == COMPLETE for one in found)
        one = _assess(_Course(points, tracks, targets, hidden), scan, completed)
        overlap = min(alignment.liver_dice for alignment in alignments[: scan + 1])
        if overlap < LEAST_OVERLAP:
            words = (
                f"The livers overlap only by Dice {overlap:.2f} after alignment: the registration failed, so the "
                "lesions could not be followed and no category can be computed. Check that both scans show the same "
                "liver and that both segmentations are right."
            )
            one = replace(one, category=NOT_EVALUABLE, category_without_new=NOT_EVALUABLE, wording=words)
        found.append(one)
    return found


@dataclass(frozen=True)
class _Course:
    """The lesions through all scans, told apart as RECIST 1.1 does."""

    points: list[TimePoint]
    tracks: list[Track]
    target_ids: tuple[int, ...]
    hidden: list[frozenset[int]]

    @property
    def targets(self) -> list[Track]:
        """Those that hold a target lesion."""
        return [track for track in self.tracks if set(track.seen(0)) & set(self.target_ids)]

    @property
    def nontargets(self) -> list[Track]:
        """The baseline's others."""
        return [track for track in self.tracks if track.seen(0) and not set(track.seen(0)) & set(self.target_ids)]

    def unseen(self, tracks: list[Track], scan: int) -> tuple[int, ...]:
        """Return the numbers of those whose place is not seen in a scan."""
        return tuple(track.number for track in tracks if track.number in self.hidden[scan])

    def sum_mm(self, scan: int) -> float:
        """Return the sum of the target lesions' diameters."""
        return sum_of_diameters(self.points, self.tracks, self.target_ids, scan)

    def smallest_sum_mm(self, before: int) -> float:
        """Return the smallest sum before a scan; one that lacks a target whose place is not seen is none."""
        return min(self.sum_mm(scan) for scan in range(before) if not self.unseen(self.targets, scan))

    def diameter_mm(self, track: Track, scan: int) -> float:
        """Return the diameter of a lesion, that of its parts added; 0 where it is not seen."""
        return sum(lesion.diameter_mm for lesion in lesions_of(self.points[scan], track, scan))

    def smallest_mm(self, track: Track, before: int) -> float:
        """Return a lesion's smallest diameter before a scan, of the scans in which it is seen as a whole."""
        whole = [scan for scan in range(before) if track.seen(scan) and track.number not in self.hidden[scan]]
        return min(self.diameter_mm(track, scan) for scan in whole)

    def is_counted(self, track: Track, scan: int) -> bool:
        """Return whether a lesion is there and no speck."""
        found = lesions_of(self.points[scan], track, scan)
        return any(lesion.diameter_mm >= SMALLEST_NEW_MM for lesion in found)


def _assess(course: _Course, scan: int, completed: bool) -> Assessment:
    """Assess one scan; `completed` tells whether an earlier one was a complete response."""
    targets, nontargets = course.targets, course.nontargets
    hidden_targets, hidden_nontargets = course.unseen(targets, scan), course.unseen(nontargets, scan)
    before, now, smallest = course.sum_mm(0), course.sum_mm(scan), course.smallest_sum_mm(scan)
    by_targets = target_response(now, before, smallest, not hidden_targets) if targets else None
    found = [track for track in course.tracks if not track.seen(0) and track.seen(scan)]
    hidden_before = course.unseen(found, 0)
    by_nontargets = _nontarget_response(nontargets, (*hidden_nontargets, *hidden_before), scan)
    sizes = {t.number: (course.smallest_mm(t, scan), course.diameter_mm(t, scan)) for t in nontargets}
    grown = {number: (least, size) for number, (least, size) in sizes.items() if has_grown(size, least)}
    appeared = [track for track in found if track.number not in hidden_before]
    new = tuple(track.number for track in appeared if course.is_counted(track, scan))
    returned = [t.number for t in (*targets, *nontargets) if completed and course.is_counted(t, scan)]
    without_new = response_at(by_targets, by_nontargets, bool(returned))
    sentences = (
        of_targets(by_targets, now, before, smallest, hidden_targets),
        of_nontargets(sum(bool(t.seen(scan)) for t in nontargets), len(nontargets), grown, hidden_nontargets),
        of_category(response_at(by_targets, by_nontargets, new=False), not (targets or nontargets or found)),
        of_further(len(new), len(appeared) - len(new), SMALLEST_NEW_MM, returned, hidden_before),
    )
    told = by_targets not in (None, NOT_EVALUABLE)
    return Assessment(
        sum_mm=now,
        against_baseline=now / before - 1.0 if told else None,
        against_smallest=now / smallest - 1.0 if told and smallest else None,
        target_response=by_targets,
        nontarget_response=by_nontargets,
        grown_nontargets=tuple(grown),
        hidden_lesions=tuple(sorted((*hidden_targets, *hidden_nontargets, *hidden_before))),
        new_lesions=new,
        category=response_at(by_targets, by_nontargets, bool(new or returned)),
        category_without_new=without_new,
        wording=" ".join(sentence for sentence in sentences if sentence),
    )


def _nontarget_response(nontargets: list[Track], hidden: tuple[int, ...], scan: int) -> str | None:
    if hidden:
        return NOT_EVALUABLE
    if not nontargets:
        return None
    return PERSISTENT if any(track.seen(scan) for track in nontargets) else COMPLETE
