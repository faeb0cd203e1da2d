"""What looks like a liver tumour and is none: cysts, calcium, veins, perfusion, gallbladders, masses elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from LiverTumorSegLib.labels import LIVER
from scipy import ndimage

from LiverTumorSegTraining.samples.shapes import (
    blend,
    box_around,
    distance_to_curve_mm,
    signed_distance_mm,
    smooth_noise,
    surface,
)
from LiverTumorSegTraining.samples.synthetic import ENHANCED_LIVER_HU

BACKGROUND = 0
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], None]


def add_distractors(
    image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of image and label with one to three distractors.

    In the liver, and labelled as it: simple cysts, calcifications, veins before the contrast reaches them, uneven
    perfusion. Labelled background: fluid and masses outside, gallbladders that take their place from the liver's
    surface.

    Parameters
    ----------
    image : ndarray
        float32, HU, [z, y, x].
    label : ndarray
        uint8, 1 liver, 2 tumour; tumour and unknown voxels stay as they are.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    """
    image, label = image.copy(), label.copy()
    draws: list[Draw] = [_mass_outside, _cyst, _calcification, _vein, _perfusion, _gallbladder]
    for index in rng.choice(len(draws), int(rng.integers(1, 4)), p=[0.3, 0.13, 0.08, 0.19, 0.1, 0.2]):
        draws[index](image, label, spacing_mm, rng)
    return image, label


def _mass_outside(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    # Beside the liver such a mass could as well be a tumour that grows out of it.
    near = ndimage.binary_dilation((label != BACKGROUND), iterations=3)
    allowed = (label == BACKGROUND) & ~near & (image > -60) & (image < 200)
    level, texture = float(rng.uniform(0, 110)), float(rng.uniform(1, 10))
    _fill_ball(image, allowed, allowed, float(rng.uniform(3, 28)), level, texture, spacing_mm, rng)


def _cyst(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    liver = label == LIVER.value
    _fill_ball(image, liver, liver, float(rng.uniform(3, 9)), float(rng.uniform(-3, 14)), 0.0, spacing_mm, rng)


def _calcification(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    liver = label == LIVER.value
    _fill_ball(image, liver, liver, float(rng.uniform(1.5, 4)), float(rng.uniform(180, 600)), 0.0, spacing_mm, rng)


def _vein(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a tube of 4 to 12 mm through the liver: brighter, or darker while the veins lack contrast."""
    liver = label == LIVER.value
    positions = np.flatnonzero(liver)
    if positions.size < 500:
        return
    start, end = (np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape)) for _ in range(2))
    bend = (start + end) / 2 + rng.normal(0, 0.2, 3) * np.linalg.norm(end - start)
    distance = distance_to_curve_mm(image.shape, np.stack([start, bend, end]), spacing_mm) - float(rng.uniform(2, 6))
    base = float(np.median(image[liver]))
    # The portal vein's inflow enhances the liver before its own veins.
    darker = rng.random() < (0.6 if base < ENHANCED_LIVER_HU else 0.35)
    contrast = -float(rng.uniform(8, 25)) if darker else float(rng.uniform(15, 70))
    blend(image, liver, distance, base + contrast, 0.8)


def _perfusion(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a faint region without an edge, a little darker or brighter than the liver around it."""
    liver = label == LIVER.value
    contrast = float(rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(5, 16))
    level = float(np.median(image[liver])) + contrast if liver.any() else 0.0
    edge_mm = float(rng.uniform(4, 8))
    _fill_ball(image, liver, liver, float(rng.uniform(6, 22)), level, 0.0, spacing_mm, rng, edge_mm=edge_mm)


def _gallbladder(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw an elongated sac of bile at the liver's surface; the liver ends where it lies."""
    liver = label == LIVER.value
    origin, soft = surface(liver, label, image)
    # Denser contents would look like a metastasis under the capsule.
    level = float(rng.uniform(-5, 25))
    filled = _fill_ball(
        image, origin, liver | soft, float(rng.uniform(8, 20)), level, 1.0, spacing_mm, rng, elongation=0.55
    )
    label[filled & liver] = BACKGROUND


def _fill_ball(
    image: np.ndarray, origin: np.ndarray, allowed: np.ndarray, radius_mm: float, level_hu: float,
    texture_hu: float, spacing_mm: np.ndarray, rng: np.random.Generator, elongation: float = 0.25,
    edge_mm: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Fill an ellipsoid around a voxel of `origin` wherever `allowed`, and return the mask of what was filled."""
    filled = np.zeros(image.shape, bool)
    positions = np.flatnonzero(origin)
    if positions.size < 50:
        return filled
    centre = np.array(np.unravel_index(positions[rng.integers(positions.size)], image.shape))
    box = box_around(image.shape, centre, (radius_mm * (1.5 + elongation) + 3) / spacing_mm)
    centre = centre - [part.start for part in box]
    distance = signed_distance_mm(image[box].shape, centre, radius_mm, 0.2, spacing_mm, rng, elongation)
    level = level_hu + smooth_noise(image[box].shape, 3.0 / spacing_mm, rng) * texture_hu
    blend(image[box], allowed[box], distance, level, edge_mm or float(rng.uniform(0.3, 0.9)))
    filled[box] = (distance < 0) & allowed[box]
    return filled
