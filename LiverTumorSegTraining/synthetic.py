"""Synthetic liver tumours, made on the fly in healthy parenchyma.

A network trained on synthetic tumours alone matched one trained on real ones, but only when every sample was new
(Hu et al., CVPR 2023, "Label-free liver tumor segmentation"). The steps here follow that work - shape, texture, edge,
contrast, rim - and add necrotic cores, growth in clusters, and distractors that are *not* tumour: cysts in the liver,
fluid and masses outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from LiverTumorSegLib.labels import LIVER, TUMOR
from scipy import ndimage

HEALTHY_MINIMUM_HU, HEALTHY_MAXIMUM_HU = -20.0, 220.0


@dataclass(frozen=True)
class TumorAppearance:
    """How one synthetic tumour looks; radii and widths in mm, values in HU relative to the liver around it."""

    radius_mm: float
    contrast_hu: float
    edge_mm: float
    irregularity: float
    texture_hu: float
    rim_hu: float
    core_hu: float


def random_appearance(rng: np.random.Generator, largest_mm: float = 40.0) -> TumorAppearance:
    """Draw an appearance: most under 20 mm across, most hypodense, as in LiTS (Bilic et al., MedIA 2023)."""
    radius = float(np.clip(2.5 * math.exp(rng.exponential(0.85)), 2.0, largest_mm))
    hypodense = rng.random() < 0.85
    # Faint lesions must be learnt too, but below about 12 HU there is nothing to see.
    contrast = -float(rng.uniform(14, 75)) if hypodense else float(rng.uniform(15, 60))
    has_rim = rng.random() < 0.35
    has_core = radius > 7 and rng.random() < 0.4
    return TumorAppearance(
        radius_mm=radius,
        contrast_hu=contrast,
        edge_mm=float(rng.uniform(0.4, 2.5)),
        irregularity=float(rng.uniform(0.05, 0.45)),
        texture_hu=float(rng.uniform(2, 14)),
        rim_hu=float(rng.choice([-1, 1], p=[0.35, 0.65]) * rng.uniform(10, 40)) if has_rim else 0.0,
        core_hu=-float(rng.uniform(15, 50)) if has_core else 0.0,
    )


def signed_distance_mm(
    shape: tuple[int, ...], centre: np.ndarray, radius_mm: float, irregularity: float, spacing_mm: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return the signed distance (mm, negative inside) to a deformed, randomly turned ellipsoid, [z, y, x]."""
    axes = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij")
    offsets = np.stack([(axis - c) * s for axis, c, s in zip(axes, centre, spacing_mm, strict=True)], -1)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    elongation = np.exp(rng.uniform(-0.25, 0.25, 3)).astype(np.float32)
    elongation /= elongation.prod() ** (1 / 3)
    scaled = np.linalg.norm(offsets @ rotation / elongation, axis=-1)
    wobble = _smooth_noise(shape, radius_mm * 0.7 / spacing_mm, rng)
    wobble += 0.5 * _smooth_noise(shape, radius_mm * 0.3 / spacing_mm, rng)
    return scaled - radius_mm * (1 + irregularity * np.clip(wobble, -2, 2) * 0.5)


def _smooth_noise(shape: tuple[int, ...], sigma_voxels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise of unit deviation with the given correlation length, made coarse and enlarged."""
    step = np.maximum(np.asarray(sigma_voxels) / 1.2, 1.0)
    coarse = [max(math.ceil(n / s) + 3, 3) for n, s in zip(shape, step, strict=True)]
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse).astype(np.float32), 1.0)
    zoomed = ndimage.zoom(noise, [(n + 1) / c for n, c in zip(shape, coarse, strict=True)], order=1)
    zoomed = zoomed[tuple(slice(0, n) for n in shape)]
    return zoomed / max(float(zoomed.std()), 1e-6)


def add_tumors(
    image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of image and label with one to six new tumours in healthy liver.

    Parameters
    ----------
    image : ndarray
        float32, HU, [z, y, x].
    label : ndarray
        uint8, 1 liver, 2 tumour.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    """
    image, label = image.copy(), label.copy()
    healthy = _healthy(image, label)
    count = int(rng.choice([1, 2, 3, 4, 6], p=[0.35, 0.25, 0.2, 0.1, 0.1]))
    first = random_appearance(rng)
    for index in range(count):
        positions = np.flatnonzero(healthy)
        if positions.size < 30:
            break
        # Lesions of one patient mostly resemble each other.
        look = first if index == 0 else _related(first, rng)
        centre = np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape))
        box = _box(label.shape, centre, (look.radius_mm * 1.9 + 4) / spacing_mm)
        _paint(image[box], label[box], centre - [s.start for s in box], look, spacing_mm, rng)
        healthy &= label == LIVER.value
    return image, label


