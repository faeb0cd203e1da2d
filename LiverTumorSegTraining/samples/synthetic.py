"""Synthetic liver tumours, made on the fly in healthy parenchyma.

A network trained on synthetic tumours alone matched one trained on real ones, but only when every sample was new
(Hu et al., CVPR 2023, "Label-free liver tumor segmentation"). The steps here follow that work - place away from
vessels, shape, texture, edge, mass effect, rim - and add necrotic cores, calcium, growth in clusters, and a contrast
that depends on how strongly the liver is enhanced; some bulge from the surface. What looks like a tumour and is none:
`distractors.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from LiverTumorSegLib.labels import LIVER, TUMOR, value_of
from scipy import ndimage

from LiverTumorSegTraining.samples.class_words import CALCIUM, NECROSIS, value_like
from LiverTumorSegTraining.samples.shapes import blend, box_around, signed_distance_mm, smooth_noise, surface

ENHANCED_LIVER_HU = 88.0
"""Parenchyma above this is in the portal or delayed phase; below it, arterial, without contrast, or fatty."""
KINDS = {"dark": 0.46, "faint": 0.11, "bright": 0.15, "ring": 0.1, "capsule": 0.08, "target": 0.1}
KINDS_WEAKLY_ENHANCED = {"dark": 0.31, "faint": 0.09, "bright": 0.42, "ring": 0.08, "capsule": 0.02, "target": 0.08}
"""Share of each kind of tumour: by its density against the liver, and what its rim and core do."""
VESSEL_CONTRAST_HU = 28.0
VESSEL_SPARING_RADIUS_MM = 8.0
"""Smaller tumours grow beside a vessel; larger ones displace it."""
AT_SURFACE, SMALLEST_AT_SURFACE_MM = 0.45, 3.0
"""Part of the tumours from this radius on that lie at the surface and may bulge into the fat beyond it."""
FAT_HU = (-150.0, -20.0)
BULGE_VOXELS = 4
MANY_SMALL, LARGEST_SMALL_MM = 0.2, 6.5
"""Part of the livers that receive many tumours up to this radius."""
MANY_LARGE, LARGE_MM = 0.25, (7.0, 16.0)
"""Part of the livers that receive many tumours, the first of such a radius: what lies between them is liver."""
SEVERAL = (5, 14)
"""So many are many: from the first to one below the second."""
CALCIFIED, SMALLEST_CALCIFIED_MM = 0.08, 6.0
"""Part of the tumours from this radius on that hold calcium, as mucinous metastases and treated ones do."""
CALCIUM_HU = (130.0, 500.0)


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
    mass_effect: float
    calcium_hu: float = 0.0


@dataclass(frozen=True)
class PartValues:
    """Voxel values of the parts of a tumour: a class that the recipe trains for it, else that of the tumour around."""

    tumor: int
    necrosis: int
    calcium: int

    @classmethod
    def of(cls, classes: Sequence[str]) -> PartValues:
        """Return the values in a recipe whose classes 1, 2, ... have these names; its organ where it has no tumour."""
        tumor = value_of(TUMOR.name, list(classes)) or LIVER.value
        return cls(tumor, value_like(NECROSIS, classes) or tumor, value_like(CALCIUM, classes) or tumor)


def random_appearance(rng: np.random.Generator, liver_hu: float = 110.0, largest_mm: float = 40.0) -> TumorAppearance:
    """Draw an appearance: most under 20 mm across, most hypodense, as in LiTS (Bilic et al., MedIA 2023).

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    liver_hu : float
        Median of the parenchyma, which tells the phase: an enhanced liver leaves room for dark metastases, in the
        arterial phase more lesions are bright, without contrast all are faint.
    largest_mm : float
        Largest radius.
    """
    radius = float(np.clip(3.2 * math.exp(rng.exponential(0.85)), 2.0, largest_mm))
    enhanced = liver_hu > ENHANCED_LIVER_HU
    kinds = KINDS if enhanced else KINDS_WEAKLY_ENHANCED
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    contrast, rim, core = _contrast_of(kind, liver_hu, enhanced, rng)
    has_core = radius > 7 and rng.random() < (0.9 if kind == "target" else 0.4)
    return TumorAppearance(
        radius_mm=radius,
        contrast_hu=contrast,
        edge_mm=float(rng.uniform(0.4, 2.5)),
        irregularity=float(rng.uniform(0.05, 0.45)),
        texture_hu=float(rng.uniform(2, 14)),
        rim_hu=rim,
        core_hu=core if has_core else 0.0,
        mass_effect=float(rng.uniform(0, 0.6)) if radius > 5 else 0.0,
        calcium_hu=float(rng.uniform(*CALCIUM_HU))
        if radius > SMALLEST_CALCIFIED_MM and rng.random() < CALCIFIED
        else 0.0,
    )


def _contrast_of(kind: str, liver_hu: float, enhanced: bool, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the HU of body, rim and core of a kind of tumour, relative to the liver and to the body."""
    rim, core = 0.0, -float(rng.uniform(15, 50))
    if kind == "dark":
        # Metastases in an enhanced liver are as dense as muscle.
        contrast = -float(rng.uniform(25 if enhanced else 12, np.clip(liver_hu - 22, 28, 85)))
        if rng.random() < 0.3:
            rim = float(rng.choice([-1, 1], p=[0.35, 0.65]) * rng.uniform(12, 40))
    elif kind == "faint":
        # Below about 8 HU there is nothing to see.
        contrast = -float(rng.uniform(10, 24) if enhanced else rng.uniform(8, 16))
    elif kind == "bright":
        contrast = float(rng.uniform(12, 60) if enhanced else rng.uniform(15, 75))
        if rng.random() < 0.3:
            rim = float(rng.uniform(8, 30))
    elif kind == "ring":
        contrast, rim = -float(rng.uniform(0, 15)), float(rng.uniform(14, 45))
    elif kind == "capsule":
        contrast, rim = -float(rng.uniform(8, 28)), float(rng.uniform(12, 35))
    else:
        contrast, rim = -float(rng.uniform(8, 25)), -float(rng.uniform(8, 25))
        core = float(rng.choice([-1, 1], p=[0.7, 0.3]) * rng.uniform(12, 40))
    return contrast, rim, core


