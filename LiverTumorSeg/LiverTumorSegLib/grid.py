"""Image grids: where a voxel lies, right angles, distance between grids, axes of the patient, canonical grids.

A *canonical* grid has the image's own axes, permuted and flipped so that x runs to the patient's left, y to posterior,
z to superior (LPS), as closely as the axes allow. Oblique images stay oblique, so no voxel is interpolated more than
once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .errors import InputError

MAX_SHEAR = 1e-3
"""Largest cosine between two axes (or error of their length) that is put right silently; more is a real shear."""

GRID_TOLERANCE = 1e-3
"""Largest difference of spacing or origin (mm), or of a direction cosine, at which two grids count as one."""
VOXEL_TOLERANCE = 0.01
"""Largest part of a voxel by which a part of a grid may lie beside its voxels."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A regular grid in physical space (LPS, mm): size and spacing in x, y, z; direction row-major 3x3."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @staticmethod
    def of(image: sitk.Image) -> Grid:
        """Return the grid of a 3D image."""
        return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def point_mm(self, index: np.ndarray) -> np.ndarray:
        """Return the physical points (..., 3) of continuous indices (..., 3) in x, y, z."""
        axes = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_mm)
        return np.asarray(self.origin_mm) + index @ axes.T

    def index(self, point_mm: np.ndarray) -> np.ndarray:
        """Return the continuous indices (..., 3) in x, y, z of physical points (..., 3)."""
        axes = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_mm)
        return (point_mm - np.asarray(self.origin_mm)) @ np.linalg.inv(axes).T

    def crop(self, start: np.ndarray, stop: np.ndarray) -> Grid:
        """Return the part from index `start` up to, not including, `stop` (x, y, z)."""
        origin = self.point_mm(np.asarray(start, float))
        size = np.asarray(stop) - np.asarray(start)
        return Grid(_three(int(n) for n in size), self.spacing_mm, _three(float(v) for v in origin), self.direction)

    def image(self, array: np.ndarray) -> sitk.Image:
        """Return an image of `array` [z, y, x] on this grid."""
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image


def _three(values) -> tuple:  # type: ignore[no-untyped-def]  # a tuple of three of whatever is given
    first, second, third = values
    return first, second, third


def canonical_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the canonical (nearest to LPS) grid that covers the voxels of `grid` at another spacing.

    Parameters
    ----------
    grid : Grid
        Any orientation, also left-handed.
    spacing_mm : tuple of float
        Wanted spacing along the canonical x, y, z.
    """
    direction = np.reshape(grid.direction, (3, 3))
    order, signs = _nearest_axes(direction)
    size, spacing = np.asarray(grid.size)[order], np.asarray(grid.spacing_mm)[order]
    axes = direction[:, order] * signs
    # The canonical grid covers the same box, voxel borders included.
    extent = size * spacing
    target = np.asarray(spacing_mm, float)
    new_size = np.maximum(np.round(extent / target).astype(int), 1)
    centre = grid.point_mm((np.asarray(grid.size) - 1) / 2)
    origin = centre - axes @ ((new_size - 1) / 2 * target)
    return Grid(
        _three(int(n) for n in new_size),
        _three(float(v) for v in target),
        _three(float(v) for v in origin),
        # Denormal numbers upset the matrix inversion of ITK.
        tuple(float(v) for v in np.round(axes, 12).ravel() + 0.0),
    )


def _nearest_axes(direction: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return which image axis lies nearest to each of L, P, S, and its sign."""
    strength = np.abs(direction).copy()
    order = [-1, -1, -1]
    for _ in range(3):
        world, axis = np.unravel_index(np.argmax(strength), (3, 3))
        order[world] = int(axis)
        strength[world, :] = -1
        strength[:, axis] = -1
    signs = np.array([np.sign(direction[world, order[world]]) or 1.0 for world in range(3)])
    return order, signs


