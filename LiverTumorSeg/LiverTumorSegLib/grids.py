"""Image grids: right angles, distance between grids, axes of the patient."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

MAX_SHEAR = 1e-3
"""Largest cosine between two axes (or error of their length) that is put right silently; more is a real shear."""

GRID_TOLERANCE = 1e-3
"""Largest difference of spacing or origin (mm), or of a direction cosine, at which two grids count as one."""
VOXEL_TOLERANCE = 0.01
"""Largest part of a voxel by which a part of a grid may lie beside its voxels."""

Floats = npt.NDArray[np.float64]


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
