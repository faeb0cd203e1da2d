"""How much of each label there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..labels import LIVER, TUMOR, Label
from .postprocess import bounding_box


def volumes_ml(labelmap: sitk.Image, labels: Sequence[Label]) -> dict[str, float]:
    """Return the volume of each label by name; "liver" is the whole organ, with the voxels of "tumor"."""
    voxel_ml = float(np.prod(labelmap.GetSpacing())) / 1000
    values = sitk.GetArrayViewFromImage(labelmap)
    values = values[bounding_box(values) or ...]
    volumes = {label.name: float(np.count_nonzero(values == label.value) * voxel_ml) for label in labels}
    if LIVER.name in volumes:
        volumes[LIVER.name] += volumes.setdefault(TUMOR.name, 0.0)
    return volumes
