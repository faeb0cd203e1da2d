"""The recipe's loss on held-out cases: the same few samples every time, unchanged by augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from LiverTumorSegTraining.data.preparation import PreparedCase
from LiverTumorSegTraining.recipe.config import AugmentationConfig, Config, SyntheticConfig
from LiverTumorSegTraining.samples.sampling import PatchSampler
from LiverTumorSegTraining.training.losses import SegmentationLoss

SAMPLES = 16
NO_CHANGE = AugmentationConfig(
    rotation_degrees=0, scale=(1, 1), flip_axes=[], shift_hu=0, contrast=(1, 1), noise_sd_hu=0, blur_voxels=0,
    thick_slice_probability=0,
)  # fmt: skip


class ValidationLoss:
    """Mean loss over samples of the held-out cases, drawn as the training's but as they are.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Held-out cases, at least one.
    config : Config
        The recipe.
    class_weights : sequence of float or None
        As the training loss has them.
    """

    def __init__(
        self, cases: Sequence[PreparedCase], config: Config, class_weights: Sequence[float] | None = None
    ) -> None:
        sampling = config.sampling.model_copy(update={"batch_size": 1})
        plain = config.model_copy(
            update={
                "augmentation": NO_CHANGE,
                "synthetic": SyntheticConfig(probability=0, distractor_probability=0),
                "sampling": sampling,
            }
        )
        self._samples = max(SAMPLES, len(cases)) if config.sampling.kind == "volumes" else SAMPLES
        self._sampler = PatchSampler(cases, plain)
        self._loss = SegmentationLoss(config.loss, class_weights)

    def __call__(self, network: nn.Module, device: torch.device) -> float | None:
        """Return the loss of a network in evaluation mode; None when it is not finite."""
        total = 0.0
        with torch.inference_mode():
            for number in range(self._samples):
                batch = self._sampler.batch(number)
                total += float(self._loss(network(batch.image.to(device)), batch.label.to(device)))
        mean = total / self._samples
        return mean if math.isfinite(mean) else None
