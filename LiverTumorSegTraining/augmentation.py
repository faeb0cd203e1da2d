"""Random changes of a patch: one affine resampling of image and label, then intensity changes in HU."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.preprocess import AIR_HU
from LiverTumorSegTraining.config import AugmentationConfig

AXES = {"z": 0, "y": 1, "x": 2}


def random_affine(rng: np.random.Generator, augmentation: AugmentationConfig) -> np.ndarray:
    """Return a 3x3 matrix from output offsets to input offsets (voxels; z, y, x): scale, rotation, flips."""
    low, high = augmentation.scale
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    matrix = np.diag(1 / (scale * np.exp(rng.uniform(-0.07, 0.07, 3))))
    for axis in range(3):
        angle = math.radians(rng.uniform(-1, 1) * augmentation.rotation_degrees) * (1.0 if axis == 0 else 0.5)
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        rotation[[first, first, second, second], [first, second, first, second]] = cos, -sin, sin, cos
        matrix = matrix @ rotation
    for name in augmentation.flip_axes:
        if rng.random() < 0.5:
            matrix[AXES[name]] *= -1
    return matrix


def sample_patch(
    image: np.ndarray, label: np.ndarray, centre: np.ndarray, matrix: np.ndarray, patch_size: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sample a patch around a voxel through an affine map.

    Parameters
    ----------
    image, label : ndarray
        [z, y, x].
    centre : ndarray
        Voxel z, y, x that becomes the middle of the patch.
    matrix : ndarray
        3x3, from output offsets to input offsets, voxels.
    patch_size : tuple of int
        z, y, x.

    Returns
    -------
    tuple of ndarray
        float32 image (beyond the image: air) and uint8 label (beyond: ignore), both of `patch_size`.
    """
    half = (np.asarray(patch_size) - 1) / 2
    reach = np.abs(matrix) @ half + 1
    start = np.floor(centre - reach).astype(int)
    stop = np.ceil(centre + reach).astype(int) + 1
    crop_image, crop_label = _padded(image, start, stop, AIR_HU), _padded(label, start, stop, IGNORE)
    size = np.asarray(crop_image.shape)
    # grid_sample wants x, y, z in -1..1 (align_corners): build offsets in voxels, then scale.
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch_size]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    points = offsets @ torch.from_numpy(matrix.T.astype(np.float32)) + torch.from_numpy((centre - start).astype(np.float32))
    points = points / torch.from_numpy(((size - 1) / 2).astype(np.float32)) - 1
    grid = points.flip(-1)[None]
    sampled = F.grid_sample(torch.from_numpy(crop_image)[None, None], grid, "bilinear", "border", True)
    classes = F.grid_sample(torch.from_numpy(crop_label)[None, None], grid, "nearest", "border", True)
    return sampled[0, 0].numpy(), classes[0, 0].numpy().astype(np.uint8)


def _padded(array: np.ndarray, start: np.ndarray, stop: np.ndarray, value: float) -> np.ndarray:
    patch = np.full(stop - start, value, np.float32)
    low, high = np.maximum(start, 0), np.minimum(stop, array.shape)
    if (high > low).all():
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        patch[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return patch


def change_intensity(patch: np.ndarray, rng: np.random.Generator, augmentation: AugmentationConfig) -> np.ndarray:
    """Return the patch (HU) with random contrast, shift, noise, blur and thick slices."""
    values = torch.from_numpy(patch)[None, None]
    if rng.random() < augmentation.thick_slice_probability:
        values = _thick_slices(values, rng.uniform(1.5, 4))
    if augmentation.blur_voxels and rng.random() < 0.2:
        values = _blur(values, rng.uniform(0.3, augmentation.blur_voxels))
    if augmentation.noise_sd_hu and rng.random() < 0.5:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(values.shape, generator=generator)
        if rng.random() < 0.5:
            # Reconstruction kernels leave correlated noise.
            noise = _blur(noise, 0.7)
            noise /= noise.std()
        values = values + noise * float(rng.uniform(0, augmentation.noise_sd_hu))
    low, high = augmentation.contrast
    middle = 60.0
    values = (values - middle) * float(rng.uniform(low, high)) + middle
    return (values + float(rng.uniform(-1, 1) * augmentation.shift_hu))[0, 0].numpy()


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
