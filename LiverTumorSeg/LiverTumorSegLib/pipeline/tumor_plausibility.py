"""What of a result is unlikely in itself: how much of the organ is tumour, and lesions that hardly touch it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..findings import Finding
from ..labels import LIVER, TUMOR
from .postprocess import bounding_box, widened

LARGEST_TUMOR_SHARE = 0.5
LARGE_LESION_ML = 20.0
SMALLEST_CONTACT = 0.25
"""Least share of a large lesion's neighbouring voxels that belong to the organ."""


def doubt_tumor(labels: np.ndarray, spacing_mm: Sequence[float]) -> list[Finding]:
    """Return warnings where the tumour found is unlikely for its size or its place.

    Parameters
    ----------
    labels : ndarray of uint8
        [z, y, x], 1 liver, 2 tumour.
    spacing_mm : sequence of 3 floats
        z, y, x.
    """
    millilitre = float(np.prod(spacing_mm)) / 1000
    liver, tumor = int(np.count_nonzero(labels == LIVER.value)), int(np.count_nonzero(labels == TUMOR.value))
    findings = []
    if tumor > LARGEST_TUMOR_SHARE * (liver + tumor):
        message = (
            f"Tumour is {100 * tumor / (liver + tumor):.0f} % of the organ found ({tumor * millilitre:.0f} of "
            f"{(liver + tumor) * millilitre:.0f} ml): check that it is not a mass, fluid or stomach beside the liver."
        )
        findings.append(Finding("mostly_tumor", "warning", message))
    beside = sorted(_large_beside(labels, millilitre), reverse=True)
    if beside:
        volumes = " and ".join(f"{volume:.0f} ml" for volume in beside)
        subject = f"The lesion of {volumes} hardly touches"
        if len(beside) > 1:
            subject = f"The lesions of {volumes} hardly touch"
        message = f"{subject} the liver: check whether it is another organ or a mass beside the liver."
        findings.append(Finding("lesion_beside", "warning", message))
    return findings


def _large_beside(labels: np.ndarray, millilitre: float) -> list[float]:
    """Return the volumes (ml) of large lesions whose neighbours are mostly no part of the organ."""
    found = bounding_box(labels == TUMOR.value)
    if found is None:
        return []
    # With a margin, for the neighbours.
    labels = labels[widened(found)]
    components, count = ndimage.label(labels == TUMOR.value, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel(), minlength=count + 1) * millilitre
    volumes = []
    for number, place in enumerate(ndimage.find_objects(components), 1):
        if sizes[number] < LARGE_LESION_ML:
            continue
        box = widened(place)
        lesion = components[box] == number
        around = ndimage.binary_dilation(lesion) & ~lesion
        if around.any() and (labels[box][around] > 0).mean() < SMALLEST_CONTACT:
            volumes.append(float(sizes[number]))
    return volumes
