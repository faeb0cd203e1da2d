"""Where networks run: finding a device that really works, and what to try when its memory is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..errors import OutOfMemoryError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Rung:
    """One step of the device ladder: where the network runs and where its output is summed."""

    network: torch.device
    accumulator: torch.device

    @property
    def name(self) -> str:
        """The words of reports, such as "cuda:0 NVIDIA H100, sums on cpu"."""
        name = str(self.network)
        if self.network.type == "cuda":
            name += f" {torch.cuda.get_device_name(self.network)}"
        return name if self.network == self.accumulator else f"{name}, sums on {self.accumulator}"


def choose_device(request: str) -> tuple[torch.device, str | None]:
    """Return a device on which a convolution was seen to run, and a sentence if it is not the one expected.

    Parameters
    ----------
    request : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    UsageError
        If the request is none of these, or names a device this computer does not have.
    """
    if request == "cpu":
        return torch.device("cpu"), None
    if request == "auto":
        candidates = (["cuda"] if torch.cuda.is_available() else []) + (
            ["mps"] if torch.backends.mps.is_available() else []
        )
        for candidate in candidates:
            failure = probe(torch.device(candidate))
            if failure is None:
                return _indexed(candidate), None
            return torch.device(
                "cpu"
            ), f"The {candidate.upper()} device cannot run a network ({failure}): the CPU is used."
        return torch.device("cpu"), None
    kind, _, index = request.partition(":")
    if kind not in ("cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"--device is {request!r}; it must be auto, cpu, cuda, cuda:N or mps.")
    present = torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available()
    if not present:
        raise UsageError(f"--device is {request!r}, but torch finds no {kind.upper()} device here: use auto or cpu.")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UsageError(f"--device is {request!r}, but there are only {torch.cuda.device_count()} CUDA devices.")
    failure = probe(torch.device(request))
    if failure is not None:
        raise UsageError(f"--device is {request!r}, but it cannot run the network ({failure}): use auto or cpu.")
    return _indexed(request), None


def _indexed(request: str) -> torch.device:
    device = torch.device(request)
    return torch.device("cuda", torch.cuda.current_device()) if request == "cuda" else device


def probe(device: torch.device) -> str | None:
    """Return None when a 3D convolution runs on the device, else the first line of the reason.

    `torch.cuda.is_available()` is true on GPUs for which this torch has no kernels.
    """
    try:
        image, kernel = torch.ones(1, 1, 4, 4, 4, device=device), torch.ones(1, 1, 3, 3, 3, device=device)
        torch.nn.functional.conv3d(image, kernel).sum().item()
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return None


def ladder(device: torch.device) -> Iterator[Rung]:
    """Yield the rungs to try: the device, the device with sums on the CPU, the CPU."""
    cpu = torch.device("cpu")
    yield Rung(device, device)
    if device.type != "cpu":
        yield Rung(device, cpu)
        yield Rung(cpu, cpu)


def climb(device: torch.device, work: Callable[[Rung], T], told: Callable[[str], None]) -> tuple[T, Rung]:
    """Run `work` on the first rung with enough memory.

    Parameters
    ----------
    device : torch.device
        Where to start.
    work : callable
        Called with a rung; only running out of memory moves on to the next.
    told : callable
        Given one sentence for each rung that was too small.

    Raises
    ------
    OutOfMemoryError
        When none is left.
    """
    for rung in ladder(device):
        try:
            return work(rung), rung
        except (torch.OutOfMemoryError, MemoryError):
            if rung.network.type == "cuda":
                torch.cuda.empty_cache()
            told(f"Not enough memory on {rung.name}; the next smaller way was tried.")
    raise OutOfMemoryError(
        "There is not enough memory to segment this scan: close other programs, or crop the scan to the abdomen."
    )
