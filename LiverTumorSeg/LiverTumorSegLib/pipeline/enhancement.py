"""How strongly the liver is enhanced: the networks know the portal-venous phase best."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..findings import Finding
from ..labels import LIVER

ENHANCED_HU = 80.0
"""Parenchyma in the portal-venous phase is brighter, unless it is fatty."""
FEWEST_VOXELS = 1000


def doubt_enhancement(labels: np.ndarray, start: np.ndarray, image: sitk.Image) -> list[Finding]:
    """Return a warning when the segmented parenchyma is hardly enhanced, else nothing.

    Parameters
    ----------
    labels : ndarray of uint8
        [z, y, x], 1 liver, of a part of the image's grid.
    start : ndarray of int
        Index (x, y, z) of the part's first voxel.
    image : sitk.Image
        CT in Hounsfield units.
    """
    z, y, x = (slice(s, s + n) for s, n in zip(start[::-1], labels.shape, strict=True))
    parenchyma = sitk.GetArrayViewFromImage(image)[z, y, x][labels == LIVER.value]
    if parenchyma.size < FEWEST_VOXELS:
        return []
    middle = float(np.median(parenchyma))
    if middle >= ENHANCED_HU:
        return []
    message = (
        f"The liver measures only {middle:.0f} HU: no contrast, the arterial phase, or a fatty liver. "
        "The network knows the portal-venous phase best; look for missed and false lesions with more care."
    )
    return [Finding("weak_enhancement", "warning", message)]
