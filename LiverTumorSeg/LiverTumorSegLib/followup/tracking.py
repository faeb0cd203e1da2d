"""Which lesion of one scan is which of another: one-to-one assignment, then pieces and fusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from .registration import Alignment
from .timepoints import Points, TimePoint

NEAR_MM = 3.0
"""Slack around a lesion when asking whether another lies inside it: what registration leaves over."""
_GAP_MM = 10.0
_BEYOND_GAP_MM = 1.01 * _GAP_MM
_CENTRE_MM = 15.0
_CLEAR_OVERLAP = 0.1
_INSIDE = 0.5
_MOST_POINTS = 4000


@dataclass
class Track:
    """One lesion through time, or several that split or fused.

    Attributes
    ----------
    number : int
        1..n in the order of first appearance, larger first.
    parts : dict of int to tuple of int
        Scan index -> lesion ids in that scan; absent or empty where the lesion is not seen.
    certainty : dict of int to float
        Scan index -> how well the pairing with the scan before is supported: the share of the smaller lesion that
        lies in the other one, or less than 0.5 when they only lie near each other.
    """

    number: int
    parts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    certainty: dict[int, float] = field(default_factory=dict)

    def seen(self, scan: int) -> tuple[int, ...]:
        """Return the lesion ids in a scan."""
        return self.parts.get(scan, ())

    def last_seen(self, before: int) -> int:
        """Return the last scan before the given one in which the lesion is seen."""
        return max(scan for scan, ids in self.parts.items() if ids and scan < before)


def follow(points: list[TimePoint], alignments: list[Alignment]) -> list[Track]:
    """Return the tracks of all lesions.

    A lesion that vanished stays a candidate at its last place, so one that comes back is not called new.

    Parameters
    ----------
    points : list of TimePoint
        In order of time.
    alignments : list of Alignment
        From the first scan to each scan; the first is the identity.
    """
    tracks = [Track(lesion.id, {0: (lesion.id,)}) for lesion in points[0].lesions]
    for scan in range(1, len(points)):
        earlier = [last_place(track, scan, points, alignments) for track in tracks]
        later = [points[scan].lesion_points[lesion.id] for lesion in points[scan].lesions]
        links, certainty = pair_lesions(earlier, later)
        tracks = _extend(tracks, scan, links, certainty, [lesion.id for lesion in points[scan].lesions])
    for number, track in enumerate(tracks, start=1):
        track.number = number
    return tracks


def pair_lesions(
    earlier: list[Points], later: list[Points]
) -> tuple[list[tuple[int, int]], dict[tuple[int, int], float]]:
    """Return the links between two sets of lesions in one coordinate system, and how well each is supported.

    Every lesion gets at most one partner by assignment. A later lesion without a partner that lies in an earlier one
    is a piece of it; an earlier one without a partner that lies in a later one has fused with it.

    Parameters
    ----------
    earlier, later : list of ndarray (n, 3)
        Voxel centres in mm; every lesion's points.

    Returns
    -------
    links : list of (earlier index, later index)
    certainty : dict
        Of each link, 0..1.
    """
    if not earlier or not later:
        return [], {}
    trees = [cKDTree(points) for points in earlier], [cKDTree(points) for points in later]
    score = np.zeros((len(earlier), len(later)))
    inside_earlier, inside_later = np.zeros_like(score), np.zeros_like(score)
    for row, first in enumerate(earlier):
        for column, second in enumerate(later):
            if _too_far(first, second):
                continue
            # What is farther than the gap counts as apart; it need not be found.
            to_first = trees[0][row].query(thinned(second), distance_upper_bound=_BEYOND_GAP_MM)[0]
            to_second = trees[1][column].query(thinned(first), distance_upper_bound=_BEYOND_GAP_MM)[0]
            inside_earlier[row, column] = np.mean(to_first <= NEAR_MM)
            inside_later[row, column] = np.mean(to_second <= NEAR_MM)
            gap = float(to_first.min())
            containment = max(inside_earlier[row, column], inside_later[row, column])
            if containment >= _CLEAR_OVERLAP:
                # Containment settles most; among equals the centre that is nearer wins.
                score[row, column] = 0.5 + 0.4 * containment + 0.1 / (1.0 + _centre_distance(first, second))
            elif gap <= _GAP_MM and _centre_distance(first, second) <= _CENTRE_MM + abs(
                _radius(first) - _radius(second)
            ):
                score[row, column] = 0.5 * (1.0 - gap / (2.0 * _GAP_MM))
    rows, columns = linear_sum_assignment(score, maximize=True)
    links = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if score[row, column] > 0]
    paired_rows, paired_columns = {row for row, _ in links}, {column for _, column in links}
    for column in sorted(set(range(len(later))) - paired_columns):
        row = int(inside_earlier[:, column].argmax())
        if inside_earlier[row, column] >= _INSIDE:
            links.append((row, column))
    for row in sorted(set(range(len(earlier))) - paired_rows - {row for row, _ in links}):
        column = int(inside_later[row].argmax())
        if inside_later[row, column] >= _INSIDE:
            links.append((row, column))
    certainty = {
        (row, column): float(
            max(inside_earlier[row, column], inside_later[row, column], min(score[row, column], 0.49))
        )
        for row, column in links
    }
    return links, certainty


def last_place(track: Track, scan: int, points: Sequence[TimePoint], alignments: Sequence[Alignment]) -> Points:
    """Return a track's last seen voxels in the coordinates of a later scan."""
    source = track.last_seen(scan)
    own = np.concatenate([points[source].lesion_points[number] for number in track.seen(source)])
    return alignments[scan].apply(alignments[source].inverse(own))


def thinned(points: Points) -> Points:
    """Return at most some thousand of the points, spread evenly."""
    return points[:: max(1, len(points) // _MOST_POINTS)]


def _extend(
    tracks: list[Track],
    scan: int,
    links: list[tuple[int, int]],
    certainty: dict[tuple[int, int], float],
    ids: list[int],
) -> list[Track]:
    """Add a scan's lesions to the tracks, join tracks that fused, start tracks for new lesions."""
    home = list(range(len(tracks)))
    for column in range(len(ids)):
        joined = sorted({home[row] for row, linked in links if linked == column})
        for other in joined[1:]:
            home = [joined[0] if root == other else root for root in home]
    result: list[Track] = []
    for root in sorted(set(home)):
        members = [index for index in range(len(tracks)) if home[index] == root]
        parts: dict[int, tuple[int, ...]] = {}
        support: dict[int, float] = {}
        for index in members:
            for past, numbers in tracks[index].parts.items():
                parts[past] = tuple(sorted({*parts.get(past, ()), *numbers}))
            for past, value in tracks[index].certainty.items():
                support[past] = min(value, support.get(past, 1.0))
        mine = sorted({column for row, column in links if row in members})
        parts[scan] = tuple(ids[column] for column in mine)
        if mine:
            support[scan] = min(certainty[link] for link in links if link[0] in members)
        result.append(Track(0, parts, support))
    known = {column for _, column in links}
    result.extend(Track(0, {scan: (ids[column],)}) for column in range(len(ids)) if column not in known)
    return result


def _too_far(first: Points, second: Points) -> bool:
    gap = np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0))
    return bool(np.linalg.norm(np.maximum(gap, 0.0)) > _GAP_MM)


def _centre_distance(first: Points, second: Points) -> float:
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)))


def _radius(points: Points) -> float:
    """Return the root mean square distance from the centre times sqrt(5/3): the radius, for a ball."""
    return float(np.sqrt(5.0 / 3.0 * ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))
