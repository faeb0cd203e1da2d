"""Surface distances between two masks: average (ASSD), 95th percentile (HD95), share within a tolerance (NSD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from .boxes import bounding_box, grow
from .surfels import Surface, neighbour_codes, surfel_surface, voxel_surface

Method = Literal["surfel", "voxel"]

_TIE_MM = 1e-9
"""Distances are sums of squares of floats; a point exactly at the tolerance must count on every machine."""


@dataclass(frozen=True)
class SurfaceScores:
    """Surface figures of one region of one case; None when no boundary could be judged (all of it is ignored)."""

    assd_mm: float | None
    hd95_mm: float | None
    nsd: float | None


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from every point of each surface to the other, with the points' weights."""

    from_reference: npt.NDArray[np.float64]
    from_prediction: npt.NDArray[np.float64]
    reference_areas: npt.NDArray[np.float64]
    prediction_areas: npt.NDArray[np.float64]
    method: Method = "surfel"


def unjudged_boundary(mask: npt.NDArray[np.bool_], ignored: npt.NDArray[np.bool_]) -> float:
    """Return the part of a mask's boundary voxels that touch voxels of unknown truth, by a face; 0 without boundary.

    Parameters
    ----------
    mask, ignored : ndarray of bool, [z, y, x]
    """
    box = bounding_box(mask)
    if box is None:
        return 0.0
    box = grow(box, 1, mask.shape)
    mask, ignored = mask[box], ignored[box]
    boundary = mask & ~ndimage.binary_erosion(mask, border_value=1)
    total = int(np.count_nonzero(boundary))
    return int(np.count_nonzero(boundary & ndimage.binary_dilation(ignored))) / total if total else 0.0


def surface_scores(
    reference: npt.NDArray[np.bool_],
    prediction: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    worst_mm: float,
    ignored: npt.NDArray[np.bool_] | None = None,
    tolerance_mm: float = 2.0,
    method: Method = "surfel",
) -> SurfaceScores:
    """Score the boundaries of two masks under the edge policy.

    Parameters
    ----------
    reference, prediction : ndarray of bool, [z, y, x]
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    worst_mm : float
        Distance given when only one of the masks is empty (the image's diagonal).
    ignored : ndarray of bool, [z, y, x], optional
        Voxels of unknown truth: background in both masks, and boundary pieces next to them are not judged.
    tolerance_mm : float
        Tolerance of NSD.
    method : {"surfel", "voxel"}
        Boundary description; "voxel" reproduces MONAI.
    """
    if ignored is not None:
        reference, prediction = reference & ~ignored, prediction & ~ignored
    has_reference, has_prediction = bool(reference.any()), bool(prediction.any())
    if not has_reference and not has_prediction:
        return SurfaceScores(0.0, 0.0, 1.0)
    if has_reference != has_prediction:
        return SurfaceScores(worst_mm, worst_mm, 0.0)
    distances = surface_distances(reference, prediction, spacing_mm, ignored, method)
    return SurfaceScores(
        assd_mm=average_distance(distances),
        hd95_mm=robust_hausdorff(distances, 95.0),
        nsd=surface_dice(distances, tolerance_mm),
    )


def surface_distances(
    reference: npt.NDArray[np.bool_],
    prediction: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    ignored: npt.NDArray[np.bool_] | None = None,
    method: Method = "surfel",
) -> SurfaceDistances:
    """Return the distances between the boundaries of two masks, neither of which is empty.

    Works on the box around both masks. Distances come from a tree of boundary points rather than from a distance
    transform of the box: a boundary has a hundredth of the voxels.
    """
    box = bounding_box(reference, prediction)
    if box is None:
        raise ValueError("surface_distances needs two masks that are not empty")
    box = grow(box, 1, reference.shape)
    ours, theirs = np.ascontiguousarray(reference[box]), np.ascontiguousarray(prediction[box])
    if method == "surfel":
        first, first_map = surfel_surface(ours, spacing_mm)
        second, second_map = surfel_surface(theirs, spacing_mm)
        unknown = None if ignored is None else neighbour_codes(np.ascontiguousarray(ignored[box])) != 0
    else:
        first, first_map = voxel_surface(ours)
        second, second_map = voxel_surface(theirs)
        unknown = None if ignored is None else _next_to(ignored[box])
    keep_first, keep_second = _judged(first, unknown), _judged(second, unknown)
    return SurfaceDistances(
        _nearest(first.points[keep_first], second, second_map, spacing_mm),
        _nearest(second.points[keep_second], first, first_map, spacing_mm),
        first.areas[keep_first],
        second.areas[keep_second],
        method,
    )