def add_tumors(
    image: np.ndarray,
    label: np.ndarray,
    spacing_mm: np.ndarray,
    rng: np.random.Generator,
    slice_mm: float = 1.0,
    looks: Sequence[TumorAppearance] | None = None,
    classes: Sequence[str] = (LIVER.name, TUMOR.name),
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of image and label with new tumours in healthy liver: one to six, or a dozen small ones.

    Parameters
    ----------
    image : ndarray
        float32, HU, [z, y, x].
    label : ndarray
        uint8, values as `classes` number them; 1 is the liver.
    spacing_mm : ndarray
        z, y, x.
    rng : Generator
        Source of randomness.
    slice_mm : float
        Thickness of the scan's own slices, along z.
    looks : sequence of TumorAppearance, optional
        How the tumours look, one each; drawn for the phase of the liver when None.
    classes : sequence of str
        Names of the values 1, 2, ... Necrosis and calcium are labelled as a class of that name where there is one.
    """
    image, label = image.copy(), label.copy()
    values = PartValues.of(classes)
    liver = label == LIVER.value
    if not liver.any():
        return image, label
    smooth = ndimage.gaussian_filter(image, 1.0)
    liver_hu = float(np.median(smooth[liver]))
    # A tumour starts where no tumour is near, no large vessel, no fat.
    start = liver & (np.abs(smooth - liver_hu) < VESSEL_CONTRAST_HU)
    tumors = np.isin(label, [values.tumor, values.necrosis, values.calcium]) & ~liver
    start &= ~ndimage.binary_dilation(tumors, iterations=2)
    vessels = liver & (smooth > liver_hu + VESSEL_CONTRAST_HU)
    at_surface, _ = surface(start, label, image)
    # A tumour displaces the fat beside it, not the wall of the body or an organ.
    fat = (label == 0) & (image > FAT_HU[0]) & (image < FAT_HU[1])
    bulge = fat & ndimage.binary_dilation(liver, iterations=BULGE_VOXELS)
    healthy = liver.copy()
    for look in _patients_tumors(liver_hu, rng) if looks is None else looks:
        positions = np.flatnonzero(start)
        if positions.size < 30:
            break
        ground = healthy.copy()
        if look.radius_mm < VESSEL_SPARING_RADIUS_MM:
            ground &= ~vessels
        if look.radius_mm > SMALLEST_AT_SURFACE_MM and rng.random() < AT_SURFACE:
            free = np.flatnonzero(at_surface & start)
            if free.size:
                positions, ground = free, ground | (bulge & (label == 0))
        centre = np.array(np.unravel_index(positions[rng.integers(positions.size)], label.shape))
        box = box_around(label.shape, centre, (look.radius_mm * 1.9 + 4) / spacing_mm)
        views = image[box], label[box], healthy[box], ground[box]
        _grow(*views, centre - [s.start for s in box], look, values, spacing_mm, rng, slice_mm)
        start &= healthy
    return image, label


def _patients_tumors(liver_hu: float, rng: np.random.Generator) -> Iterator[TumorAppearance]:
    kind = rng.random()
    small = kind < MANY_SMALL
    large = not small and kind < MANY_SMALL + MANY_LARGE
    several = small or large
    count = int(rng.integers(*SEVERAL) if several else rng.choice([1, 2, 3, 4, 6], p=[0.35, 0.25, 0.2, 0.1, 0.1]))
    first = random_appearance(rng, liver_hu, largest_mm=LARGEST_SMALL_MM if small else 40.0)
    if large:
        first = replace(first, radius_mm=float(rng.uniform(*LARGE_MM)))
    yield first
    for _ in range(count - 1):
        # Lesions of one patient mostly resemble each other.
        yield _related(first, liver_hu, rng)


def _related(first: TumorAppearance, liver_hu: float, rng: np.random.Generator) -> TumorAppearance:
    other = random_appearance(rng, liver_hu, largest_mm=max(first.radius_mm, 4.0))
    if rng.random() < 0.25:
        return other
    return replace(
        other,
        contrast_hu=first.contrast_hu * float(rng.uniform(0.75, 1.2)),
        texture_hu=first.texture_hu,
        rim_hu=first.rim_hu if other.radius_mm > 4 else 0.0,
        core_hu=first.core_hu if other.radius_mm > 7 else 0.0,
        calcium_hu=first.calcium_hu if other.radius_mm > SMALLEST_CALCIFIED_MM else 0.0,
    )


def _grow(
    image: np.ndarray, label: np.ndarray, healthy: np.ndarray, ground: np.ndarray, centre: np.ndarray,
    look: TumorAppearance, values: PartValues, spacing_mm: np.ndarray, rng: np.random.Generator, slice_mm: float,
) -> None:  # fmt: skip
    """Draw one tumour into views of image, label and healthy liver, wherever `ground` lets it grow."""
    distance = signed_distance_mm(image.shape, centre, look.radius_mm, look.irregularity, spacing_mm, rng)
    liver = healthy & ground
    inside = (distance < 0) & ground
    if (inside & liver).sum() < 4:
        return
    around = liver & (distance > 0) & (distance < 6)
    base = float(np.median(image[around])) if around.sum() > 20 else float(np.median(image[liver]))
    if look.mass_effect:
        image[liver] = _pushed_outward(image, centre, look, spacing_mm)[liver]
    texture = smooth_noise(image.shape, 1.5 / spacing_mm, rng) * look.texture_hu
    texture += smooth_noise(image.shape, 5.0 / spacing_mm, rng) * look.texture_hu * 0.7
    level = base + look.contrast_hu + texture
    necrosis = calcium = np.zeros(image.shape, bool)
    if look.core_hu:
        necrosis = (distance < -0.5 * look.radius_mm) & (look.core_hu < 0)
        level += look.core_hu / (1 + np.exp((distance + look.radius_mm * 0.5) / (0.15 * look.radius_mm + 0.5)))
    if look.rim_hu:
        width = max(1.2, 0.12 * look.radius_mm)
        level += look.rim_hu * np.exp(-(((distance + width) / width) ** 2))
    if look.calcium_hu:
        clumps = smooth_noise(image.shape, 0.25 * look.radius_mm / spacing_mm, rng) - float(rng.uniform(1.2, 2.0))
        calcium = clumps > 0
        level += look.calcium_hu / (1 + np.exp(np.clip(-6 * clumps, -30, 30)))
    blend(image, ground, distance, level, look.edge_mm, slice_mm / float(spacing_mm[0]))
    # The parts end where half of what makes them is reached.
    label[inside] = values.tumor
    label[inside & necrosis] = values.necrosis
    label[inside & calcium] = values.calcium
    healthy[inside] = False


def _pushed_outward(
    image: np.ndarray, centre: np.ndarray, look: TumorAppearance, spacing_mm: np.ndarray
) -> np.ndarray:
    """Return the image with the tissue around a growing tumour displaced, up to twice its radius away."""
    axes = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in image.shape], indexing="ij")
    offsets = np.stack([axis - c for axis, c in zip(axes, centre, strict=True)])
    away_mm = np.sqrt(((offsets * spacing_mm.reshape(3, 1, 1, 1)) ** 2).sum(0))
    closeness = np.clip(1 - away_mm / (2 * look.radius_mm), 0, 1)
    origin = offsets * (1 - look.mass_effect * closeness**2) + np.reshape(centre, (3, 1, 1, 1))
    displaced: np.ndarray = ndimage.map_coordinates(image, origin, order=1, mode="nearest")
    return displaced
