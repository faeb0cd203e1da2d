"""Sizes over time: every lesion's course through the scans, and the sum of the target lesions' diameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..pipeline.lesions import Lesion
from .coverage import hidden_lesions
from .registration import Alignment
from .timepoints import TimePoint
from .tracking import Track

TARGETS_PER_ORGAN = 2
SMALLEST_TARGET_MM = 10.0
_NO_GROWTH = 0.05
"""Below this change of the volume a doubling time is noise."""


@dataclass(frozen=True)
class Change:
    """One track through all scans.

    Attributes
    ----------
    track : Track
    event : str
        "followed", "new", "vanished", "place not seen" (in the first or the last scan), "split", "fused", "split and
        fused" or "came back", first to last scan.
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


def choose_targets(baseline: TimePoint) -> tuple[int, ...]:
    """Return the ids of the baseline lesions that RECIST 1.1 would allow as targets: the two largest measurable ones.

    Measurable: at least 10 mm, and at least twice the slice thickness when slices are thicker than 5 mm.
    """
    smallest = SMALLEST_TARGET_MM if baseline.slice_mm <= 5.0 else 2.0 * baseline.slice_mm
    measurable = [lesion for lesion in baseline.lesions if lesion.diameter_mm >= smallest]
    measurable.sort(key=lambda lesion: -lesion.diameter_mm)
    return tuple(lesion.id for lesion in measurable[:TARGETS_PER_ORGAN])


def measure_changes(
    points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], alignments: Sequence[Alignment]
) -> list[Change]:
    """Return the sizes of every track in every scan; `alignments` are from the first scan to each."""
    hidden = hidden_lesions(points, tracks, alignments)
    return [_change(points, track, targets, track.number in hidden[0] | hidden[-1]) for track in tracks]


def sum_of_diameters(points: list[TimePoint], tracks: list[Track], targets: tuple[int, ...], scan: int) -> float:
    """Return the sum of the target lesions' longest axial diameters in a scan.

    Pieces of a target are added; targets that fused count once, by the diameter of the fused lesion.
    """
    if scan == 0:
        return sum(lesion.diameter_mm for lesion in points[0].lesions if lesion.id in targets)
    total = 0.0
    for track in tracks:
        if set(track.seen(0)) & set(targets):
            total += sum(lesion.diameter_mm for lesion in lesions_of(points[scan], track, scan))
    return total


def lesions_of(point: TimePoint, track: Track, scan: int) -> list[Lesion]:
    """Return the lesions of a track in a scan."""
    ids = track.seen(scan)
    return [lesion for lesion in point.lesions if lesion.id in ids]


def _change(points: list[TimePoint], track: Track, targets: tuple[int, ...], hidden: bool) -> Change:
    seen = [lesions_of(point, track, scan) for scan, point in enumerate(points)]
    volumes = tuple(sum(lesion.volume_ml for lesion in lesions) for lesions in seen)
    diameters = tuple(sum(lesion.diameter_mm for lesion in lesions) for lesions in seen)
    counts = tuple(len(lesions) for lesions in seen)
    return Change(
        track=track,
        event=_event(counts, hidden),
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


def _event(counts: tuple[int, ...], hidden: bool) -> str:
    first, last = counts[0], counts[-1]
    if not last:
        return "place not seen" if hidden else "vanished"
    if not first:
        return "place not seen" if hidden else "new"
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
