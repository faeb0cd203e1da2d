"""Instance normalisation (Ulyanov et al., 2016) that keeps the channels-last memory order on the CPU.

torch's own turns every activation into channels-first order and back, which costs a quarter of a training step on two
cores, and its gradient is wrong for a single sample in channels-last order (seen with torch 2.13; the test beside this
shows it). Group normalisation with one channel a group is the same function, and its forward pass is fast in both
orders; its backward pass is not, so that one is written out here.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

ROW_LENGTH = 512


class _ChannelsLast(torch.autograd.Function):
    """Instance normalisation of (N, C, z, y, x) in channels-last order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        n, channels = x.shape[:2]
        y, mean, inverse_sd = torch.native_group_norm(x, weight, bias, n, channels, x[0, 0].numel(), channels, eps)
        ctx.save_for_backward(x, weight, mean.float(), inverse_sd.float())
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse_sd = ctx.saved_tensors
        n, channels = x.shape[:2]
        count = x[0, 0].numel()
        rows = _rows(x)
        gradient = _rows(gradients[0].contiguous(memory_format=torch.channels_last_3d))
        total = _sum_of_positions(gradient, channels)
        # Sum over the positions of gradient times normalised input.
        along = (_sum_of_positions(gradient * rows, channels) - mean * total) * inverse_sd
        # dx = weight / sd * (gradient - mean(gradient) - normalised * mean(gradient * normalised)), as a plane in
        # gradient and x.
        scale = weight * inverse_sd
        slope = -scale * inverse_sd * along / count
        offset = -scale * total / count - slope * mean
        repeats = rows.shape[2] // channels
        plane = [value.to(rows.dtype).repeat(1, repeats)[:, None] for value in (scale, slope, offset)]
        dx = torch.addcmul(plane[2], gradient, plane[0]).addcmul_(rows, plane[1])
        dx = dx.view(n, *x.shape[2:], channels).permute(0, 4, 1, 2, 3)
        return dx, along.sum(0), total.sum(0), None


def _rows(x: Tensor) -> Tensor:
    """Return a channels-last (N, C, z, y, x) as (N, rows, positions in a row * C), without a copy.

    Several positions make one row, because short rows are slow to work through.
    """
    n, channels = x.shape[:2]
    repeats = math.gcd(x[0, 0].numel(), max(ROW_LENGTH // channels, 1))
    return x.permute(0, 2, 3, 4, 1).reshape(n, -1, repeats * channels)


def _sum_of_positions(rows: Tensor, channels: int) -> Tensor:
    """Return the float32 sum (N, C) over all positions of what `_rows` made; only the parts' sums are rounded."""
    return rows.sum(1).float().view(rows.shape[0], -1, channels).sum(1)


class InstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` with affine parameters, faster on a CPU whose activations lie channels-last."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each sample of (N, C, z, y, x) over its positions."""
        in_order = x.is_contiguous(memory_format=torch.channels_last_3d) and not x.is_contiguous()
        if x.device.type != "cpu" or not in_order:
            return super().forward(x)
        return _ChannelsLast.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-any-return]
