"""Losses over class logits; voxels labelled 255 count nowhere, 254 means any foreground class.

Every loss is a function of sums over the voxels of the whole batch. Under several processes those sums are added up
before the loss is formed, so that it is the loss of the global batch, not a mean of losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from LiverTumorSegLib.labels import IGNORE
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND
from LiverTumorSegTraining.recipe.config import LossConfig

LARGE_LESION_VOXELS = 16.0
"""From this diameter on a lesion's voxels weigh no more than those of its class."""
SURROUNDINGS_VOXELS = 3
"""So far around a lesion the tissue weighs as it does: otherwise small lesions would be drawn too large."""
LIGHTEST, HEAVIEST = 0.1, 10.0
"""Bounds of automatic class weights: a class of a few voxels must not drown the others."""


class SegmentationLoss:
    """The loss of a recipe.

    Parameters
    ----------
    loss : LossConfig
        Which loss; `class_weights` as given there, unless "auto".
    class_weights : sequence of float, optional
        Weights of the cross entropy, background first.
    add_up : callable
        Adds a vector over all processes, differentiable.
    """

    def __init__(
        self,
        loss: LossConfig,
        class_weights: Sequence[float] | None = None,
        add_up: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        self.loss, self.add_up = loss, add_up
        given = loss.class_weights if isinstance(loss.class_weights, list) else None
        weights = class_weights if class_weights is not None else given
        self.class_weights = None if weights is None else torch.as_tensor(list(weights), dtype=torch.float32)

    def __call__(self, logits: Tensor | list[Tensor], label: Tensor) -> Tensor:
        """Return the loss; finite also when nothing is labelled or no foreground is there.

        Parameters
        ----------
        logits : Tensor or list of Tensor
            (N, C, ...); with deep supervision one for each scale, finest first, weighted 1, 1/2, 1/4 ...
        label : Tensor
            (N, ...) of class values, 254 or 255.
        """
        if isinstance(logits, Tensor):
            return self._one_scale(logits, label)
        weights = [0.5**scale for scale in range(len(logits))]
        losses = []
        for output in logits:
            small = F.interpolate(label[:, None].float(), output.shape[2:], mode="nearest")[:, 0]
            losses.append(self._one_scale(output, small))
        return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum() / sum(weights)

    def _one_scale(self, logits: Tensor, label: Tensor) -> Tensor:
        logits = logits.float()
        classes = logits.shape[1]
        entropy, weight = self._cross_entropy_sums(logits, label)
        if self.loss.name == "cross_entropy":
            entropy, weight = self.add_up(torch.stack([entropy, weight])).unbind()
            return entropy / weight.clamp(min=1e-6)
        overlap, predicted, present = region_sums(logits, label)
        sums = self.add_up(torch.cat([torch.stack([entropy, weight]), overlap, predicted, present]))
        entropy, weight = sums[0], sums[1]
        overlap, predicted, present = (part[1:] for part in sums[2:].split(classes))
        if self.loss.name == "dice_ce":
            # Summed over the batch, a patch without tumour does not define a class of its own.
            dice = (2 * overlap + 1) / (predicted + present + 1)
            return entropy / weight.clamp(min=1e-6) + (1 - dice).mean()
        alpha = self.loss.tversky_alpha
        false_positive, missed = predicted - overlap, present - overlap
        index = (overlap + 1) / (overlap + alpha * false_positive + (1 - alpha) * missed + 1)
        # The slope of x ** gamma at 0 is infinite for gamma below 1.
        return (1 - index).clamp(min=1e-6).pow(self.loss.tversky_gamma).mean()

    def _cross_entropy_sums(self, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        target = label.long()
        partial = target == ANY_FOREGROUND
        certain = target.masked_fill(partial, IGNORE)
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        share = (certain != IGNORE).float()
        if self.loss.small_lesions > 1:
            share = share * lesion_weights(label, logits.shape[1], self.loss.small_lesions)
        entropy = (F.cross_entropy(logits, certain, weights, ignore_index=IGNORE, reduction="none") * share).sum()
        if weights is not None:
            share = share * weights[certain.clamp(max=logits.shape[1] - 1)]
        weight = share.sum()
        if partial.any():
            log_probability = logits.log_softmax(1)
            foreground = 1.0 if weights is None else float(weights[1:].mean())
            entropy = entropy - foreground * (log_probability[:, 1:].logsumexp(1) * partial).sum()
            weight = weight + foreground * partial.sum()
        return entropy, weight


def lesion_weights(label: Tensor, classes: int, heaviest: float) -> Tensor:
    """Return the weight of each voxel in the cross entropy, so that small lesions count as well as large ones do.

    The weight of a connected piece of a class after the first (the organ), and of what surrounds it, falls with the
    diameter of the ball of its volume (in 2D, the disc of its area), from `heaviest` to 1. Inverse to the whole
    volume, as in Shirokikh et al. ("Universal loss reweighting to balance lesion size inequality in 3D medical image
    segmentation", MICCAI 2020), a speck would count as a mass.

    Parameters
    ----------
    label : Tensor
        (N, ...) of class values.
    classes : int
        With background.
    heaviest : float
        Weight of the smallest, at least 1.

    Returns
    -------
    Tensor
        float32, the shape of `label`, on its device; 1 everywhere else.
    """
    values = label.cpu().numpy()
    weights = np.ones(values.shape, np.float32)
    for sample, places in zip(values, weights, strict=True):
        for value in range(2, classes):
            pieces, count = ndimage.label(sample == value, np.ones((3,) * sample.ndim))
            if not count:
                continue
            diameters = _diameters(np.maximum(np.bincount(pieces.ravel()), 1), sample.ndim)
            factors = np.clip(LARGE_LESION_VOXELS / diameters, 1, heaviest)
            factors[0] = 1
            wide = ndimage.maximum_filter(factors[pieces].astype(np.float32), 2 * SURROUNDINGS_VOXELS + 1)
            np.maximum(places, wide, out=places)
    return torch.from_numpy(weights).to(label.device)


def _diameters(voxels: np.ndarray, dims: int) -> np.ndarray:
    """Return the diameters of balls (3D) or discs (2D) of so many voxels, in voxels."""
    diameters: np.ndarray = np.cbrt(6 / np.pi * voxels) if dims == 3 else np.sqrt(4 / np.pi * voxels)
    return diameters


def region_sums(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each class, the sums over certain voxels of probability in the class, probability, and the class.

    Parameters
    ----------
    logits : Tensor
        (N, C, ...), float32.
    label : Tensor
        (N, ...).
    """
    target = label.long()
    certain = (target < ANY_FOREGROUND).unsqueeze(1)
    probability = logits.softmax(1) * certain
    one_hot = (
        torch.zeros_like(probability).scatter_(1, target.clamp(max=logits.shape[1] - 1).unsqueeze(1), 1.0) * certain
    )
    axes = [0, *range(2, logits.ndim)]
    return (probability * one_hot).sum(axes), probability.sum(axes), one_hot.sum(axes)


def automatic_class_weights(labels: Sequence[np.ndarray], classes: int) -> list[float]:
    """Return weights of median frequency balancing (Eigen and Fergus, ICCV 2015), between 0.1 and 10.

    Parameters
    ----------
    labels : sequence of ndarray of uint8
        Prepared labels of the training cases.
    classes : int
        With background.
    """
    counts = sum(
        (np.bincount(np.asarray(label).ravel(), minlength=256)[:classes] for label in labels), np.zeros(classes)
    )
    frequency = counts / max(counts.sum(), 1)
    present = frequency > 0
    if not present.any():
        return [1.0] * classes
    middle = float(np.median(frequency[present]))
    weights = np.where(present, middle / np.maximum(frequency, 1e-12), 1.0)
    return [float(v) for v in np.clip(weights, LIGHTEST, HEAVIEST)]
