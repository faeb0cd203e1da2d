"""In how many bits weights are stored: 32, 16, or 8 with a scale for each output of a layer.

In 8 bits a large weight is stored as one of 255 multiples of its layer's output's scale, absolute maximum / 127; the
network itself computes as ever (weight-only quantisation; Krishnamoorthi, 2018, "Quantizing deep convolutional
networks for efficient inference").
"""

from __future__ import annotations

import torch
from torch import Tensor

BITS = (32, 16, 8)
SCALE = ":scale"
"""Follows the name of an 8-bit weight in that of its scales."""
WORTH_8_BITS = 1024
"""Smaller weights stay in 16 bits."""


def stored(weights: dict[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Return weights as they are written, on the CPU; whole numbers stay as they are."""
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        tensor = weight.detach().cpu()
        if not tensor.is_floating_point():
            tensors[name] = tensor.contiguous()
        elif bits == 8 and tensor.ndim > 1 and tensor.numel() >= WORTH_8_BITS:
            scale = (tensor.float().flatten(1).abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
            steps = (tensor.float() / _along_first(scale, tensor)).round().clamp(-127, 127)
            tensors[name], tensors[name + SCALE] = steps.to(torch.int8).contiguous(), scale
        else:
            tensors[name] = tensor.to(torch.float32 if bits == 32 else torch.float16).contiguous()
    return tensors


def restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what `stored` was given, as exactly as its bits hold it.

    Raises
    ------
    KeyError
        For scales without a weight.
    """
    scales = {name.removesuffix(SCALE): tensor for name, tensor in tensors.items() if name.endswith(SCALE)}
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    for name, scale in scales.items():
        weights[name] = weights[name].float() * _along_first(scale, weights[name])
    return weights


def _along_first(scale: Tensor, tensor: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (tensor.ndim - 1))
