"""Sizes over time and the response category they would correspond to under RECIST 1.1. An aid, never a verdict.

Source: Eisenhauer et al., "New response evaluation criteria in solid tumours: revised RECIST guideline (version 1.1)",
Eur J Cancer 2009.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..pipeline.lesions import Lesion
from .timepoints import TimePoint
from .tracking import Track

TARGETS_PER_ORGAN = 2
SMALLEST_TARGET_MM = 10.0
SMALLEST_NEW_MM = 5.0
"""Longest diameter from which a lesion without a partner counts as new; specks come and go with noise."""
PARTIAL = -0.30
PROGRESSION = 0.20
PROGRESSION_MM = 5.0
LEAST_OVERLAP = 0.5
"""Dice of two livers after alignment, below which they are not taken for one organ."""
_NO_GROWTH = 0.05
"""Below this change of the volume a doubling time is noise."""


@dataclass(frozen=True)
class Change:
    """One track through all scans.

    Attributes
    ----------
    track : Track
    event : str
        "followed", "new", "vanished", "split", "fused", "split and fused" or "came back", first to last scan.
    volumes_ml, diameters_mm : tuple of float
        Per scan: sum over the parts; 0 where not seen.
    parts : tuple of int
        Number of parts per scan.
    mean_hu : tuple of float or None
        Per scan: mean density over the parts; None where not seen and where there is no CT.
    volume_change, diameter_change : float or None
        Last against first scan, as a share; None for new lesions.
    doubling_days : float or None
        Volume doubling time (negative: halving), between first and last date; None without dates or below 5 % change.
    target : bool
        Whether it holds a target lesion.
    """

    track: Track
    event: str
    volumes_ml: tuple[float, ...]
    diameters_mm: tuple[float, ...]
    parts: tuple[int, ...]
    mean_hu: tuple[float | None, ...]
    volume_change: float | None
    diameter_change: float | None
    doubling_days: float | None
    target: bool


@dataclass(frozen=True)
class Assessment:
    """The measured change at one later scan.

    Attributes
    ----------
    sum_mm : float
        Sum of the target lesions' diameters.
    against_baseline, against_smallest : float or None
        Relative to the baseline's sum and to the smallest sum so far; None without targets.
    new_lesions : tuple of int
        Track numbers; only those of at least 5 mm.
    category : str
        "complete response", "partial response", "stable disease", "progressive disease", or "not evaluable".
    wording : str
        A sentence that says what was measured and that a reader must decide.
    """

    sum_mm: float
    against_baseline: float | None
    against_smallest: float | None
    new_lesions: tuple[int, ...]
    category: str
    wording: str


def choose_targets(baseline: TimePoint) -> tuple[int, ...]:
    """Return the ids of the baseline lesions that RECIST 1.1 would allow as targets: the two largest measurable ones.

    Measurable: at least 10 mm, and at least twice the slice thickness when slices are thicker than 5 mm.
    """
    smallest = SMALLEST_TARGET_MM if baseline.slice_mm <= 5.0 else 2.0 * baseline.slice_mm
    measurable = [lesion for lesion in baseline.lesions if lesion.diameter_mm >= smallest]
    measurable.sort(key=lambda lesion: -lesion.diameter_mm)
    return tuple(lesion.id for lesion in measurable[:TARGETS_PER_ORGAN])


def measure_changes(points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...]) -> list[Change]:
    """Return the sizes of every track in every scan."""
    return [_change(points, track, targets) for track in tracks]


def assess(
    points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], overlaps: Sequence[float] | None = None
) -> list[Assessment]:
    """Return the assessment of every scan after the first.

    Parameters
    ----------
    overlaps : sequence of float, optional
        Dice of each scan's liver with that of the first after alignment. Livers that do not lie on each other cannot
        be compared lesion by lesion, and a lesion that is not found there has not gone.
    """
    sums = [sum_of_diameters(points, tracks, targets, scan) for scan in range(len(points))]
    found = []
    for scan in range(1, len(points)):
        one = _assess(points, tracks, targets, sums, scan)
        if overlaps is not None and min(overlaps[: scan + 1]) < LEAST_OVERLAP:
            words = (
                f"The livers overlap only by Dice {min(overlaps[: scan + 1]):.2f} after alignment: the registration "
                "failed, so the lesions could not be followed and no category can be computed. Check that both scans "
                "show the same liver and that both segmentations are right."
            )
            one = dataclasses.replace(one, category="not evaluable", wording=words)
        found.append(one)
    return found


def sum_of_diameters(points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], scan: int) -> float:
    """Return the sum of the target lesions' longest axial diameters in a scan.

    Pieces of a target are added; targets that fused count once, by the diameter of the fused lesion.
    """
    if scan == 0:
        return sum(lesion.diameter_mm for lesion in points[0].lesions if lesion.id in targets)
    total = 0.0
    for track in tracks:
        if set(track.seen(0)) & set(targets):
            total += sum(lesion.diameter_mm for lesion in _lesions(points[scan], track, scan))
    return total


def _lesions(point: TimePoint, track: Track, scan: int) -> list[Lesion]:
    ids = track.seen(scan)
    return [lesion for lesion in point.lesions if lesion.id in ids]


def _change(points: list[TimePoint], track: Track, targets: tuple[int, ...]) -> Change:
    seen = [_lesions(point, track, scan) for scan, point in enumerate(points)]
    volumes = tuple(sum(lesion.volume_ml for lesion in lesions) for lesions in seen)
    diameters = tuple(sum(lesion.diameter_mm for lesion in lesions) for lesions in seen)
    counts = tuple(len(lesions) for lesions in seen)
    return Change(
        track=track,
        event=_event(counts),
        volumes_ml=volumes,
        diameters_mm=diameters,
        parts=counts,
        mean_hu=tuple(
            sum(lesion.mean_hu * lesion.volume_ml for lesion in lesions) / volume
            if volume and point.image is not None
            else None
            for point, lesions, volume in zip(points, seen, volumes, strict=True)
        ),
        volume_change=volumes[-1] / volumes[0] - 1.0 if volumes[0] else None,
        diameter_change=diameters[-1] / diameters[0] - 1.0 if diameters[0] else None,
        doubling_days=_doubling(points, volumes),
        target=bool(set(track.seen(0)) & set(targets)),
    )


def _event(counts: tuple[int, ...]) -> str:
    first, last = counts[0], counts[-1]
    if not last:
        return "vanished"
    if not first:
        return "new"
    if 0 in counts:
        return "came back"
    if first == 1 and max(counts) == 1:
        return "followed"
    if first == 1:
        return "split" if last > 1 else "split and fused"
    return "fused" if last == 1 else "split and fused"


def _doubling(points: list[TimePoint], volumes: tuple[float, ...]) -> float | None:
    first, last = points[0].day, points[-1].day
    if first is None or last is None or last <= first or not volumes[0] or not volumes[-1]:
        return None
    growth = math.log(volumes[-1] / volumes[0])
    return None if abs(growth) < _NO_GROWTH else (last - first).days * math.log(2.0) / growth


def _assess(
    points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], sums: list[float], scan: int
) -> Assessment:
    first_seen = [track for track in tracks if track.seen(scan) and min(track.parts) == scan]
    widest = {
        track.number: max(lesion.diameter_mm for lesion in _lesions(points[scan], track, scan)) for track in first_seen
    }
    new = tuple(number for number, diameter in widest.items() if diameter >= SMALLEST_NEW_MM)
    specks = len(widest) - len(new)
    speck_words = f" {specks} below {SMALLEST_NEW_MM:g} mm not counted as new." if specks else ""
    new_words = speck_words + (
        f" {len(new)} lesion{'' if len(new) == 1 else 's'} without a partner in the earlier scans: if a reader "
        "confirms a new lesion, that alone would be progressive disease."
        if new
        else ""
    )
    if not targets:
        words = "The baseline has no measurable target lesion (at least 10 mm), so no category can be computed."
        return Assessment(sums[scan], None, None, new, "not evaluable", words + new_words)
    smallest = min(sums[:scan])
    against_baseline = sums[scan] / sums[0] - 1.0
    against_smallest = sums[scan] / smallest - 1.0 if smallest else None
    grown_mm = sums[scan] - smallest
    if grown_mm >= PROGRESSION_MM and (against_smallest is None or against_smallest >= PROGRESSION):
        category = "progressive disease"
    elif sums[scan] == 0.0:
        category = "complete response"
    elif against_baseline <= PARTIAL:
        category = "partial response"
    else:
        category = "stable disease"
    words = (
        f"The sum of the target diameters went from {sums[0]:.1f} mm to {sums[scan]:.1f} mm "
        f"({against_baseline:+.0%} against the baseline"
        + (f", {against_smallest:+.0%} against the smallest sum so far" if against_smallest is not None else "")
        + f"). By size alone this would correspond to {category}."
    )
    return Assessment(sums[scan], against_baseline, against_smallest, new, category, words + new_words)
