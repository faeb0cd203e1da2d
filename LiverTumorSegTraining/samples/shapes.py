"""Random shapes and textures that synthetic tumours and distractors are drawn with."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

THIN_SLICE_VOXELS = 1.5
"""Thinner slices blur nothing that this grid could show."""


def signed_distance_mm(
    shape: tuple[int, ...], centre: np.ndarray, radius_mm: float, irregularity: float, spacing_mm: np.ndarray,
    rng: np.random.Generator, elongation: float = 0.25,
) -> np.ndarray:  # fmt: skip
    """Return the signed distance (mm, negative inside) to a deformed, randomly turned ellipsoid, [z, y, x].

    Parameters
    ----------
    shape : tuple of int
        Of the result.
    centre : ndarray
        Voxel z, y, x.
    radius_mm : float
        Of the ball of the same volume.
    irregularity : float
        How far the surface wobbles, as a part of the radius.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    elongation : float
        Natural logarithm of the largest ratio of an axis to the radius.
    """
    axes = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij")
    offsets = np.stack([(axis - c) * s for axis, c, s in zip(axes, centre, spacing_mm, strict=True)], -1)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    factors = np.exp(rng.uniform(-elongation, elongation, 3)).astype(np.float32)
    factors /= factors.prod() ** (1 / 3)
    scaled = np.linalg.norm(offsets @ rotation / factors, axis=-1)
    wobble = smooth_noise(shape, radius_mm * 0.7 / spacing_mm, rng)
    wobble += 0.5 * smooth_noise(shape, radius_mm * 0.3 / spacing_mm, rng)
    return scaled - radius_mm * (1 + irregularity * np.clip(wobble, -2, 2) * 0.5)


def distance_to_curve_mm(shape: tuple[int, ...], points: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return the distance (mm) of each voxel, [z, y, x], to a quadratic Bézier curve.

    Parameters
    ----------
    shape : tuple of int
        Of the result.
    points : ndarray
        3 x 3: start, control point and end, voxel z, y, x each; parts outside `shape` are left out.
    spacing_mm : ndarray
        z, y, x.
    """
    t = np.linspace(0, 1, 4 * max(shape))[:, None]
    curve = np.round((1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]).astype(int)
    curve = curve[((curve >= 0) & (curve < shape)).all(1)]
    away = np.ones(shape, bool)
    away[tuple(curve.T)] = False
    distance: np.ndarray = ndimage.distance_transform_edt(away, spacing_mm)
    return distance


def smooth_noise(shape: tuple[int, ...], sigma_voxels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise of unit deviation with the given correlation length, made coarse and enlarged."""
    step = np.maximum(np.asarray(sigma_voxels) / 1.2, 1.0)
    coarse = [max(math.ceil(n / s) + 3, 3) for n, s in zip(shape, step, strict=True)]
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse).astype(np.float32), 1.0)
    zoomed = ndimage.zoom(noise, [(n + 1) / c for n, c in zip(shape, coarse, strict=True)], order=1)
    zoomed = zoomed[tuple(slice(0, n) for n in shape)]
    return zoomed / max(float(zoomed.std()), 1e-6)


def blend(
    image: np.ndarray, allowed: np.ndarray, distance_mm: np.ndarray, level: np.ndarray | float, edge_mm: float,
    slice_voxels: float = 1.0,
) -> None:  # fmt: skip
    """Blend a level (HU) into the image where the distance is negative and `allowed`; the scan's own noise stays.

    Parameters
    ----------
    image : ndarray
        [z, y, x]; changed in place.
    allowed : ndarray of bool
        Where it may change.
    distance_mm : ndarray
        Signed, negative inside.
    level : ndarray or float
        HU of what is drawn.
    edge_mm : float
        Width of its edge.
    slice_voxels : float
        Thickness of the scan's slices in voxels: a slice averages what it cuts, so that small things fade and edges
        across the slices blur.
    """
    weight = np.where(allowed, 1 / (1 + np.exp(np.clip(distance_mm / edge_mm * 2, -30, 30))), 0.0)
    noise = image - ndimage.gaussian_filter(image, 1.2)
    change = weight * (level + noise * 0.9 - image)
    if slice_voxels > THIN_SLICE_VOXELS:
        change = np.where(allowed, ndimage.uniform_filter1d(change, round(slice_voxels), axis=0), 0.0)
    image += change.astype(image.dtype)


def surface(organ: np.ndarray, label: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the organ's voxels at its surface, and the soft tissue and fat (label 0) into which a surface can bulge.

    Where the organ ends at the border of the array, at lung or at bone, there is no such surface.
    """
    soft = (label == 0) & (image > -150) & (image < 200)
    return organ & ndimage.binary_dilation(soft, iterations=2), soft


def box_around(shape: tuple[int, ...], centre: np.ndarray, reach: np.ndarray) -> tuple[slice, ...]:
    """Return the slices of the box that reaches so many voxels to each side of a centre, inside `shape`."""
    return tuple(
        slice(max(int(c - r), 0), min(math.ceil(c + r) + 1, n)) for c, r, n in zip(centre, reach, shape, strict=True)
    )


def fill_ball(
    image: np.ndarray, origin: np.ndarray, allowed: np.ndarray, radius_mm: float, level_hu: float,
    texture_hu: float, spacing_mm: np.ndarray, rng: np.random.Generator, elongation: float = 0.25,
    edge_mm: float | None = None, wall_hu: float = 0.0,
    wall_mm: float = 2.0,
) -> np.ndarray:  # fmt: skip
    """Fill an ellipsoid around a voxel of `origin` wherever `allowed`, and return the mask of what was filled.

    Parameters
    ----------
    image : ndarray
        [z, y, x], HU; changed in place.
    origin, allowed : ndarray of bool
        Where its centre may lie, and what it may cover.
    radius_mm, elongation : float
        Of the ellipsoid, as in `signed_distance_mm`.
    level_hu, texture_hu : float
        Its density and how far that varies.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    edge_mm : float, optional
        Width of its edge; that of a sharp border when None.
    wall_hu, wall_mm : float
        What its wall is denser, and how thick that is.
    """
    filled = np.zeros(image.shape, bool)
    positions = np.flatnonzero(origin)
    if positions.size < 50:
        return filled
    centre = np.array(np.unravel_index(positions[rng.integers(positions.size)], image.shape))
    box = box_around(image.shape, centre, (radius_mm * (1.5 + elongation) + 3) / spacing_mm)
    centre = centre - [part.start for part in box]
    distance = signed_distance_mm(image[box].shape, centre, radius_mm, 0.2, spacing_mm, rng, elongation)
    level = level_hu + smooth_noise(image[box].shape, 3.0 / spacing_mm, rng) * texture_hu
    if wall_hu:
        level = level + wall_hu * np.exp(-(((distance + wall_mm / 2) / (wall_mm / 2)) ** 2))
    blend(image[box], allowed[box], distance, level, edge_mm or float(rng.uniform(0.3, 0.9)))
    filled[box] = (distance < 0) & allowed[box]
    return filled
