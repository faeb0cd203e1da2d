"""Further augmentation by MONAI transforms of a whole batch, where the batch lies (on the GPU when there is one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from LiverTumorSegTraining.recipe.config import AugmentationConfig

PROBABILITY = 0.2


class MonaiAugmentation:
    """The transforms that `augmentation.monai` names, applied to normalised samples.

    Parameters
    ----------
    augmentation : AugmentationConfig
        The recipe's section.
    seed : int
        Seed of the run; what happens to a sample follows from it, the step and the place.
    """

    def __init__(self, augmentation: AugmentationConfig, seed: int) -> None:
        self.seed = seed
        self.transforms = [_make(name) for name in augmentation.monai]

    def __call__(self, images: Tensor, step: int, places: list[int]) -> Tensor:
        """Return the batch (N, C, ...) changed; `places` are the places of its samples in the global batch."""
        if not self.transforms:
            return images
        samples = []
        for image, place in zip(images, places, strict=True):
            changed = image
            for number, transform in enumerate(self.transforms):
                seed = (self.seed * 1_000_003 + step * 1009 + place * 31 + number) % 2**32
                transform.set_random_state(seed=seed)
                changed = transform(changed)
            samples.append(changed.as_tensor() if hasattr(changed, "as_tensor") else changed)
        return images.new_tensor([]) if not samples else _stacked(samples, images)


def _stacked(samples: list[Tensor], like: Tensor) -> Tensor:
    batch = like.new_empty(like.shape)
    for place, sample in enumerate(samples):
        batch[place] = sample
    return batch


def _make(name: str) -> Any:
    """Return a random transform of MONAI: called with a tensor, seeded by `set_random_state`."""
    from monai import transforms

    makers: dict[str, Callable[[], Any]] = {
        "bias_field": lambda: transforms.RandBiasField(degree=3, coeff_range=(0.0, 0.3), prob=PROBABILITY),
        "gamma": lambda: transforms.RandAdjustContrast(prob=PROBABILITY, gamma=(0.7, 1.5)),
        "gibbs": lambda: transforms.RandGibbsNoise(prob=PROBABILITY, alpha=(0.2, 0.6)),
        "dropout": lambda: transforms.RandCoarseDropout(holes=4, spatial_size=6, max_holes=8, prob=PROBABILITY),
        "histogram": lambda: transforms.RandHistogramShift(num_control_points=8, prob=PROBABILITY),
    }
    return makers[name]()
