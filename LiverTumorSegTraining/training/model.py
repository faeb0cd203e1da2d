"""The network of a recipe, and the bundle it becomes."""

from __future__ import annotations

from LiverTumorSegLib.labels import LIVER, TUMOR
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
        field_of_view=config.field_of_view,
        network=network_of(config).arguments,
        labels=product_labels(config),
        channels=tuple(config.data.channels),
        spacing_mm=config.preparation.spacing_mm,
        patch_size=config.sampling.patch_size,
        resize=config.preparation.resize,
        mirroring=tuple(axis for axis, name in enumerate("zyx") if name in config.augmentation.flip_axes),
        intensity=intensity_of(config),
        channel_intensities=tuple(intensity_of(config, channel) for channel in config.data.channels)
        if config.preparation.channel_windows
        else (),
        weights={name: _as_stored(tensor.detach().cpu()) for name, tensor in weights.items()},
    )


def product_labels(config: Config) -> tuple[str, ...]:
    """Return the class names of the bundle: liver and tumour are called so whatever the recipe calls them."""
    names = config.data.labels
    return (LIVER.name, TUMOR.name, *names[2:]) if config.task == "liver-tumor" else tuple(names)


def _as_stored(tensor: Tensor) -> Tensor:
    """Return a weight as a model folder holds it, float16: what is validated is what is exported."""
    return tensor.half().float() if tensor.is_floating_point() else tensor
