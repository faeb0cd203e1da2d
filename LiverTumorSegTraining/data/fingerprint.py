"""What a data set is like: spacing, sizes, grey values under the labels, volumes of the classes, sizes of lesions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.grid import Grid, canonical_grid
from LiverTumorSegLib.labels import IGNORE, TUMOR, value_of
from scipy import ndimage

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.reading import as_classes, read_channels, read_label
from LiverTumorSegTraining.data.workers import on_all_cores
from LiverTumorSegTraining.recipe.config import DataConfig

SAMPLED = 20_000
"""Voxels under the labels whose grey values stand for those of a case."""


@dataclass(frozen=True)
class CasePrint:
    """One case.

    Attributes
    ----------
    spacing_mm : tuple of float
        Along the canonical x, y, z.
    size : tuple of int
        Voxels along the canonical x, y, z.
    values : tuple of ndarray of float32
        For each channel, grey values of some voxels under the labels.
    volumes_ml : dict of str to float
        Of each class.
    lesions_ml : tuple of float
        Volumes of the connected components (26-connected) of the tumour class, where there is one.
    """

    spacing_mm: tuple[float, float, float]
    size: tuple[int, int, int]
    values: tuple[np.ndarray, ...]
    volumes_ml: dict[str, float]
    lesions_ml: tuple[float, ...]

    def diameters_mm(self) -> list[float]:
        """Return the diameters of balls of the lesions' volumes."""
        return [float(2 * (3 * 1000 * volume / (4 * np.pi)) ** (1 / 3)) for volume in self.lesions_ml]


def fingerprint(
    cases: Sequence[Case], data: DataConfig, progress: Callable[[int, int], None] | None = None
) -> list[CasePrint]:
    """Return what each case is like, in order; on all cores where they are large.

    Parameters
    ----------
    cases : sequence of Case
        With labels.
    data : DataConfig
        Channels, labels and label map.
    progress : callable
        Told (cases done, of how many).
    """
    prints = []
    for one in on_all_cores(functools.partial(case_print, data=data), cases):
        prints.append(one)
        if progress is not None:
            progress(len(prints), len(cases))
    return prints


def case_print(case: Case, data: DataConfig) -> CasePrint:
    """Return what one case is like."""
    images = read_channels(case, data.channels)
    label = sitk.Cast(read_label(case, data, images[0]), sitk.sitkUInt8)
    classes = as_classes(sitk.GetArrayFromImage(label), data)
    own = Grid.of(images[0])
    # The canonical axes; the spacing asked for does not matter for which they are.
    direction = np.abs(np.reshape(own.direction, (3, 3)))
    order = [int(np.argmax(direction[world])) for world in range(3)]
    x, y, z = (float(own.spacing_mm[axis]) for axis in order)
    grid = canonical_grid(own, (x, y, z))
    voxel_ml = x * y * z / 1000
    counts = np.bincount(classes.ravel(), minlength=256)
    labelled = np.flatnonzero((classes > 0) & (classes != IGNORE))
    chosen = np.random.default_rng(0).choice(labelled, min(SAMPLED, labelled.size), replace=False)
    values = tuple(sitk.GetArrayViewFromImage(image).ravel()[chosen].astype(np.float32) for image in images)
    tumor = value_of(TUMOR.name, data.labels)
    lesions: tuple[float, ...] = ()
    if tumor is not None and counts[tumor]:
        components, count = ndimage.label(classes == tumor, np.ones((3, 3, 3)))
        lesions = tuple(np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_ml)
    volumes = {name: float(counts[value]) * voxel_ml for value, name in enumerate(data.labels, 1)}
    return CasePrint((x, y, z), grid.size, values, volumes, lesions)


def table(prints: Sequence[CasePrint], data: DataConfig) -> list[tuple[str, str]]:
    """Return the figures as rows of two texts: what, and its least, median and greatest value."""
    rows = [("cases", str(len(prints)))]
    for axis, name in enumerate("xyz"):
        rows.append((f"spacing {name} (mm)", _range([one.spacing_mm[axis] for one in prints], 2)))
        rows.append((f"size {name} (voxels)", _range([one.size[axis] for one in prints], 0)))
    for channel, name in enumerate(data.channels):
        pooled = np.concatenate([one.values[channel] for one in prints])
        if pooled.size:
            low, middle, high = np.percentile(pooled, (0.5, 50, 99.5))
            spread = f"mean {pooled.mean():.1f}, sd {pooled.std():.1f}"
            told = f"{low:.0f}, {middle:.0f}, {high:.0f} (0.5, 50, 99.5 %); {spread}"
            rows.append((f"{name} under the labels", told))
    for name in data.labels:
        present = [one.volumes_ml[name] for one in prints if one.volumes_ml[name]]
        rows.append((f"{name} (ml)", f"{_range(present, 1)} in {len(present)} cases" if present else "in no case"))
    diameters = [diameter for one in prints for diameter in one.diameters_mm()]
    if diameters:
        small = sum(diameter < 10 for diameter in diameters)
        rows.append(("lesions", f"{len(diameters)}, {small} of them below 10 mm"))
        rows.append(("lesion diameter (mm)", _range(diameters, 1)))
    return rows


def _range(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return f"{low} to {high}, median {middle}"