def _related(first: TumorAppearance, rng: np.random.Generator) -> TumorAppearance:
    other = random_appearance(rng, largest_mm=max(first.radius_mm, 4.0))
    if rng.random() < 0.25:
        return other
    return TumorAppearance(
        other.radius_mm, first.contrast_hu * float(rng.uniform(0.75, 1.2)), other.edge_mm, other.irregularity,
        first.texture_hu, first.rim_hu if other.radius_mm > 4 else 0.0, first.core_hu if other.radius_mm > 7 else 0.0,
    )  # fmt: skip


def _healthy(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return liver voxels a tumour may start from: no tumour near, no large vessel, no fat."""
    liver = label == LIVER.value
    if not liver.any():
        return liver
    smooth = ndimage.gaussian_filter(image, 1.0)
    middle, spread = float(np.median(smooth[liver])), 18.0
    return (
        liver & (np.abs(smooth - middle) < spread + 10) & ~ndimage.binary_dilation(label == TUMOR.value, iterations=2)
    )


def _paint(
    image: np.ndarray, label: np.ndarray, centre: np.ndarray, look: TumorAppearance, spacing_mm: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw one tumour into views of image and label."""
    distance = signed_distance_mm(image.shape, centre, look.radius_mm, look.irregularity, spacing_mm, rng)
    liver = label == LIVER.value
    inside = (distance < 0) & liver
    if inside.sum() < 4:
        return
    around = liver & (distance > 0) & (distance < 6)
    base = float(np.median(image[around])) if around.sum() > 20 else float(np.median(image[liver]))
    smooth = ndimage.gaussian_filter(image, 1.2)
    texture = _smooth_noise(image.shape, 1.5 / spacing_mm, rng) * look.texture_hu
    texture += _smooth_noise(image.shape, 5.0 / spacing_mm, rng) * look.texture_hu * 0.7
    level = base + look.contrast_hu + texture
    if look.core_hu:
        level += look.core_hu / (1 + np.exp((distance + look.radius_mm * 0.5) / (0.15 * look.radius_mm + 0.5)))
    if look.rim_hu:
        width = max(1.2, 0.12 * look.radius_mm)
        level += look.rim_hu * np.exp(-(((distance + width) / width) ** 2))
    # The scan's own noise stays; vessels and their contrast are displaced by the tumour.
    target = level + (image - smooth) * 0.9
    weight = np.where(liver, 1 / (1 + np.exp(np.clip(distance / look.edge_mm * 2, -30, 30))), 0.0)
    image += (weight * (target - image)).astype(image.dtype)
    label[inside] = TUMOR.value


def add_distractors(
    image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return a copy of the image with one to three things that look like tumour and are not; the label stays.

    In the liver simple cysts (sharp, 0 to 15 HU, even) and calcifications; outside it fluid and masses.
    """
    image = image.copy()
    for _ in range(int(rng.integers(1, 4))):
        in_liver = rng.random() < 0.35
        allowed = (label == LIVER.value) if in_liver else (label == 0) & (image > -60) & (image < 200)
        positions = np.flatnonzero(allowed)
        if positions.size < 50:
            continue
        centre = np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape))
        calcified = in_liver and rng.random() < 0.25
        radius = float(rng.uniform(1.5, 4)) if calcified else float(rng.uniform(3, 9 if in_liver else 28))
        box = _box(label.shape, centre, (radius * 1.7 + 3) / spacing_mm)
        view, allowed = image[box], allowed[box]
        distance = signed_distance_mm(view.shape, centre - [s.start for s in box], radius, 0.2, spacing_mm, rng)
        if calcified:
            level: np.ndarray | float = float(rng.uniform(180, 600))
        elif in_liver:
            level = float(rng.uniform(-3, 14))
        else:
            level = float(rng.uniform(0, 110)) + _smooth_noise(view.shape, 3.0 / spacing_mm, rng) * float(
                rng.uniform(1, 10)
            )
        edge = float(rng.uniform(0.3, 0.9))
        weight = np.where(allowed, 1 / (1 + np.exp(np.clip(distance / edge * 2, -30, 30))), 0.0)
        noise = view - ndimage.gaussian_filter(view, 1.2)
        view += (weight * (level + noise * 0.9 - view)).astype(view.dtype)
    return image


def _box(shape: tuple[int, ...], centre: np.ndarray, reach: np.ndarray) -> tuple[slice, ...]:
    return tuple(
        slice(max(int(c - r), 0), min(math.ceil(c + r) + 1, n)) for c, r, n in zip(centre, reach, shape, strict=True)
    )