def average_distance(distances: SurfaceDistances) -> float | None:
    """Return the average symmetric surface distance in mm: the mean over both boundaries together."""
    total = float(distances.reference_areas.sum() + distances.prediction_areas.sum())
    if total == 0.0:
        return None
    weighted = distances.from_reference @ distances.reference_areas
    weighted += distances.from_prediction @ distances.prediction_areas
    return float(weighted) / total


def robust_hausdorff(distances: SurfaceDistances, percent: float) -> float | None:
    """Return the larger of the two directed percentiles of the distances in mm."""
    percentile = _weighted_percentile if distances.method == "surfel" else _plain_percentile
    directed = [
        percentile(values, areas, percent)
        for values, areas in (
            (distances.from_reference, distances.reference_areas),
            (distances.from_prediction, distances.prediction_areas),
        )
        if len(values)
    ]
    return max(directed) if directed else None


def surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float | None:
    """Return the share of both boundaries that lies within the tolerance of the other (NSD)."""
    total = float(distances.reference_areas.sum() + distances.prediction_areas.sum())
    if total == 0.0:
        return None
    within = distances.reference_areas[distances.from_reference <= tolerance_mm + _TIE_MM].sum()
    within += distances.prediction_areas[distances.from_prediction <= tolerance_mm + _TIE_MM].sum()
    return float(within) / total


def _nearest(
    points: npt.NDArray[np.int32],
    target: Surface,
    target_map: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> npt.NDArray[np.float64]:
    """Return the distance in mm of each point to the nearest point of the target surface."""
    result = np.zeros(len(points))
    away = ~target_map[tuple(points.T)]
    if not away.any():
        return result
    spacing = np.asarray(spacing_mm)
    asked = points[away]
    tree = cKDTree(target.points * spacing, balanced_tree=False, compact_nodes=False)
    _, index = tree.query(asked * spacing)
    # From whole voxel steps, so that moving or mirroring the case does not change the last digits.
    steps = (asked - target.points[index]) * spacing
    result[away] = np.sqrt((steps * steps).sum(axis=1))
    return result


def _judged(surface: Surface, unknown: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    if unknown is None:
        return np.ones(len(surface.points), dtype=bool)
    return ~unknown[tuple(surface.points.T)]


def _next_to(ignored: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the voxels that have an ignored voxel among their face neighbours."""
    near = ignored.copy()
    for axis in range(3):
        forward, backward = [slice(None)] * 3, [slice(None)] * 3
        forward[axis], backward[axis] = slice(1, None), slice(None, -1)
        near[tuple(forward)] |= ignored[tuple(backward)]
        near[tuple(backward)] |= ignored[tuple(forward)]
    return near


def _weighted_percentile(values: npt.NDArray[np.float64], areas: npt.NDArray[np.float64], percent: float) -> float:
    """Return the smallest distance below which the given share of the area lies."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(areas[order]) / areas.sum()
    place = int(np.searchsorted(share, percent / 100.0))
    return float(values[order][min(place, len(order) - 1)])


def _plain_percentile(values: npt.NDArray[np.float64], areas: npt.NDArray[np.float64], percent: float) -> float:
    del areas
    return float(np.percentile(values, percent))
