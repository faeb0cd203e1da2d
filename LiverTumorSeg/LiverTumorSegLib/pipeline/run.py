"""One run on its way: who hears of its progress, what it noticed, what each stage took."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import SimpleITK as sitk

from ..errors import CancelledError
from ..findings import Finding
from ..model.tiles import Cancelled, Progress


@dataclass
class Run:
    """What one call of `segment` collects on its way; `doubts` are of the organ, void when there is none."""

    progress: Progress
    cancelled: Cancelled
    findings: list[Finding] = field(default_factory=list)
    doubts: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = "none"
    maps: dict[str, sitk.Image] = field(default_factory=dict)

    def tell(self, fraction: float, words: str) -> None:
        """Tell how far the run is; raise CancelledError when the user stopped it."""
        if self.cancelled():
            raise CancelledError("Cancelled; nothing was written.")
        self.progress(fraction, words)

    def out_of_memory(self, sentence: str) -> None:
        """Note that a device's memory did not suffice."""
        self.findings.append(Finding("memory", "info", sentence))

    @contextmanager
    def stage(self, name: str):  # type: ignore[no-untyped-def]  # the context manager of one timing
        """Time what happens in this context."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
