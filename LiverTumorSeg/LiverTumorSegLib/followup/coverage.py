"""Where a scan does not tell whether a lesion is there: its place is unknown, or outside the scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..labels import IGNORE, TUMOR
from .registration import Alignment
from .timepoints import Points, TimePoint, array_index
from .tracking import Track, last_place, thinned

_HIDDEN = 0.1
"""Share of a lesion's place from which on a smaller rest of it could hide there."""


def hidden_lesions(
    points: Sequence[TimePoint], tracks: Sequence[Track], alignments: Sequence[Alignment]
) -> list[frozenset[int]]:
    """Return for each scan the numbers of the tracks whose place is not seen there.

    That is where more of the place is unknown (value 255, or outside the labelmap) than is lesion. A lesion that is
    not found at such a place has not gone, and one that is found in part has no diameter. The baseline hides what
    appears later where it is unknown: that need not be new. What appears outside the baseline is new in RECIST 1.1.
    """
    appeared = [track for track in tracks if not track.seen(0)]
    found = [frozenset(track.number for track in appeared if _hidden_at_first(track, points, alignments))]
    for scan in range(1, len(points)):
        earlier = [track for track in tracks if min(track.parts) < scan]
        found.append(frozenset(track.number for track in earlier if _hidden(track, scan, points, alignments)))
    return found


def _hidden(track: Track, scan: int, points: Sequence[TimePoint], alignments: Sequence[Alignment]) -> bool:
    return _mostly_unknown(_labels_at(points[scan], last_place(track, scan, points, alignments), outside=IGNORE))


def _hidden_at_first(track: Track, points: Sequence[TimePoint], alignments: Sequence[Alignment]) -> bool:
    scan = min(track.parts)
    place = np.concatenate([points[scan].lesion_points[number] for number in track.seen(scan)])
    return _mostly_unknown(_labels_at(points[0], alignments[scan].inverse(place), outside=0))


def _mostly_unknown(labels: npt.NDArray[np.uint8]) -> bool:
    return bool(np.mean(labels == IGNORE) >= max(_HIDDEN, float(np.mean(labels == TUMOR.value))))


def _labels_at(point: TimePoint, places: Points, outside: int) -> npt.NDArray[np.uint8]:
    """Return the labels at patient coordinates, and what stands for those outside the labelmap."""
    at = array_index(point.labelmap, thinned(places))
    within = np.all((at >= 0) & (at < point.labels.shape), axis=1)
    found = np.full(len(at), outside, np.uint8)
    found[within] = point.labels[tuple(at[within].T)]
    return found
