"""Cases on the grid of the recipe, ready to draw samples from; made once, kept on disk, mapped into memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid, grid_difference, superior_axis
from LiverTumorSegLib.labels import IGNORE, LIVER, NO_LABEL, TUMOR
from LiverTumorSegLib.model.normalisation import Intensity, normalise
from LiverTumorSegLib.pipeline.preprocess import network_grid, resample
from scipy import ndimage

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.organ import organ_classes, organs_tumor, trained_classes
from LiverTumorSegTraining.data.preparation_cache import Arrays, PreparationCache, content_hash
from LiverTumorSegTraining.data.reading import read_channels, read_label, strange_values
from LiverTumorSegTraining.data.studies.structure_names import structure_map
from LiverTumorSegTraining.recipe.config import Config

CENTRES_PER_LESION = 200
ORGAN_CENTRES = 20_000
ANY_FOREGROUND = NO_LABEL
"""Label value for "some class of the foreground, unknown which"."""
VERSION = 3
"""Raised when this file prepares differently: older entries of the cache are then not used."""


@dataclass(frozen=True)
class ChannelStatistics:
    """Of one channel of a whole scan, so that a patch is normalised as the scan is: limits, mean and deviation."""

    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True)
class PreparedCase:
    """A case on the grid of the recipe.

    Attributes
    ----------
    case : Case
        Where it came from.
    image : ndarray
        (channels, z, y, x), HU int16 for CT, else float32; noise reduction done, not yet clipped.
    label : ndarray of uint8
        [z, y, x], class values; 255 is ignored, 254 is any foreground class.
    spacing_mm : tuple of float
        x, y, z.
    statistics : tuple of ChannelStatistics
        One for each channel.
    lesion_centres : tuple of ndarray
        For each lesion (each class, if the task is not the liver) some of its voxels, (n, 3) as z, y, x.
    organ_centres : ndarray
        Some voxels of the liver (of any class, if the task is not the liver), (n, 3).
    slice_mm : float
        Distance of the scan's own slices.
    sha256 : tuple of str
        Of the files: images, then the label.
    """

    case: Case
    image: np.ndarray
    label: np.ndarray
    spacing_mm: tuple[float, float, float]
    statistics: tuple[ChannelStatistics, ...]
    lesion_centres: tuple[np.ndarray, ...]
    organ_centres: np.ndarray
    slice_mm: float
    sha256: tuple[str, ...] = ()

    def intensities(self, config: Config) -> list[Intensity]:
        """Return, for each channel, the steps that turn a patch into network input as inference does for the scan."""
        preparation = config.preparation
        return [
            Intensity(
                window_hu=(channel.low, channel.high),
                normalisation=preparation.normalisation,
                mean=channel.mean if preparation.mean is None else preparation.mean,
                sd=channel.sd if preparation.sd is None else preparation.sd,
            )
            for channel in self.statistics
        ]


def intensity_of(config: Config, channel: str | None = None) -> Intensity:
    """Return the intensity steps of a recipe, or of one of its channels, as inference takes them."""
    preparation = config.preparation
    own = preparation.channel_windows.get(channel) if channel is not None else None
    return Intensity(
        window_hu=own or preparation.window_hu,
        clip_percentiles=None if own else preparation.clip_percentiles,
        denoise=preparation.denoise,
        normalisation=preparation.normalisation,
        mean=preparation.mean,
        sd=preparation.sd,
        liver_hu=preparation.liver_hu,
    )


def prepare(
    case: Case, config: Config, cache: PreparationCache | None = None, files: tuple[str, ...] | None = None
) -> PreparedCase:
    """Return one case on the grid of the recipe.

    Parameters
    ----------
    case : Case
        With a label.
    config : Config
        The recipe.
    cache : PreparationCache, optional
        Where prepared cases are kept; without one the arrays stay in memory.
    files : tuple of str, optional
        The hashes that `fill_cache` returned, not to be taken again.

    Raises
    ------
    InputError
        If image and label do not lie on the same grid, or a label value has no name.
    """
    if cache is None:
        return _prepared(case, _arrays(case, config), _hashes(case))
    known = files or fill_cache(case, config, cache)
    return _prepared(case, cache.get(_key(case, config, known), lambda: _arrays(case, config)), known)


def fill_cache(case: Case, config: Config, cache: PreparationCache) -> tuple[str, ...]:
    """Make the cache's entry of a case where there is none; return the SHA-256 of its files, images then label."""
    files = _hashes(case)
    cache.get(_key(case, config, files), lambda: _arrays(case, config))
    return files


