"""One network over an array of any size: overlapping tiles, Gaussian blending, probabilities as uint8.

Probabilities, not logits, are accumulated, so that a flipped or second network can be averaged in the same buffer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import CancelledError, LiverTumorSegError
from .network import UNet

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class TilePlan:
    """How an array is cut.

    Attributes
    ----------
    patch_size : tuple of int
        z, y, x (y, x for a 2D network): the size the network was trained at; a smaller array is one tile.
    overlap : float
        Part of a tile shared with its neighbour, 0 to below 1.
    flips : tuple of tuple of int
        Sets of axes (0 z, 1 y, 2 x) flipped before and after the network; the results are averaged. `((),)`: none.
    """

    patch_size: tuple[int, ...]
    overlap: float = 0.25
    flips: tuple[tuple[int, ...], ...] = ((),)


class NonFiniteOutputError(LiverTumorSegError):
    """The network's output holds NaN or infinity: nothing of it can be used."""

    exit_code = 4


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


def predict_probabilities(
    networks: list[UNet],
    array: np.ndarray,
    plan: TilePlan,
    device: torch.device,
    accumulator: torch.device | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> np.ndarray:
    """Return the mean foreground probabilities of one or several networks.

    Parameters
    ----------
    networks : list of UNet
        In evaluation mode, on `device`, with the same classes.
    array : ndarray
        Normalised input, float32, (channels, z, y, x).
    plan : TilePlan
        How it is cut.
    device, accumulator : torch.device
        Where networks run and where probabilities are summed (`device` when None).
    progress : callable
        Told the fraction done and the tile.
    cancelled : callable
        Asked before each tile.

    Returns
    -------
    ndarray
        uint8, (classes - 1, z, y, x): 255 times the probability.

    Raises
    ------
    CancelledError
        When `cancelled` says so.
    NonFiniteOutputError
        When a network returns NaN or infinity.
    """
    total = blend(
        array,
        plan,
        networks[0].arguments["classes"],
        lambda tile: _tile_probability(networks, tile, plan.flips, device),
        accumulator or device,
        progress,
        cancelled,
    )[1:]
    if not bool(torch.isfinite(total).all()):
        raise NonFiniteOutputError(
            "The network's output is not finite (NaN or infinity), so no segmentation was made: "
            "try --device cpu, or another model."
        )
    return (total * 255).round_().to(torch.uint8).cpu().numpy()


def blend(
    array: np.ndarray,
    plan: TilePlan,
    values: int,
    compute: Callable[[Tensor], Tensor],
    accumulator: torch.device,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Tensor:
    """Return `compute` of overlapping tiles, blended to the whole.

    Parameters
    ----------
    array : ndarray
        (channels, z, y, x).
    plan : TilePlan
        How it is cut.
    values : int
        Values that `compute` gives for each voxel.
    compute : callable
        From a tile (channels, z, y, x) to (values, z, y, x).
    accumulator : torch.device
        Where the tiles are summed.
    progress, cancelled : callable
        As in `predict_probabilities`.

    Returns
    -------
    Tensor
        float32 (values, z, y, x) on `accumulator`.
    """
    spatial = array.shape[1:]
    # A 2D network sees one axial slice at a time.
    largest = plan.patch_size if len(plan.patch_size) == 3 else (1, *plan.patch_size)
    tile = tuple(min(t, n) for t, n in zip(largest, spatial, strict=True))
    source = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    total = torch.zeros((values, *spatial), device=accumulator)
    weight_sum = torch.zeros(spatial, device=accumulator)
    weights = blending_weights(tile).to(accumulator)
    places = list(itertools.product(*[tile_starts(n, t, plan.overlap) for n, t in zip(spatial, tile, strict=True)]))
    for number, start in enumerate(places, 1):
        if cancelled is not None and cancelled():
            raise CancelledError("Cancelled; nothing was written.")
        if progress is not None:
            progress((number - 1) / len(places), f"tile {number} of {len(places)}")
        window = tuple(slice(s, s + t) for s, t in zip(start, tile, strict=True))
        every_channel = (slice(None), *window)
        total[every_channel] += compute(source[every_channel]).to(accumulator) * weights
        weight_sum[window] += weights
    return total / weight_sum


def _tile_probability(
    networks: list[UNet], tile: Tensor, flips: tuple[tuple[int, ...], ...], device: torch.device
) -> Tensor:
    """Return mean class probabilities (classes, z, y, x) of one tile (channels, z, y, x), float32 on `device`."""
    two_dimensional = networks[0].arguments["dims"] == 2
    classes = networks[0].arguments["classes"]
    if float(tile.max()) - float(tile.min()) < 1e-6:
        # Nothing but air: no network is needed to call it background.
        blank = torch.zeros((classes, *tile.shape[1:]), device=device)
        blank[0] = 1
        return blank
    tile = tile.to(device)
    total = torch.zeros((classes, *tile.shape[1:]), device=device)
    for axes in flips:
        dims = [1 + axis for axis in axes]
        x = torch.flip(tile, dims)
        x = x.transpose(0, 1) if two_dimensional else x[None].contiguous(memory_format=torch.channels_last_3d)
        for network in networks:
            with autocast(device), torch.inference_mode():
                logits = network(x)
            probability = logits.float().softmax(1)
            probability = probability.transpose(0, 1) if two_dimensional else probability[0]
            total += torch.flip(probability, dims)
    return total / (len(flips) * len(networks))


def autocast(device: torch.device) -> torch.autocast:
    """Return the autocast context of a device: float16 on CUDA, bfloat16 on a CPU that has it, else none."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return torch.autocast("cpu", torch.bfloat16, enabled=device.type == "cpu" and cpu_has_bfloat16())


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware; emulated it is unusably slow."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def flip_sets(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the first `count` of the 8 flips of a volume, the identity first."""
    sets = [axes for size in range(4) for axes in itertools.combinations(range(3), size)]
    yield from sets[:count]
