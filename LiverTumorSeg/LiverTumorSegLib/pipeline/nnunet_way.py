"""The way of a scan through a network of nnU-Net v2, step for step as nnU-Net's own predictor goes it.

Crop to what is not 0, normalise, resample by cubic splines, tiles of the training patch, logits averaged and resampled
to the scan, softmax (Isensee et al., Nature Methods 2021). Such a network gives its best only on this way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch import Tensor

from ..grid import Grid
from ..model.bundle import Bundle
from ..model.normalisation import normalise
from ..model.tile_plan import NnunetTiles
from .postprocess import Box, bounding_box
from .quality import Quality, flip_sets

ANISOTROPY = 3.0
"""Where a voxel is longer than this many times its shortest side, its long axis is not interpolated."""
FULL_OVERLAP = 0.5
"""Overlap of tiles from standard quality on, nnU-Net's own."""
_CUBIC = 3


@dataclass(frozen=True)
class NnunetScan:
    """A scan as the network sees it, and the way back.

    Attributes
    ----------
    array : ndarray
        Network input, float32 (channels, z, y, x), padded to the patch.
    inside : tuple of 3 slices
        The part of `array` that is no padding.
    grid : Grid
        The scan in the orientation the network wants.
    box : tuple of 3 slices
        The part of `grid` that is not 0 in all channels.
    spacing_zyx : tuple of float
        Of `array`, mm.
    """

    array: np.ndarray
    inside: Box
    grid: Grid
    box: Box
    spacing_zyx: tuple[float, ...]


