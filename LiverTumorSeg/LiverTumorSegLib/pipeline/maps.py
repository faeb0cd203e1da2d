"""Maps that explain a segmentation: where the network looked, and where it was unsure."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ..model.families import Network
from ..model.network import AttentionGate, SpatialAttention
from ..model.tile_plan import TilePlan
from ..model.tiles import Cancelled, autocast, blend


def uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of the mean class probabilities, scaled so that 255 is "every class equally likely".

    Over test-time flips or an ensemble this is the predictive entropy (Wang et al., Neurocomputing 2019).

    Parameters
    ----------
    probabilities : ndarray
        uint8 (classes - 1, ...), 255 times the probability.

    Returns
    -------
    ndarray
        uint8 (...).
    """
    total = np.zeros(probabilities.shape[1:], np.float32)
    rest = np.full(probabilities.shape[1:], 255, np.int16)
    for probability in probabilities:
        rest -= probability
        total -= _surprise(probability)
    total -= _surprise(np.clip(rest, 0, 255))
    return np.round(np.clip(total / np.log(len(probabilities) + 1), 0, 1) * 255).astype(np.uint8)


def _surprise(value: np.ndarray) -> np.ndarray:
    """Return p log p of 255 p; there are only 256 values."""
    p = np.arange(256) / 255
    table = np.where(p > 0, p * np.log(np.maximum(p, 1e-12)), 0).astype(np.float32)
    return table[value]


def attention(
    network: Network, array: np.ndarray, plan: TilePlan, device: torch.device, cancelled: Cancelled | None = None
) -> np.ndarray:
    """Return the coefficients of the finest attention module.

    Parameters
    ----------
    network : UNet
        In evaluation mode on `device`, with attention.
    array : ndarray
        Normalised input, float32 (channels, z, y, x).
    plan : TilePlan
        How it is cut; flips are not used.
    device : torch.device
        Where the network runs.
    cancelled : callable
        Asked before each tile.

    Returns
    -------
    ndarray
        uint8 (z, y, x): 255 times the coefficient.
    """
    finest = [module for module in network.modules() if isinstance(module, AttentionGate | SpatialAttention)][-1]
    seen: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        seen.append(finest.coefficients(*inputs))

    two_dimensional = network.arguments["dims"] == 2

    def compute(tile: Tensor) -> Tensor:
        seen.clear()
        x = tile.to(device)
        x = x.transpose(0, 1) if two_dimensional else x[None]
        with autocast(device), torch.inference_mode():
            network(x)
        coefficients = seen[0].float()
        mode = "bilinear" if two_dimensional else "trilinear"
        coefficients = F.interpolate(coefficients, x.shape[2:], mode=mode, align_corners=False)
        return coefficients.transpose(0, 1) if two_dimensional else coefficients[0]

    handle = finest.register_forward_hook(keep)
    try:
        blended = blend(array, plan, 1, compute, device, cancelled=cancelled)[0]
    finally:
        handle.remove()
    return (blended * 255).round_().to(torch.uint8).cpu().numpy()
