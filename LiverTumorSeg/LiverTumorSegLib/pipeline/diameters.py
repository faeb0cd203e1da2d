"""Longest axial diameter of a region and the longest one perpendicular to it, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AxialDiameters:
    """The two diameters of a region and where they are drawn.

    Attributes
    ----------
    longest_mm, perpendicular_mm : float
        The longest diameter in any axial slice, and the longest one perpendicular to it there.
    longest_zyx, perpendicular_zyx : ndarray (2, 3)
        Their ends as continuous indices of the mask, in array order; both lie in one slice.
    """

    longest_mm: float
    perpendicular_mm: float
    longest_zyx: Floats
    perpendicular_zyx: Floats


def axial_diameters(mask: npt.NDArray[np.bool_], spacing_zyx: Sequence[float], axis: int = 0) -> tuple[float, float]:
    """Return the longest diameter of a mask in any slice across ``axis`` and the longest one perpendicular to it.

    The lengths alone of what ``draw_diameters`` finds; 0 for an empty mask.
    """
    if mask.size == 1 and mask.any():
        # A noisy segmentation has ten thousands of these.
        row_mm, column_mm = (spacing_zyx[a] for a in range(3) if a != axis)
        return max(row_mm, column_mm), min(row_mm, column_mm)
    found = draw_diameters(mask, spacing_zyx, axis)
    return (0.0, 0.0) if found is None else (found.longest_mm, found.perpendicular_mm)


def draw_diameters(mask: npt.NDArray[np.bool_], spacing_zyx: Sequence[float], axis: int = 0) -> AxialDiameters | None:
    """Return the longest diameter of a mask in any slice across ``axis`` and the longest one perpendicular to it.

    A slice's outline is the contour half-way between voxel centres inside and outside, so that a disc is neither
    smaller nor larger by a voxel; its convex hull is measured, in mm.

    Parameters
    ----------
    mask : ndarray of bool, [z, y, x]
        One lesion.
    spacing_zyx : tuple of float
        Voxel size in mm in array order.
    axis : int
        Array axis across which the axial slices lie.

    Returns
    -------
    AxialDiameters or None
        None for an empty mask.
    """
    slices = np.moveaxis(mask, axis, 0)
    row_mm, column_mm = (spacing_zyx[a] for a in range(3) if a != axis)
    rows, columns = np.any(slices, axis=2, keepdims=False), np.any(slices, axis=1, keepdims=False)
    bounds = np.hypot(_span(rows) * row_mm, _span(columns) * column_mm)
    longest, chosen, ends = 0.0, -1, np.zeros((4, 2))
    for index in np.argsort(-bounds, kind="stable"):
        if bounds[index] <= longest:
            break
        found = _hull_diameters(_outline(slices[index], row_mm, column_mm))
        diameter = float(np.linalg.norm(found[1] - found[0]))
        if diameter > longest + 1e-9:
            longest, chosen, ends = diameter, int(index), found
    if chosen < 0:
        return None
    places = np.insert(ends / (row_mm, column_mm), axis, chosen, axis=1)
    return AxialDiameters(longest, float(np.linalg.norm(ends[3] - ends[2])), places[:2], places[2:])


def _span(occupied: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return last - first + 1 of the True entries of each row, 0 for an empty row."""
    first = np.argmax(occupied, axis=1)
    last = occupied.shape[1] - 1 - np.argmax(occupied[:, ::-1], axis=1)
    span: npt.NDArray[np.int64] = np.where(occupied.any(axis=1), last - first + 1, 0)
    return span


def _outline(pixels: npt.NDArray[np.bool_], row_mm: float, column_mm: float) -> Floats:
    """Return points (row, column in mm) whose convex hull is that of the slice's half-way contour."""
    rows = np.flatnonzero(pixels.any(axis=1))
    first = np.argmax(pixels[rows], axis=1)
    last = pixels.shape[1] - 1 - np.argmax(pixels[rows, ::-1], axis=1)
    # Only the two end pixels of a row can lie on the hull; each adds the four points half a voxel away.
    ends = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)]).astype(np.float64)
    steps = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    points: Floats = (ends[:, None, :] + steps[None]).reshape(-1, 2) * (row_mm, column_mm)
    return points


def _hull_diameters(points: Floats) -> Floats:
    """Return the ends of the hull's longest diameter, then those of the longest chord perpendicular to it, (4, 2)."""
    hull = points[ConvexHull(points).vertices]
    distance = np.hypot(*(hull[:, None, :] - hull[None, :, :]).transpose(2, 0, 1))
    start, end = np.unravel_index(np.argmax(distance), distance.shape)
    longest = float(distance[start, end])
    along = (hull[end] - hull[start]) / longest
    normal = np.array([-along[1], along[0]])
    t = (hull - hull[start]) @ along
    w = (hull - hull[start]) @ normal
    # The chord length is concave and linear between vertices: its maximum is at the height of a vertex.
    upper, lower = (np.interp(t, *_chain(t, w, longest, side)) for side in (1.0, -1.0))
    widest = int(np.argmax(upper - lower))
    foot = hull[start] + t[widest] * along
    return np.stack([hull[start], hull[end], foot + lower[widest] * normal, foot + upper[widest] * normal])


def _chain(t: Floats, w: Floats, longest: float, side: float) -> tuple[Floats, Floats]:
    """Return one side of a convex polygon as a function w(t), its ends at t = 0 and t = longest."""
    chosen = (side * w > 0.0) & (t > 0.0) & (t < longest)
    order = np.argsort(t[chosen], kind="stable")
    return (
        np.concatenate([[0.0], t[chosen][order], [longest]]),
        np.concatenate([[0.0], w[chosen][order], [0.0]]),
    )
