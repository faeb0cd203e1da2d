"""The optimiser of a recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from LiverTumorSegTraining.recipe.config import OptimiserConfig
from LiverTumorSegTraining.training.muon import Muon

SMALLEST_MATRIX = 32
"""Weights with fewer rows or columns, such as a head of three classes, are not worth a matrix step."""


class MatrixOptimiser:
    """Muon for the matrices of a network, AdamW for what is no matrix; with the interface of a torch optimiser.

    A convolution is the matrix of its output channels and everything that each of them sees. Its momentum is made
    orthogonal before the step (Jordan et al., 2024, "Muon"), scaled to the size of a step of AdamW (Liu et al., 2025,
    "Muon is scalable for LLM training"), so that one learning rate serves both.

    Parameters
    ----------
    parameters : list of Parameter
        To be trained; the matrices among them are changed through views of their memory.
    learning_rate, weight_decay : float
        Of both.
    """

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        self.weights = [parameter for parameter in parameters if _is_matrix(parameter)]
        self.matrices = [nn.Parameter(_as_matrix(weight.detach(), weight)) for weight in self.weights]
        others = [parameter for parameter in parameters if not _is_matrix(parameter)]
        self.parts: list[torch.optim.Optimizer] = []
        if self.matrices:
            self.parts.append(Muon(self.matrices, learning_rate, weight_decay))
        if others:
            self.parts.append(torch.optim.AdamW(others, learning_rate, weight_decay=weight_decay))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both, whose "lr" may be set."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """Change the weights by their gradients."""
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another run.

        Raises
        ------
        ValueError
            When it belongs to another kind of optimiser or another network.
        """
        parts = state.get("parts", [])
        for part, of_part in zip(self.parts, parts, strict=True):
            part.load_state_dict(of_part)


def optimiser_of(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer | MatrixOptimiser:
    """Return the optimiser of those weights of a network that are trained."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, decay = config.learning_rate, config.weight_decay
    if config.kind == "muon":
        return MatrixOptimiser(parameters, rate, decay)
    if config.kind == "sgd":
        return torch.optim.SGD(parameters, rate, 0.99, weight_decay=decay, nesterov=True)
    return torch.optim.AdamW(parameters, rate, weight_decay=decay)


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and min(weight.shape[0], weight[0].numel()) >= SMALLEST_MATRIX


def _as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Return output channels x what each of them sees, in the order of the weight's memory: of the weight a view."""
    if weight.is_contiguous():
        return values.flatten(1)
    return values.movedim(1, -1).flatten(1)