def nnunet_input(channels: Sequence[sitk.Image], bundle: Bundle) -> NnunetScan:
    """Return what the network of a bundle with nnU-Net's conventions is shown.

    Parameters
    ----------
    channels : sequence of sitk.Image
        Whole scans on one grid.
    bundle : Bundle
        Says spacing, patch, intensities and orientation.
    """
    if bundle.orientation:
        channels = [sitk.DICOMOrient(channel, bundle.orientation) for channel in channels]
    grid = Grid.of(channels[0])
    arrays = [sitk.GetArrayFromImage(channel) for channel in channels]
    body = np.logical_or.reduce([array != 0 for array in arrays])
    box = bounding_box(body) or (slice(None),) * 3
    body = body[box]
    if any(bundle.intensity_of(number).within_body for number in range(len(arrays))):
        body = ndimage.binary_fill_holes(body)
    spacing, wanted = grid.spacing_mm[::-1], bundle.spacing_mm[::-1]
    shape = tuple(max(round(n * s / w), 1) for n, s, w in zip(body.shape, spacing, wanted, strict=True))
    apart = uninterpolated_axis(spacing, wanted)
    seen = np.stack(
        [
            spline_resized(normalise(array[box], bundle.intensity_of(number), body), shape, apart)
            for number, array in enumerate(arrays)
        ]
    )
    missing = [max(tile - n, 0) for tile, n in zip(bundle.patch_size, shape, strict=True)]
    padding = [(n // 2, n - n // 2) for n in missing]
    inside = tuple(slice(before, before + n) for (before, _), n in zip(padding, shape, strict=True))
    return NnunetScan(np.pad(seen, [(0, 0), *padding]), inside, grid, box, wanted)


def nnunet_plan(bundle: Bundle, quality: Quality) -> NnunetTiles:
    """Return how the array is cut: as nnU-Net does where several looks are averaged, mirrored along all allowed axes.

    Parameters
    ----------
    bundle : Bundle
        Its patch size and the axes it may be mirrored along.
    quality : Quality
        One look is not mirrored; a coarse one also overlaps less.
    """
    allowed = tuple(flip_sets(bundle.mirroring))
    overlap = quality.overlap if quality.coarsening > 1 else FULL_OVERLAP
    return NnunetTiles(bundle.patch_size, overlap, allowed if quality.flips > 1 else ((),))


def nnunet_probabilities(logits: np.ndarray, scan: NnunetScan, part: Grid) -> np.ndarray:
    """Return uint8 (classes - 1, z, y, x), 255 times the probability, on the voxels of a scan.

    Parameters
    ----------
    logits : ndarray
        float32 (classes, z, y, x) on `scan.array`.
    scan : NnunetScan
        The way back.
    part : Grid
        The scan as it is stored.
    """
    whole = np.zeros((len(logits) - 1, *reversed(scan.grid.size)), np.uint8)
    every_class = (slice(None), *scan.box)
    target = whole[every_class]
    for place, probability in enumerate(probability_slices(logits, scan, target.shape[1:])):
        target[:, place] = (probability[1:] * 255).round().to(torch.uint8).numpy()
    if scan.grid == part:
        return whole
    # Turned back by whole voxels: interpolation would round some of them down.
    stored = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(part.direction)
    return np.stack([sitk.GetArrayFromImage(sitk.DICOMOrient(scan.grid.image(one), stored)) for one in whole])


def probability_slices(logits: np.ndarray, scan: NnunetScan, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield the class probabilities of each slice of the scan's box, float32 (classes, y, x), from below.

    One slice at a time is at the scan's own resolution, whatever the number of classes.

    Parameters
    ----------
    logits : ndarray
        float32 (classes, z, y, x) on `scan.array`.
    scan : NnunetScan
        Its inside and spacing.
    shape : tuple of int
        Of the box: z, y, x.
    """
    every_class = (slice(None), *scan.inside)
    coarse = torch.from_numpy(logits)[every_class]
    apart = uninterpolated_axis(scan.spacing_zyx, scan.grid.spacing_mm[::-1])
    axes = [
        _neighbours(old, new, axis == apart)
        for axis, (old, new) in enumerate(zip(coarse.shape[1:], shape, strict=True))
    ]
    low, high, weight = axes[0]

    for place in range(shape[0]):
        values = torch.lerp(coarse[:, low[place]], coarse[:, high[place]], weight[place])
        for axis, (before, after, share) in enumerate(axes[1:], start=1):
            along = share[:, None] if axis == 1 else share
            values = torch.lerp(values.index_select(axis, before), values.index_select(axis, after), along)
        yield values.softmax(0)


def spline_resized(values: np.ndarray, shape: tuple[int, ...], apart: int | None) -> np.ndarray:
    """Return an array resized by cubic splines, its range kept; along the axis `apart` by the nearest voxel.

    The first and last voxels of both keep their outer borders in common.

    Parameters
    ----------
    values : ndarray
        float32 [z, y, x].
    shape : tuple of int
        Wanted.
    apart : int or None
        As `uninterpolated_axis` gives it.
    """
    if values.shape == shape:
        return values
    if apart is None:
        return _spline(values, shape)
    slices = np.moveaxis(values, apart, 0)
    plane = tuple(n for axis, n in enumerate(shape) if axis != apart)
    nearest, _, _ = _neighbours(len(slices), shape[apart], True)
    resized = {place: _spline(slices[place], plane) for place in set(nearest.tolist())}
    return np.moveaxis(np.stack([resized[place] for place in nearest.tolist()]), 0, apart)


def _spline(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if values.shape == shape:
        return values
    factors = [new / old for old, new in zip(values.shape, shape, strict=True)]
    resized = ndimage.zoom(values, factors, order=_CUBIC, mode="nearest", grid_mode=True)
    return np.clip(resized, values.min(), values.max(), out=resized)


def uninterpolated_axis(spacing: Sequence[float], wanted: Sequence[float]) -> int | None:
    """Return the axis along which voxels of the one, else of the other spacing are far longer than along the rest."""
    for one in (spacing, wanted):
        if max(one) / min(one) > ANISOTROPY:
            longest = [axis for axis, length in enumerate(one) if length == max(one)]
            return longest[0] if len(longest) == 1 else None
    return None


def _neighbours(old: int, new: int, nearest: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each new place the two old ones it lies between, and the share of the second."""
    places = (torch.arange(new, dtype=torch.float64) + 0.5) * old / new - 0.5
    if nearest:
        whole = torch.floor(places + 0.5).clamp(0, old - 1).long()
        return whole, whole, torch.zeros(new)
    places = places.clamp(0, old - 1)
    low = places.floor().long()
    return low, (low + 1).clamp(max=old - 1), (places - low).float()
