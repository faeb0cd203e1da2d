"""Cases on the canonical grid of the recipe, ready to draw patches from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.preprocess import Grid, Intensity, canonical_grid, resample
from LiverTumorSegTraining.config import Config
from LiverTumorSegTraining.dataset import Case

CENTRES_PER_LESION = 200


@dataclass(frozen=True)
class PreparedCase:
    """A case in memory.

    Attributes
    ----------
    case : Case
        Where it came from.
    image : ndarray of int16
        [z, y, x], HU, on the canonical grid.
    label : ndarray of uint8
        [z, y, x], class values; 255 is ignored.
    lesion_centres : tuple of ndarray
        For each lesion some of its voxels, (n, 3) as z, y, x.
    liver_centres : ndarray
        Some liver voxels, (n, 3).
    """

    case: Case
    image: np.ndarray
    label: np.ndarray
    lesion_centres: tuple[np.ndarray, ...]
    liver_centres: np.ndarray


def intensity_of(config: Config) -> Intensity:
    """Return the intensity steps of a recipe as inference takes them."""
    preparation = config.preparation
    return Intensity(
        window_hu=preparation.window_hu,
        clip_percentiles=preparation.clip_percentiles,
        denoise=preparation.denoise,
        normalisation=preparation.normalisation,
        mean=preparation.mean,
        sd=preparation.sd,
    )


def prepare(case: Case, config: Config) -> PreparedCase:
    """Read one case and sample it on the canonical grid.

    Raises
    ------
    InputError
        If image and label do not lie on the same grid, or a label value has no name.
    """
    image, label = sitk.ReadImage(str(case.image)), sitk.ReadImage(str(case.label))
    grid = Grid.of(image)
    if image.GetSize() != label.GetSize() or not np.allclose(
        grid.point_mm(np.eye(3)), Grid.of(label).point_mm(np.eye(3)), atol=1e-3
    ):
        raise InputError(f"Case {case.name}: image and label do not lie on the same grid; correct the label file.")
    target = canonical_grid(grid, config.preparation.spacing_mm)
    values = sitk.GetArrayFromImage(resample(sitk.Cast(image, sitk.sitkInt16), target))
    classes = sitk.GetArrayFromImage(resample(label, target, nearest=True, outside=IGNORE)).astype(np.uint8)
    unknown = sorted(set(np.unique(classes)) - set(range(len(config.data.labels) + 1)) - {IGNORE})
    if config.task == "localiser":
        classes[classes == 2] = 1
    elif unknown:
        raise InputError(f"Case {case.name}: label values {unknown} have no name in data.labels {config.data.labels}.")
    rng = np.random.default_rng(0)
    components, count = ndimage.label(classes == 2, np.ones((3, 3, 3)))
    lesions = [_some(np.argwhere(components == index), rng) for index in range(1, count + 1)]
    return PreparedCase(
        case,
        values,
        classes,
        tuple(voxels for voxels in lesions if len(voxels) >= 2),
        _some(np.argwhere(classes == 1), rng, 20_000),
    )


def _some(voxels: np.ndarray, rng: np.random.Generator, most: int = CENTRES_PER_LESION) -> np.ndarray:
    return voxels if len(voxels) <= most else voxels[rng.choice(len(voxels), most, replace=False)]
