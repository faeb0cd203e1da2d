"""How an array is cut into tiles for a network, and with which weight each voxel of a tile counts."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .cost import LARGEST_TILE_VOXELS
from .families import Network

Window = tuple[slice, ...]

NNUNET_LARGEST_WEIGHT = 10.0
"""In the middle of nnU-Net's tiles: with 16-bit numbers it decides what is left of the weights at their corners."""
MARGIN_VOXELS = 48
"""So far from the edge of a tile a network without normalisation no longer notices that there is an edge."""


@dataclass(frozen=True)
class TilePlan:
    """How an array is cut.

    Attributes
    ----------
    patch_size : tuple of int
        Largest tile z, y, x (y, x for a 2D network); a smaller array is one tile.
    overlap : float
        Part of a tile shared with its neighbour, 0 to below 1; the tiles are blended.
    flips : tuple of tuple of int
        Sets of axes (0 z, 1 y, 2 x) flipped before and after the network; the results are averaged. `((),)`: none.
    margin : int
        Above 0, tiles are not blended: voxels nearer than that to the edge of a tile are taken from its neighbour,
        and `overlap` has no meaning.
    step : int
        Tiles with a margin start at multiples of it: the network's total stride, so that its coarse grids coincide.
    """

    patch_size: tuple[int, ...]
    overlap: float = 0.25
    flips: tuple[tuple[int, ...], ...] = ((),)
    margin: int = 0
    step: int = 1

    def __post_init__(self) -> None:
        if self.margin and min(self.patch_size) < 2 * self.margin + self.step:
            raise ValueError(f"Tiles of {self.patch_size} voxels leave nothing between margins of {self.margin}.")

    def windows(self, shape: tuple[int, ...]) -> list[Window]:
        """Return the tiles that cover an array of this shape (z, y, x)."""
        # A 2D network sees one axial slice at a time.
        largest = self.patch_size if len(self.patch_size) == 3 else (1, *self.patch_size)
        starts = [self._starts(n, t) for n, t in zip(shape, largest, strict=True)]
        return [
            tuple(slice(s, min(s + t, n)) for s, t, n in zip(start, largest, shape, strict=True))
            for start in itertools.product(*starts)
        ]

    def weights(self, window: Window, shape: tuple[int, ...]) -> Tensor:
        """Return the weights of a tile's voxels, float32: its core alone, or Gaussian where tiles are blended."""
        if not self.margin:
            return blending_weights(tuple(side.stop - side.start for side in window))
        axes = []
        for side, length in zip(window, shape, strict=True):
            axis = torch.ones(side.stop - side.start)
            if side.start > 0:
                axis[: self.margin] = 0
            if side.stop < length:
                axis[-self.margin :] = 0
            axes.append(axis)
        return axes[0][:, None, None] * axes[1][:, None] * axes[2]

    def _starts(self, length: int, tile: int) -> list[int]:
        if not self.margin:
            return tile_starts(length, tile, self.overlap)
        # Cores meet without a gap: each begins where the one before it ends.
        advance = (tile - 2 * self.margin) // self.step * self.step
        return list(range(0, max(length - tile, 0) + advance, advance)) if length > tile else [0]


@dataclass(frozen=True)
class NnunetTiles(TilePlan):
    """Tiles as nnU-Net weights them: its Gaussian is narrower, with its top in the voxel behind the middle."""

    def weights(self, window: Window, shape: tuple[int, ...]) -> Tensor:
        """Return the weights of a tile's voxels, float32 values of nnU-Net's 16-bit ones; none is 0."""
        axes = []
        for side in window:
            length = side.stop - side.start
            axes.append(torch.exp(-0.5 * ((torch.arange(length) - length // 2) * 8 / length) ** 2))
        weights = (NNUNET_LARGEST_WEIGHT * axes[0][:, None, None] * axes[1][:, None] * axes[2]).half().float()
        return weights.clamp(min=float(weights[weights > 0].min()))


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return evenly spread starts of tiles that cover `length`; one at 0 when the tile is as long."""
    if length <= tile:
        return [0]
    count = int(np.ceil((length - tile) / max(tile * (1 - overlap), 1))) + 1
    return [int(v) for v in np.round(np.linspace(0, length - tile, count))]


def blending_weights(tile: tuple[int, ...]) -> Tensor:
    """Return Gaussian weights of a tile, highest 1 in the middle, never below 0.01 (after Isensee et al., 2021)."""
    axes = [torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 6)) ** 2) for n in tile]
    weights = axes[0]
    for axis in axes[1:]:
        weights = weights[..., None] * axis
    return weights.clamp(min=0.01)


def plan_tiles(
    network: Network,
    patch_size: tuple[int, ...],
    shape: tuple[int, ...],
    overlap: float = 0.25,
    flips: tuple[tuple[int, ...], ...] = ((),),
    largest: int = LARGEST_TILE_VOXELS,
) -> TilePlan:
    """Return how a network of a bundle goes over an array.

    Instance normalisation ties a network to the size of its training patches. Any other 3D network takes the whole
    array at once, or, where that is too large, tiles whose cores do not depend on how it was cut.

    Parameters
    ----------
    network : UNet or NnunetUNet
        That is to run.
    patch_size : tuple of int
        Its training patch.
    shape : tuple of int
        Of the array: z, y, x.
    overlap : float
        Of tiles of the training patch's size.
    flips : tuple of tuple of int
        As in the plan.
    largest : int
        Voxels that one tile may have, where the network is not tied to the size of its training patches.
    """
    total_stride = network.total_stride
    if network.arguments["norm"] == "instance" or network.arguments["dims"] == 2:
        return TilePlan(patch_size, overlap, flips)
    tile = [math.ceil(length / total_stride) * total_stride for length in shape]
    margin = 0
    while math.prod(tile) > largest:
        margin = MARGIN_VOXELS
        longest = max(range(3), key=lambda axis: tile[axis])
        tile[longest] -= total_stride
    # A plan with a margin asks for room between the margins also along an axis that is not cut.
    smallest = 2 * margin + total_stride if margin else 1
    return TilePlan(tuple(max(length, smallest) for length in tile), overlap, flips, margin, total_stride)
