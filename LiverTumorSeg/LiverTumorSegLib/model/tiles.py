"""One network over an array of any size: tiles, put together again, probabilities as uint8.

Probabilities, not logits, are accumulated, so that a flipped or second network can be averaged in the same buffer.
"""

from __future__ import annotations

import platform
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import CancelledError, LiverTumorSegError
from .families import Network
from .tile_plan import TilePlan

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]


class NonFiniteOutputError(LiverTumorSegError):
    """The network's output holds NaN or infinity: nothing of it can be used."""

    exit_code = 4


def predict_probabilities(
    networks: list[Network],
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
    networks : list of UNet or NnunetUNet
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
    _require_finite(total)
    return (total * 255).round_().to(torch.uint8).cpu().numpy()


def predict_logits(
    networks: list[Network],
    array: np.ndarray,
    plan: TilePlan,
    device: torch.device,
    accumulator: torch.device | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> np.ndarray:
    """Return the mean logits of one or several networks over tiles and flips, as nnU-Net averages them.

    Parameters and errors are those of `predict_probabilities`; every side of the array is at least that of a tile.

    Returns
    -------
    ndarray
        float32, (classes, z, y, x), background first.
    """

    def mean_logits(tile: Tensor) -> Tensor:
        tile = tile.to(device)
        total: Tensor | None = None
        for axes in plan.flips:
            dims = [1 + axis for axis in axes]
            x = torch.flip(tile, dims)[None].contiguous(memory_format=torch.channels_last_3d)
            for network in networks:
                # On a CPU nnU-Net computes in float32, and so does what is to give its result.
                with torch.autocast("cuda", torch.float16, enabled=device.type == "cuda"), torch.inference_mode():
                    logits = torch.flip(network(x)[0].float(), dims)
                total = logits if total is None else total + logits
        assert total is not None  # there is at least one flip and one network
        return total / (len(plan.flips) * len(networks))

    classes = networks[0].arguments["classes"]
    total = blend(array, plan, classes, mean_logits, accumulator or device, progress, cancelled)
    _require_finite(total)
    return total.cpu().numpy()


def _require_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise NonFiniteOutputError(
            "The network's output is not finite (NaN or infinity), so no segmentation was made: "
            "try --device cpu, or another model."
        )


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
    source = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    windows = plan.windows(spatial)
    total, weight_sum = torch.zeros(0), torch.zeros(0)
    if len(windows) > 1:
        total = torch.zeros((values, *spatial), device=accumulator)
        weight_sum = torch.zeros(spatial, device=accumulator)
    for number, window in enumerate(windows, 1):
        if cancelled is not None and cancelled():
            raise CancelledError("Cancelled; nothing was written.")
        if progress is not None:
            progress((number - 1) / len(windows), f"tile {number} of {len(windows)}")
        every_channel = (slice(None), *window)
        computed = compute(source[every_channel]).to(accumulator)
        if len(windows) == 1:
            return computed
        weights = plan.weights(window, spatial).to(accumulator)
        total[every_channel] += computed * weights
        weight_sum[window] += weights
    return total / weight_sum


def _tile_probability(
    networks: list[Network], tile: Tensor, flips: tuple[tuple[int, ...], ...], device: torch.device
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
    total: Tensor | None = None
    for axes in flips:
        dims = [1 + axis for axis in axes]
        x = torch.flip(tile, dims)
        x = x.transpose(0, 1) if two_dimensional else x[None].contiguous(memory_format=torch.channels_last_3d)
        for network in networks:
            with autocast(device), torch.inference_mode():
                logits = network(x)
            probability = logits.float().softmax(1)
            probability = probability.transpose(0, 1) if two_dimensional else probability[0]
            probability = torch.flip(probability, dims) if dims else probability
            total = probability if total is None else total + probability
    assert total is not None  # there is at least one flip and one network
    count = len(flips) * len(networks)
    return total if count == 1 else total / count


def autocast(device: torch.device) -> torch.autocast:
    """Return the autocast context of a device: float16 on CUDA, bfloat16 on a CPU that has it, else none."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return torch.autocast("cpu", torch.bfloat16, enabled=device.type == "cpu" and cpu_has_bfloat16())


def kind_of(device: torch.device) -> str:
    """Return the kind of a device as the table of costs knows it (`cost.COSTS`)."""
    return "cpu bfloat16" if device.type == "cpu" and cpu_has_bfloat16() else device.type


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware; emulated it costs two to three times single precision.

    oneDNN calls bfloat16 supported wherever an x86 processor has AVX-512, which is enough to emulate it.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        return any(
            getattr(torch.cpu, name, lambda: False)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
