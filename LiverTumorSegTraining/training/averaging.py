"""The exponential moving average of a network's weights: what is validated and exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averaged state of a network.

    Parameters
    ----------
    network : Module
        Whose state is copied at first.
    decay : float
        Reached after the first steps, in which the average follows faster.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {
            name: tensor.detach().clone() for name, tensor in network.state_dict().items()
        }

    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards the network after a step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if tensor.is_floating_point():
                    self.state[name].lerp_(tensor, 1 - decay)
                else:
                    self.state[name].copy_(tensor)