def _hashes(case: Case) -> tuple[str, ...]:
    return tuple(content_hash(path) for path in (*case.images, case.label) if path is not None)


def _key(case: Case, config: Config, files: tuple[str, ...]) -> str:
    """Return a name that changes whenever the prepared arrays would."""
    left_out = {"cache", "mean", "sd", "normalisation"}
    # Recipes without windows of their own for channels keep the names that they had before there were any.
    left_out |= set() if config.preparation.channel_windows else {"channel_windows"}
    recipe = config.preparation.model_dump(mode="json", exclude=left_out)
    parts = {
        "version": VERSION,
        "recipe": recipe,
        "labels": len(config.data.labels),
        "label_map": sorted(config.data.label_map.items()),
        "channels": config.data.channels if config.preparation.channel_windows else len(config.data.channels),
        "task": config.task,
        "liver_only": case.liver_only,
        "files": list(files),
    }
    if config.task == "localiser" and organs_tumor(config) != TUMOR.value:
        # Likewise localisers of liver alone.
        parts["organs_tumor"] = organs_tumor(config)
    if case.label is not None and (case.label.is_dir() or case.label.name.lower().endswith(".seg.nrrd")):
        parts["names"] = config.data.labels
        parts["structures"] = dict(structure_map(case.label).names) if case.label.is_dir() else {}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _prepared(case: Case, arrays: Arrays, files: tuple[str, ...]) -> PreparedCase:
    ends = np.cumsum(arrays.small["lesion_sizes"])[:-1]
    lesions = np.split(arrays.small["lesion_voxels"], ends) if len(arrays.small["lesion_sizes"]) else []
    return PreparedCase(
        case,
        arrays.image,
        arrays.label,
        tuple(float(v) for v in arrays.small["spacing_mm"]),  # type: ignore[arg-type]
        tuple(ChannelStatistics(*(float(v) for v in row)) for row in arrays.small["statistics"]),
        tuple(lesions),
        arrays.small["organ_voxels"],
        float(arrays.small["slice_mm"]),
        files,
    )


def _arrays(case: Case, config: Config) -> Arrays:
    channels = read_channels(case, config.data.channels)
    label = read_label(case, config.data, channels[0])
    if grid_difference(channels[0], label):
        raise InputError(f"Case {case.name}: image and label do not lie on the same grid; correct the label file.")
    target = _target_grid(channels[0], label, config)
    is_ct = config.preparation.window_hu is not None
    whole = [sitk.Cast(image, sitk.sitkInt16) if is_ct else image for image in channels]
    sampled = [sitk.GetArrayFromImage(resample(image, target)) for image in whole]
    if not is_ct:
        sampled = [array.astype(np.float32) for array in sampled]
    values = np.stack([_without_noise(array, config) for array in sampled])
    classes = _classes(case, label, target, config)
    rng = np.random.default_rng(0)
    lesions = [_some(voxels, rng) for voxels in _lesion_voxels(classes, config)]
    lesions = [voxels for voxels in lesions if len(voxels) >= 2]
    liver = (classes == LIVER.value) if config.task != "other" else (classes > 0) & (classes < ANY_FOREGROUND)
    organ = _some(np.argwhere(liver), rng, ORGAN_CENTRES)
    intensities = [intensity_of(config, channel) for channel in config.data.channels]
    if config.preparation.liver_hu is not None:
        intensities = [one.at(_organ_hu(case, values[0], classes, config)) for one in intensities]
    if case.liver_only:
        classes[(classes > 0) & (classes < ANY_FOREGROUND)] = ANY_FOREGROUND
    return Arrays(
        values,
        classes,
        {
            "spacing_mm": np.asarray(target.spacing_mm),
            "slice_mm": np.asarray(channels[0].GetSpacing()[superior_axis(channels[0].GetDirection())]),
            "statistics": np.array(
                [dataclasses.astuple(_statistics(array, one)) for array, one in zip(values, intensities, strict=True)]
            ),
            "lesion_sizes": np.array([len(voxels) for voxels in lesions], int),
            "lesion_voxels": np.concatenate(lesions) if lesions else np.zeros((0, 3), int),
            "organ_voxels": organ,
        },
    )


