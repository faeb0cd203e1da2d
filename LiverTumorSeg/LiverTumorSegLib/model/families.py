"""Which class builds the network that a bundle describes; a description can name a family, never code."""

from __future__ import annotations

from typing import Any

import torch

from .network import UNet
from .nnunet import NnunetUNet

Network = UNet | NnunetUNet

OWN, NNUNET = "unet", "nnunet"
FAMILIES = (OWN, NNUNET)


def build_network(description: dict[str, Any]) -> Network:
    """Return the network of a bundle's description, newly initialised.

    Parameters
    ----------
    description : dict
        "family" (`UNet` where it is left out) and the arguments of its class.

    Raises
    ------
    ValueError, TypeError
        If the family is unknown or the arguments are not those of its class.
    """
    arguments = dict(description)
    family = arguments.pop("family", OWN)
    if family == OWN:
        return UNet(**arguments)
    if family == NNUNET:
        return NnunetUNet(**arguments)
    raise ValueError(f"network family is {family!r}, not one of {FAMILIES}")


def to_device(network: Network, device: torch.device) -> Network:
    """Return the network on a device, its 3D weights in the memory order in which convolutions are fastest."""
    network = network.to(device)
    if network.arguments["dims"] == 3:
        # torch's type stubs leave this overload out.
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network