def bounding_box(inner: Grid, outer: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the index box (start, stop) of `outer` that covers `inner`, clipped to `outer`; x, y, z order."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in inner.size], indexing="ij")).reshape(3, -1).T
    indices = outer.index(inner.point_mm(corners))
    # Voxel i covers i - 0.5 to i + 0.5.
    start = np.clip(np.floor(indices.min(0) + 0.5 + 1e-6).astype(int), 0, np.asarray(outer.size) - 1)
    stop = np.clip(np.ceil(indices.max(0) + 0.5 - 1e-6).astype(int), start + 1, outer.size)
    return start, stop


def shear_of(direction: npt.ArrayLike) -> float:
    """Return how far direction cosines (9 values or 3 x 3, one column an axis) are from orthonormal; inf for NaN."""
    matrix = np.asarray(direction, dtype=float).reshape(3, 3)
    if not np.isfinite(matrix).all():
        return float("inf")
    return float(np.abs(matrix.T @ matrix - np.eye(3)).max())


def nearest_orthonormal(direction: npt.ArrayLike) -> Floats:
    """Return the orthonormal matrix closest to a 3 x 3 matrix (polar decomposition); left-handed axes stay so."""
    u, _, vh = np.linalg.svd(np.asarray(direction, dtype=float).reshape(3, 3))
    matrix: Floats = u @ vh
    return matrix


def superior_axis(direction: npt.ArrayLike) -> int:
    """Return the image axis (0 = x, 1 = y, 2 = z of the grid) closest to the patient's superior direction.

    Parameters
    ----------
    direction : array_like, 9 values or (3, 3)
        Direction cosines in LPS, one column an axis, as SimpleITK gives them.
    """
    return int(np.argmax(np.abs(np.asarray(direction, dtype=float).reshape(3, 3)[2])))


def affine_of(image: sitk.Image) -> Floats:
    """Return the 4 x 4 matrix from voxel index (x, y, z) to patient position (LPS, mm) of a 3D image."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def corner_distance_mm(one: Floats, other: Floats, size: Sequence[int]) -> float:
    """Return the largest distance between the corners of two grids of the same size, given by their 4 x 4 affines."""
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0.0, n - 1.0) for n in size))])
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max())


def grid_difference(reference: sitk.Image, other: sitk.Image) -> str | None:
    """Return in words what differs between the grids of two 3D images; None when they are one.

    The words follow "has", such as "spacing (1, 1, 5) instead of (1, 1, 3)".
    """
    if reference.GetSize() != other.GetSize():
        ours, theirs = (" x ".join(map(str, image.GetSize())) for image in (reference, other))
        return f"{theirs} voxels instead of {ours}"
    for name, expected, found in (
        ("spacing", reference.GetSpacing(), other.GetSpacing()),
        ("origin", reference.GetOrigin(), other.GetOrigin()),
        ("axes", reference.GetDirection(), other.GetDirection()),
    ):
        if not np.allclose(expected, found, rtol=0.0, atol=GRID_TOLERANCE):
            return f"{name} {_rounded(found)} instead of {_rounded(expected)}"
    return None


def require_same_grid(reference: sitk.Image, other: sitk.Image, what: str) -> None:
    """Refuse an image whose size, spacing, origin or axes differ from the reference's."""
    difference = grid_difference(reference, other)
    if difference:
        raise InputError(f"{what} has {difference} (the other labelmap); both must lie on the grid of the scan.")


def _rounded(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def place_in(whole: sitk.Image, part: sitk.Image) -> tuple[int, int, int] | None:
    """Return the index (x, y, z) in one image's grid of another image's first voxel; it may lie outside.

    None when the voxels of the part are not voxels of the whole: other spacing, other axes, or a start more than a
    hundredth of a voxel beside one.
    """
    if not np.allclose(whole.GetSpacing(), part.GetSpacing(), rtol=0.0, atol=GRID_TOLERANCE) or not np.allclose(
        whole.GetDirection(), part.GetDirection(), rtol=0.0, atol=GRID_TOLERANCE
    ):
        return None
    # Not by ITK's inverse of the grid, which is NaN when a direction holds a subnormal number.
    start = np.linalg.solve(affine_of(whole), [*part.GetOrigin(), 1.0])[:3]
    if np.abs(start - np.round(start)).max() > VOXEL_TOLERANCE:
        return None
    x, y, z = (round(value) for value in start)
    return x, y, z
