"""Image grids: right angles, distance between grids, axes of the patient."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

MAX_SHEAR = 1e-3
"""Largest cosine between two axes (or error of their length) that is put right silently; more is a real shear."""

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
