"""Losses over class logits; voxels labelled 255 count nowhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from LiverTumorSegLib.labels import IGNORE


def dice_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return soft Dice loss plus cross entropy, the mean of both over what is labelled.

    Dice is summed over the batch, so that a patch without tumour does not define a class of its own; with no labelled
    voxel of any class the loss is 0.

    Parameters
    ----------
    logits : Tensor
        (N, C, ...).
    label : Tensor
        (N, ...) of class values or 255.
    """
    target = label.long()
    known = (target != IGNORE).unsqueeze(1)
    logits = logits.float()
    entropy = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum") / known.sum().clamp(min=1)
    probability = logits.softmax(1) * known
    one_hot = torch.zeros_like(probability).scatter_(1, target.clamp(max=logits.shape[1] - 1).unsqueeze(1), 1.0) * known
    axes = [0, *range(2, logits.ndim)]
    overlap = (probability * one_hot).sum(axes)[1:]
    total = (probability.sum(axes) + one_hot.sum(axes))[1:]
    dice = (2 * overlap + 1) / (total + 1)
    return entropy + (1 - dice).mean()


def deep_supervision(logits: Tensor | list[Tensor], label: Tensor) -> Tensor:
    """Return the loss summed over scales with weights 1, 1/2, 1/4 ..., normalised; labels are taken by nearest neighbour."""
    if isinstance(logits, Tensor):
        return dice_cross_entropy(logits, label)
    weights = [0.5**scale for scale in range(len(logits))]
    losses = []
    for output in logits:
        small = F.interpolate(label[:, None].float(), output.shape[2:], mode="nearest")[:, 0]
        losses.append(dice_cross_entropy(output, small))
    return sum((w * loss for w, loss in zip(weights, losses, strict=True)), torch.zeros(())) / sum(weights)
