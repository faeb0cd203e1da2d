"""A training that needs more memory than there is: told in one sentence, with the settings that decide it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from LiverTumorSegLib.errors import OutOfMemoryError

from LiverTumorSegTraining.recipe.config import Config

_ALLOCATION_FAILED = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What torch says in a plain RuntimeError where the machine, or a library on the GPU, gets no memory."""


@contextmanager
def told_when_short(config: Config, device: torch.device) -> Iterator[None]:
    """Turn running out of memory, the device's or the machine's, into an `OutOfMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_shortage(error):
            raise
        place = str(device) if isinstance(error, torch.OutOfMemoryError) else "this machine"
        sampling, network = config.sampling, config.network
        raise OutOfMemoryError(
            f"A step of the training does not fit the memory of {place}: lower sampling.batch_size "
            f"({sampling.batch_size}), sampling.patch_size ({list(sampling.patch_size)}) or network.features "
            f"({network.features})."
        ) from error


def _is_shortage(error: RuntimeError | MemoryError) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in _ALLOCATION_FAILED)
