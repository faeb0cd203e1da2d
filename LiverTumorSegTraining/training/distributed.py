"""Several processes that train one network: started by torchrun, one process each GPU (or several on the CPU)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from LiverTumorSegLib.errors import UsageError
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from LiverTumorSegTraining.recipe.config import Config

PATIENCE = timedelta(hours=4)
"""While the first process validates, the others wait."""


class _AddUp(torch.autograd.Function):
    """Sum over all processes; the gradient of the sum is handed to each process's own part."""

    @staticmethod
    def forward(context: Any, sums: Tensor) -> Tensor:
        total = sums.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


class Processes:
    """One process among all that train together; alone when not started by torchrun.

    Attributes
    ----------
    rank, world : int
        Number of this process and how many there are.
    device : torch.device
        Where this process trains.
    """

    def __init__(self, config: Config) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(config)
        self._joined = False
        if self.world == 1:
            return
        if config.sampling.batch_size < self.world:
            raise UsageError(
                f"sampling.batch_size is {config.sampling.batch_size}, but {self.world} processes share it: "
                f"raise it to at least {self.world}."
            )
        if config.network.norm == "batch" and self.device.type == "cpu":
            raise UsageError(
                "network.norm batch cannot be synchronised between CPU processes: use norm instance, or GPUs."
            )
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=PATIENCE)
            self._joined = True

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network as it is called in training; gradients are averaged over the processes."""
        if self.world == 1:
            return network
        devices = [self.device.index or 0] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def synchronise_norms(self, network: nn.Module) -> nn.Module:
        """Return the network with batch statistics taken over all processes."""
        return nn.SyncBatchNorm.convert_sync_batchnorm(network) if self.world > 1 else network

    def add_up(self, sums: Tensor) -> Tensor:
        """Return a vector summed over all processes, differentiable."""
        return _AddUp.apply(sums) if self.world > 1 else sums

    def agree(self, *values: float) -> tuple[float, ...]:
        """Return the first process's values in every process."""
        if self.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return tuple(shared.tolist())

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            distributed.barrier()

    def leave(self) -> None:
        """End the group that this object started."""
        if self._joined:
            distributed.destroy_process_group()
            self._joined = False


def _device(config: Config) -> torch.device:
    wanted = config.run.device
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("run.device is cuda, but no CUDA device is usable here: set run.device auto or cpu.")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
