"""Random changes of a patch: one affine resampling of image and label, then intensity changes in HU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from LiverTumorSegLib.labels import AIR_HU, IGNORE
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from LiverTumorSegTraining.recipe.config import AugmentationConfig

AXES = {"z": 0, "y": 1, "x": 2}


def random_affine(
    rng: np.random.Generator,
    augmentation: AugmentationConfig,
    in_plane: bool = False,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Return a 3x3 matrix from output offsets to input offsets (voxels; z, y, x): scale, rotation, flips.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    augmentation : AugmentationConfig
        The recipe's section.
    in_plane : bool
        For axial slices: z is neither scaled nor tilted.
    spacing_mm : sequence of float
        Of the voxels, z, y, x: what is turned is the patient, so that angles are those of space.
    """
    low, high = augmentation.scale
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    factors = 1 / (scale * np.exp(rng.uniform(-0.07, 0.07, 3)))
    if in_plane:
        factors[0] = 1.0
    matrix = np.diag(factors)
    for axis in range(3):
        angle = math.radians(rng.uniform(-1, 1) * augmentation.rotation_degrees) * (1.0 if axis == 0 else 0.5)
        if in_plane and axis > 0:
            continue
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        rotation[[first, first, second, second], [first, second, first, second]] = cos, -sin, sin, cos
        matrix = matrix @ rotation
    for name in augmentation.flip_axes:
        if rng.random() < 0.5 and not (in_plane and name == "z"):
            matrix[AXES[name]] *= -1
    spacing = np.asarray(spacing_mm, float)
    # From offsets in voxels to millimetres, through the map, and back.
    return matrix * (spacing / spacing[:, None])


def sample_patch(
    image: np.ndarray, label: np.ndarray, centre: np.ndarray, matrix: np.ndarray, patch_size: tuple[int, int, int],
    outside: Sequence[float] = (AIR_HU,),
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Sample a patch around a voxel through an affine map.

    Parameters
    ----------
    image : ndarray
        (channels, z, y, x).
    label : ndarray
        [z, y, x].
    centre : ndarray
        Voxel z, y, x that becomes the middle of the patch.
    matrix : ndarray
        3x3, from output offsets to input offsets, voxels.
    patch_size : tuple of int
        z, y, x.
    outside : sequence of float
        Value beyond the image, of each channel.

    Returns
    -------
    tuple of ndarray
        float32 image (channels, *patch_size) and uint8 label of `patch_size` (beyond the image: ignore).
    """
    half = (np.asarray(patch_size) - 1) / 2
    reach = np.abs(matrix) @ half + 1
    start = np.floor(centre - reach).astype(int)
    stop = np.ceil(centre + reach).astype(int) + 1
    crop = np.stack([_padded(channel, start, stop, value) for channel, value in zip(image, outside, strict=True)])
    crop_label = _padded(label, start, stop, IGNORE)
    size = np.asarray(crop_label.shape)
    # grid_sample wants x, y, z in -1..1 (align_corners): build offsets in voxels, then scale.
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch_size]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    points = offsets @ torch.from_numpy(matrix.T.astype(np.float32))
    points = points + torch.from_numpy((centre - start).astype(np.float32))
    points = points / torch.from_numpy(((size - 1) / 2).astype(np.float32)) - 1
    grid = points.flip(-1)[None]
    sampled = F.grid_sample(torch.from_numpy(crop)[None], grid, "bilinear", "border", True)
    classes = F.grid_sample(torch.from_numpy(crop_label)[None, None], grid, "nearest", "border", True)
    return sampled[0].numpy(), classes[0, 0].numpy().astype(np.uint8)


def _padded(array: np.ndarray, start: np.ndarray, stop: np.ndarray, value: float) -> np.ndarray:
    patch = np.full(stop - start, value, np.float32)
    low, high = np.maximum(start, 0), np.minimum(stop, array.shape)
    if (high > low).all():
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        patch[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return patch


def change_intensity(
    patch: np.ndarray,
    rng: np.random.Generator,
    augmentation: AugmentationConfig,
    unit: float = 1.0,
    middle: float = 60.0,
) -> np.ndarray:
    """Return one channel of a patch with random contrast, shift, noise, blur and thick slices.

    Parameters
    ----------
    patch : ndarray
        [z, y, x], HU for CT.
    rng : Generator
        Source of randomness.
    augmentation : AugmentationConfig
        The recipe's section, in HU.
    unit : float
        What one HU is worth in this channel; 1 for CT.
    middle : float
        Value that a change of contrast leaves as it is.
    """
    values = torch.from_numpy(patch)[None, None]
    thick, factor = rng.random() < augmentation.thick_slice_probability, 1.0
    if thick:
        factor = rng.uniform(1.5, 4)
    if thick and values.shape[2] > 1:
        values = _thick_slices(values, factor)
    if augmentation.blur_voxels and rng.random() < 0.2:
        values = _blur(values, rng.uniform(min(0.3, augmentation.blur_voxels), augmentation.blur_voxels))
    if augmentation.noise_sd_hu and rng.random() < 0.5:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(values.shape, generator=generator)
        if rng.random() < 0.5:
            # Reconstruction kernels leave correlated noise.
            noise = _blur(noise, 0.7)
            noise /= noise.std()
        values = values + noise * (float(rng.uniform(0, augmentation.noise_sd_hu)) * unit)
    low, high = augmentation.contrast
    values = (values - middle) * float(rng.uniform(low, high)) + middle
    return (values + float(rng.uniform(-1, 1) * augmentation.shift_hu) * unit)[0, 0].numpy()


def _thick_slices(values: Tensor, factor: float) -> Tensor:
    depth = values.shape[2]
    coarse = (max(round(depth / factor), 2), *values.shape[3:])
    thick = F.interpolate(values, coarse, mode="area")
    return F.interpolate(thick, values.shape[2:], mode="trilinear", align_corners=False)


def _blur(values: Tensor, sigma: float) -> Tensor:
    radius = max(math.ceil(2 * sigma), 1)
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = -1
        padding = [0, 0, 0, 0, 0, 0]
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = radius
        values = F.conv3d(F.pad(values, padding, mode="replicate"), kernel.view(shape))
    return values
