"""What looks like a liver tumour and is none: in the liver here, around it in `surroundings.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from LiverTumorSegLib.labels import LIVER, TUMOR

from LiverTumorSegTraining.samples.class_words import CALCIUM, words_of
from LiverTumorSegTraining.samples.shapes import blend, distance_to_curve_mm, fill_ball
from LiverTumorSegTraining.samples.surroundings import (
    ascites,
    effusion,
    gallbladder,
    kidney,
    mass,
    mass_beside,
    stomach,
)
from LiverTumorSegTraining.samples.synthetic import ENHANCED_LIVER_HU

Draw = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], None]


def add_distractors(
    image: np.ndarray,
    label: np.ndarray,
    spacing_mm: np.ndarray,
    rng: np.random.Generator,
    classes: Sequence[str] = (LIVER.name, TUMOR.name),
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of image and label with one to three distractors; fewer where `classes` forbid some.

    In the liver, and labelled as it: simple cysts, calcifications, veins before the contrast reaches them, uneven
    perfusion. Labelled background: masses, stomach, kidney and fluid outside, gallbladders that take their place from
    the liver's surface.

    Parameters
    ----------
    image : ndarray
        float32, HU, [z, y, x].
    label : ndarray
        uint8, 1 liver, 2 tumour; the voxels of all other classes and unknown ones stay as they are.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    classes : sequence of str
        Names of the values 1, 2, ... What looks like one of them is not drawn, as its label would be wrong.
    """
    image, label = image.copy(), label.copy()
    draws, contrary = list(SHARES), contradicting(classes)
    # What is left out is not made up for: the others stay as rare as they are.
    for index in rng.choice(len(draws), int(rng.integers(1, 4)), p=list(SHARES.values())):
        if draws[index] not in contrary:
            draws[index](image, label, spacing_mm, rng)
    return image, label


def contradicting(classes: Sequence[str]) -> set[Draw]:
    """Return the distractors that look like one of the classes, by any word for it, and are labelled otherwise."""
    named = words_of(classes)
    return {draw for draw, looks in LOOKS_LIKE.items() if named & words_of(looks)}


def _cyst(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    liver = label == LIVER.value
    fill_ball(image, liver, liver, float(rng.uniform(3, 9)), float(rng.uniform(-3, 14)), 0.0, spacing_mm, rng)


def _calcification(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    liver = label == LIVER.value
    fill_ball(image, liver, liver, float(rng.uniform(1.5, 4)), float(rng.uniform(180, 600)), 0.0, spacing_mm, rng)


def _veins(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw one to three tubes of 4 to 12 mm that meet: brighter than the liver, or darker while they lack contrast."""
    liver = label == LIVER.value
    positions = np.flatnonzero(liver)
    if positions.size < 500:
        return
    base = float(np.median(image[liver]))
    # The portal vein's inflow enhances the liver before its own veins.
    darker = rng.random() < (0.6 if base < ENHANCED_LIVER_HU else 0.35)
    contrast = -float(rng.uniform(8, 25)) if darker else float(rng.uniform(15, 70))
    start = np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape))
    distance = np.full(image.shape, np.inf)
    for _ in range(int(rng.integers(1, 4))):
        end = np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape))
        bend = (start + end) / 2 + rng.normal(0, 0.2, 3) * np.linalg.norm(end - start)
        tube = distance_to_curve_mm(image.shape, np.stack([start, bend, end]), spacing_mm) - float(rng.uniform(2, 6))
        distance = np.minimum(distance, tube)
    blend(image, liver, distance, base + contrast, 0.8)


def _perfusion(image: np.ndarray, label: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a faint region without an edge, a little darker or brighter than the liver around it."""
    liver = label == LIVER.value
    contrast = float(rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(5, 16))
    level = float(np.median(image[liver])) + contrast if liver.any() else 0.0
    edge_mm = float(rng.uniform(4, 8))
    fill_ball(image, liver, liver, float(rng.uniform(6, 22)), level, 0.0, spacing_mm, rng, edge_mm=edge_mm)


SHARES: dict[Draw, float] = {
    mass: 0.1,
    mass_beside: 0.14,
    gallbladder: 0.2,
    stomach: 0.07,
    kidney: 0.06,
    effusion: 0.05,
    ascites: 0.05,
    _cyst: 0.1,
    _calcification: 0.05,
    _veins: 0.12,
    _perfusion: 0.06,
}
"""What is drawn, and how often."""
LOOKS_LIKE: dict[Draw, tuple[str, ...]] = {
    mass: ("mass", "node", "metastasis", "metastases"),
    mass_beside: ("mass", "cyst", "pseudocyst", "abscess", "fluid"),
    gallbladder: ("gallbladder", "gall"),
    stomach: ("stomach", "duodenum", "bowel", "intestine", "colon"),
    kidney: ("kidney", "renal"),
    effusion: ("effusion", "fluid"),
    ascites: ("ascites", "fluid"),
    _cyst: ("cyst",),
    _calcification: CALCIUM,
    # Dark tubes are also what dilated bile ducts are.
    _veins: ("vein", "vessel", "artery", "arteries", "vasculature", "duct", "biliary"),
    _perfusion: ("perfusion", "steatosis"),
}
"""A class with one of these words in its name is contradicted by what is drawn."""