def _target_grid(image: sitk.Image, label: sitk.Image, config: Config) -> Grid:
    preparation, grid = config.preparation, Grid.of(image)
    if preparation.crop == "liver":
        grid = grid.crop(*organ_box(organ_mask(label, config), preparation.crop_margin_mm))
    return network_grid(grid, preparation.spacing_mm, preparation.resize)


def organ_mask(label: sitk.Image, config: Config) -> sitk.Image:
    """Return 1 where a label image, values as in its file, holds the organ, else 0."""
    classes = trained_classes(sitk.GetArrayViewFromImage(label), config)
    mask = sitk.GetImageFromArray(np.isin(classes, organ_classes(config)).astype(np.uint8))
    mask.CopyInformation(label)
    return mask


def organ_box(mask: sitk.Image, margin_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop (x, y, z) of a mask (`organ_mask`) with a margin; of the whole grid if it is empty."""
    array = sitk.GetArrayViewFromImage(mask)
    size = np.asarray(mask.GetSize())
    boxes = ndimage.find_objects(array)
    if not boxes or boxes[0] is None:
        return np.zeros(3, int), size
    margin = np.ceil(margin_mm / np.asarray(mask.GetSpacing())).astype(int)
    start = np.maximum(np.array([part.start for part in reversed(boxes[0])]) - margin, 0)
    return start, np.minimum(np.array([part.stop for part in reversed(boxes[0])]) + margin, size)


def _without_noise(array: np.ndarray, config: Config) -> np.ndarray:
    if config.preparation.denoise == "none":
        return array
    only_denoise = Intensity(
        window_hu=None, denoise=config.preparation.denoise, normalisation="zscore", mean=0.0, sd=1.0
    )
    return normalise(array, only_denoise).astype(array.dtype)


def _organ_hu(case: Case, values: np.ndarray, classes: np.ndarray, config: Config) -> float:
    """Return the median of the organ, tumours and all: what inference knows of it from the localiser."""
    organ = np.isin(classes, organ_classes(config))
    if not organ.any():
        raise InputError(
            f"Case {case.name}: its label has no liver, whose density preparation.liver_hu needs; leave it out with "
            "data.exclude or set preparation.liver_hu null."
        )
    return float(np.median(values[organ]))


def _statistics(array: np.ndarray, intensity: Intensity) -> ChannelStatistics:
    clip = Intensity(intensity.window_hu, intensity.clip_percentiles, normalisation="zscore", mean=0.0, sd=1.0)
    clipped = normalise(array, clip)
    low, high = intensity.window_hu or (float(clipped.min()), float(clipped.max()))
    return ChannelStatistics(low, max(high, low + 1e-3), float(clipped.mean()), max(float(clipped.std()), 1e-6))


def _classes(case: Case, label: sitk.Image, target: Grid, config: Config) -> np.ndarray:
    array = sitk.GetArrayViewFromImage(label)
    # Whether all values are class numbers is seen before the cast hides it.
    unknown = strange_values(array, config.data) if config.task != "localiser" else []
    if unknown:
        raise InputError(
            f"Case {case.name}: label values {unknown[:5]} have no name in data.labels {config.data.labels} and "
            "no entry in data.label_map."
        )
    whole = sitk.Cast(label, sitk.sitkUInt8)
    return trained_classes(sitk.GetArrayFromImage(resample(whole, target, nearest=True, outside=IGNORE)), config)


def _lesion_voxels(classes: np.ndarray, config: Config) -> list[np.ndarray]:
    if config.task == "other":
        return [np.argwhere(classes == value) for value in range(1, config.classes)]
    if config.task == "localiser":
        return []
    components, count = ndimage.label(classes == TUMOR.value, np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(components)
    lesions = []
    for index in range(1, count + 1):
        box = boxes[index - 1]
        lesions.append(np.argwhere(components[box] == index) + [part.start for part in box])
    return lesions


def _some(voxels: np.ndarray, rng: np.random.Generator, most: int = CENTRES_PER_LESION) -> np.ndarray:
    return voxels if len(voxels) <= most else voxels[rng.choice(len(voxels), most, replace=False)]


def cache_of(config: Config, run: Path) -> PreparationCache:
    """Return the cache of a recipe: its own, or a folder beside the run, so that runs share it."""
    return PreparationCache(config.preparation.cache or Path(run).resolve().parent / "prepared")
