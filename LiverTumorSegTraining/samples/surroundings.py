"""What lies around a liver and is taken for a part of it: masses, gallbladder, stomach, kidney, effusion, ascites.

Each function draws one into a patch, labelled background; arguments are those of `add_distractors`, changed in place.
"""

from __future__ import annotations

import numpy as np
from LiverTumorSegLib.labels import LIVER
from scipy import ndimage

from LiverTumorSegTraining.samples.shapes import fill_ball, smooth_noise, surface

BACKGROUND = 0
SOFT_HU = (-150.0, 200.0)
FAT_HU = (-140.0, -30.0)
WITHIN_HU = -20.0
"""Organs and masses are centred in other soft tissue, not in the fat under the skin."""
LUNG_HU = -250.0
TOUCHING_MM = 6.0
WATER_HU = (-5.0, 28.0)


def mass(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a solid mass in soft tissue, at some distance: touching the liver it could be a tumour grown out of it."""
    near = ndimage.binary_dilation((label != BACKGROUND), iterations=3)
    allowed = (label == BACKGROUND) & ~near & (image > -60) & (image < 200)
    level, texture = float(rng.uniform(0, 110)), float(rng.uniform(1, 10))
    fill_ball(image, allowed, allowed, float(rng.uniform(3, 28)), level, texture, spacing_mm, rng)


def mass_beside(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a large fluid mass, 3 to 12 cm across, that may touch the liver: liver tumours hold more than water."""
    radius = float(rng.uniform(15, 60))
    allowed = (label == BACKGROUND) & (image > SOFT_HU[0]) & (image < SOFT_HU[1])
    depth = ndimage.distance_transform_edt(label == BACKGROUND, spacing_mm)
    origin = allowed & (image > WITHIN_HU) & (depth > 0.6 * radius) & (depth < 1.3 * radius)
    wall = float(rng.uniform(10, 50)) if rng.random() < 0.4 else 0.0
    fill_ball(
        image,
        origin,
        allowed,
        radius,
        float(rng.uniform(*WATER_HU)),
        2.0,
        spacing_mm,
        rng,
        elongation=0.3,
        wall_hu=wall,
    )


def gallbladder(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw an elongated sac of bile at the liver's surface; the liver ends where it lies."""
    liver = label == LIVER.value
    origin, soft = surface(liver, label, image)
    # Denser contents would look like a metastasis under the capsule.
    level = float(rng.uniform(-5, 25))
    wall = float(rng.uniform(15, 50)) if rng.random() < 0.4 else 0.0
    filled = fill_ball(
        image,
        origin,
        liver | soft,
        float(rng.uniform(8, 22)),
        level,
        1.0,
        spacing_mm,
        rng,
        elongation=0.55,
        wall_hu=wall,
    )
    label[filled & liver] = BACKGROUND


def stomach(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a bag of food or drink with a wall beside the liver, sometimes with gas or oral contrast in it."""
    allowed = (label == BACKGROUND) & (image > SOFT_HU[0]) & (image < SOFT_HU[1])
    level, texture = float(rng.uniform(0, 80)), float(rng.uniform(5, 40))
    wall = float(rng.uniform(10, 60))
    radius = float(rng.uniform(15, 40))
    origin = allowed & (image > WITHIN_HU)
    filled = fill_ball(
        image, origin, allowed, radius, level, texture, spacing_mm, rng, elongation=0.5, edge_mm=1.0, wall_hu=wall
    )
    if filled.any() and rng.random() < 0.5:
        # Gas rises to the front (low y), oral contrast sinks to the back.
        inner = ndimage.binary_erosion(filled, iterations=2)
        rows = np.flatnonzero(inner.any((0, 2)))
        if rows.size > 4:
            cut = int(rows[int(rng.uniform(0.2, 0.5) * (rows.size - 1))])
            gas = rng.random() < 0.6
            inner[:, cut:] &= not gas
            inner[:, :cut] &= gas
            image[inner] = float(rng.uniform(-950, -700) if gas else rng.uniform(120, 350))


def kidney(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a kidney that touches the liver: without contrast as dense as it, in the arterial phase a bright cortex."""
    radius = float(rng.uniform(18, 30))
    allowed = (label == BACKGROUND) & (image > SOFT_HU[0]) & (image < SOFT_HU[1])
    depth = ndimage.distance_transform_edt(label == BACKGROUND, spacing_mm)
    origin = allowed & (image > WITHIN_HU) & (depth > 0.6 * radius) & (depth < 1.1 * radius)
    cortex = float(rng.uniform(30, 110)) if rng.random() < 0.6 else 0.0
    level = float(rng.uniform(25, 45) if not cortex else rng.uniform(50, 150))
    fill_ball(
        image, origin, allowed, radius, level, 5.0, spacing_mm, rng, elongation=0.35, wall_hu=cortex, wall_mm=9.0
    )


def effusion(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Fill the lung over the liver's dome with fluid, up to a few centimetres."""
    _fluid_around(image, label, spacing_mm, rng, image < LUNG_HU, float(rng.uniform(5, 35)))


def ascites(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Turn the fat around the liver into fluid."""
    _fluid_around(image, label, spacing_mm, rng, (image > FAT_HU[0]) & (image < FAT_HU[1]), float(rng.uniform(3, 25)))


def _fluid_around(
    image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator, where: np.ndarray,
    reach_mm: float,
) -> None:  # fmt: skip
    organ = (label != BACKGROUND) & (label != 255)
    if not organ.any():
        return
    depth = ndimage.distance_transform_edt(~organ, spacing_mm)
    depth += smooth_noise(image.shape, 12.0 / spacing_mm, rng) * 0.25 * reach_mm
    # Slits between fluid and organ are fluid too: their voxels are mixtures of what was there.
    fluid = ndimage.binary_closing((where & (depth < reach_mm)) | organ, iterations=3) & (label == BACKGROUND)
    fluid &= depth < reach_mm
    # Fluid lies on the organ; what is as near, but behind ribs and muscles, is not reached.
    pieces, count = ndimage.label(fluid)
    touching = np.bincount(pieces[fluid & (depth < TOUCHING_MM)], minlength=count + 1) > 0
    fluid &= touching[pieces]
    noise = image - ndimage.gaussian_filter(image, 1.2)
    noise = np.where(where, 0.0, noise) + rng.normal(0, 8, image.shape) * where
    level = float(rng.uniform(*WATER_HU))
    soft = ndimage.gaussian_filter(fluid.astype(np.float32), 0.6) * (label == BACKGROUND)
    image += (soft * (level + 0.9 * noise - image)).astype(image.dtype)
