"""The network of a recipe, and the bundle it becomes."""

from __future__ import annotations

from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.network import UNet
from torch import Tensor

from LiverTumorSegTraining.data.preparation import intensity_of
from LiverTumorSegTraining.recipe.config import Config


def network_of(config: Config) -> UNet:
    """Return the recipe's network, newly initialised."""
    return UNet(in_channels=len(config.data.channels), classes=config.classes, **config.network.model_dump())


def bundle_of(config: Config, weights: dict[str, Tensor]) -> Bundle:
    """Return weights of a recipe's network as a bundle in memory, version "0"."""
    return Bundle(
        id=config.id,
        version="0",
        task=config.task,
        network=network_of(config).arguments,
        labels=tuple(config.data.labels),
        channels=tuple(config.data.channels),
        spacing_mm=config.preparation.spacing_mm,
        patch_size=config.sampling.patch_size,
        resize=config.preparation.resize,
        intensity=intensity_of(config),
        weights={name: tensor.detach().cpu() for name, tensor in weights.items()},
    )
