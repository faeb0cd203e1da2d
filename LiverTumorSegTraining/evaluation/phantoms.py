"""Made-up pairs of labelmaps for tests and the speed measurement: a liver with lesions and a flawed prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage


@dataclass(frozen=True)
class Pair:
    """A reference and a prediction in the product's labels (1 parenchyma, 2 tumour), [z, y, x]."""

    reference: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def random_pair(seed: int, shape: tuple[int, int, int] = (34, 38, 42)) -> Pair:
    """Return a small pair with ragged lesions: found, missed, false, split and merged ones occur.

    Every eleventh pair has an empty reference, every thirteenth an empty prediction of the tumour.
    """
    generator = np.random.default_rng(seed)
    spacing = tuple(float(value) for value in generator.choice([0.7, 0.8, 1.0, 1.25, 2.5, 3.0], size=3))
    field = ndimage.gaussian_filter(generator.normal(size=shape), generator.uniform(1.2, 2.5))
    field /= field.std()
    noise = ndimage.gaussian_filter(generator.normal(size=shape), 1.0)
    noise /= noise.std()
    organ = ndimage.binary_erosion(np.ones(shape, dtype=bool), iterations=3)
    level = generator.uniform(1.3, 2.2)
    truth = organ & (field > level)
    guess = organ & (field + generator.uniform(0.1, 0.6) * noise > level + generator.uniform(-0.3, 0.3))
    if seed % 11 == 10:
        truth[:] = False
    if seed % 13 == 12:
        guess[:] = False
    reference = organ.astype(np.uint8)
    prediction = ndimage.binary_erosion(organ, iterations=int(generator.integers(0, 2)) or 1).astype(np.uint8)
    reference[truth] = 2
    prediction[guess] = 2
    return Pair(reference, prediction, spacing)  # type: ignore[arg-type]


def ball(
    shape: tuple[int, int, int],
    centre_mm: tuple[float, float, float],
    radius_mm: float | tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
) -> npt.NDArray[np.bool_]:
    """Return an ellipsoid; centre and radii in mm from the centre of voxel 0, axes [z, y, x]."""
    radii = (radius_mm,) * 3 if isinstance(radius_mm, int | float) else radius_mm
    box = tuple(
        slice(max(0, int((c - r) / s)), max(0, min(n, int((c + r) / s) + 2)))
        for c, r, s, n in zip(centre_mm, radii, spacing_mm, shape, strict=True)
    )
    axes = [
        ((np.arange(part.start, part.stop) * s - c) / r) ** 2
        for part, s, c, r in zip(box, spacing_mm, centre_mm, radii, strict=True)
    ]
    mask = np.zeros(shape, dtype=bool)
    mask[box] = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1.0
    return mask


def large_pair(
    shape: tuple[int, int, int] = (600, 512, 512),
    spacing_mm: tuple[float, float, float] = (1.0, 0.75, 0.75),
    lesions: int = 50,
) -> Pair:
    """Return a whole-body-sized pair: a liver of about 1.6 l with lesions of 3 to 25 mm, the prediction off by 1-2 mm.

    Exactly ``lesions`` reference lesions, none touching another; every tenth is missed and a tenth as many are false.
    """
    generator = np.random.default_rng(4)
    size_mm = np.array(shape) * spacing_mm
    centre = size_mm * (0.6, 0.45, 0.4)
    radii = np.minimum((82.0, 72.0, 95.0), 0.38 * size_mm)
    smallest_mm = float(radii.min())
    reference = np.zeros(shape, dtype=np.uint8)
    prediction = np.zeros(shape, dtype=np.uint8)
    reference[ball(shape, tuple(centre), tuple(radii), spacing_mm)] = 1
    prediction[ball(shape, tuple(centre + 1.0), tuple(radii - 1.5), spacing_mm)] = 1
    taken: list[tuple[np.ndarray, float]] = []
    false = lesions // 10
    while len(taken) < lesions + false:
        direction = generator.normal(size=3)
        place = centre + 0.8 * radii * generator.uniform(0.0, 1.0) ** (1 / 3) * direction / np.linalg.norm(direction)
        radius = float(generator.uniform(1.5, 12.5)) * smallest_mm / 72.0
        if any(np.linalg.norm(place - other) < radius + near + 5.0 for other, near in taken):
            continue
        number = len(taken)
        taken.append((place, radius))
        if number < lesions:
            reference[ball(shape, tuple(place), radius, spacing_mm)] = 2
        if number % 10 != 1 or number >= lesions:
            prediction[ball(shape, tuple(place + generator.normal(0.0, 0.6, 3)), radius * 0.95, spacing_mm)] = 2
    return Pair(reference, prediction, spacing_mm)


def degrade(
    labels: npt.NDArray[np.uint8], seed: int, tumor: int = 2, parenchyma: int = 1
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return a made-up prediction from a reference, with known kinds of error, and its made-up probabilities.

    The tumour's outline moves in and out, about a fifth of the lesions is lost, one small false lesion appears in the
    parenchyma, the organ loses a voxel at its surface and the whole prediction shifts by one voxel. For trying out the
    report; says nothing about any network.

    Parameters
    ----------
    labels : ndarray of uint8, [z, y, x]
    seed : int
    tumor, parenchyma : int
        Label values; unknown voxels (255) become background.

    Returns
    -------
    prediction, probability : ndarray of uint8
        Labels, and the tumour's probability in 1/255.
    """
    generator = np.random.default_rng(seed)
    organ = ndimage.binary_erosion(np.isin(labels, (tumor, parenchyma)))
    lesions, count = ndimage.label(labels == tumor, structure=np.ones((3, 3, 3)))
    kept = np.concatenate([[False], generator.random(count) > 0.2])
    belief = ndimage.gaussian_filter(kept[lesions].astype(np.float32), 1.0)
    noise = ndimage.gaussian_filter(generator.normal(size=labels.shape).astype(np.float32), 3.0)
    belief += 0.22 * noise / noise.std() * (ndimage.gaussian_filter(belief, 2.0) > 0.02)
    free = np.argwhere(ndimage.binary_erosion(organ & (lesions == 0), iterations=6))
    if len(free):
        place = free[generator.integers(len(free))]
        z, y, x = np.ogrid[: labels.shape[0], : labels.shape[1], : labels.shape[2]]
        distance = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
        belief += 0.8 * np.exp(-distance / (2.0 * 4.0**2))
    belief = np.roll(np.clip(belief, 0.0, 1.0) * organ, 1, axis=2)
    organ = np.roll(organ, 1, axis=2)
    prediction = np.where(organ, np.where(belief > 0.5, tumor, parenchyma), 0).astype(np.uint8)
    return prediction, np.round(255.0 * belief).astype(np.uint8)
