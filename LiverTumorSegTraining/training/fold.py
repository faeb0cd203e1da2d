"""Fixed statistics folded into convolutions: the way to a network without normalisation.

Normalisation layers make training easy and inference dear: they cost a third of a forward pass, and instance
normalisation makes the answer depend on the tile. Here the statistics of one batch of training samples, taken layer by
layer (Mishkin and Matas, "All you need is a good init", ICLR 2016), are fixed and folded into the convolutions. A
trained network keeps nearly what it learnt and is trained on; a new one starts with activations of unit variance.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from LiverTumorSegLib.model.network import UNet
from torch import Tensor, nn

_BATCH_NORM = (nn.BatchNorm2d, nn.BatchNorm3d)


def with_batch_norm(network: UNet) -> UNet:
    """Return a new network of the same arguments, but with batch normalisation: what `calibrate` and `folded` take."""
    return UNet(**{**network.arguments, "norm": "batch"})


def calibrate(network: UNet, images: Tensor) -> None:
    """Set the statistics of every batch normalisation to those of one batch, each layer after those before it.

    Parameters
    ----------
    network : UNet
        With batch normalisation; changed in place.
    images : Tensor
        Network input (N, C, ...), enough samples to stand for the training set.
    """
    layers = [module for module in network.modules() if isinstance(module, _BATCH_NORM)]
    momenta = [layer.momentum for layer in layers]
    was_training = network.training
    for layer in layers:
        # In one pass a layer sees what the layers before it give with their statistics already fixed.
        layer.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.train(was_training)


def folded(network: UNet) -> dict[str, Tensor]:
    """Return the state of the same network without normalisation that computes what this one does in evaluation mode.

    Parameters
    ----------
    network : UNet
        With batch normalisation.
    """
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for convolution, norm, eps in _normalised(network):
        weight = state[f"{convolution}.weight"]
        del state[f"{norm}.num_batches_tracked"]
        scale = state.pop(f"{norm}.weight") * (state.pop(f"{norm}.running_var") + eps).rsqrt()
        state[f"{convolution}.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        state[f"{convolution}.bias"] = state.pop(f"{norm}.bias") - state.pop(f"{norm}.running_mean") * scale
    return state


def is_statistic(name: str) -> bool:
    """Return whether an entry of a network's state is one that normalisation counts instead of learning."""
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _normalised(network: UNet) -> Iterator[tuple[str, str, float]]:
    """Yield the names of each convolution and of the normalisation that follows it, and the latter's epsilon."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], _BATCH_NORM):
            yield f"{name}.0", f"{name}.1", module[1].eps
