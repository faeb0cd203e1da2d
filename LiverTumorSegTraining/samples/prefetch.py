"""Prepare the samples of the next steps in threads while the network is busy with this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Context that yields `make(first)`, `make(first + 1)`, ... in order, made ahead of time.

    Threads, not processes: numpy and torch release the interpreter's lock, nothing is copied, and it works alike where
    processes are spawned.

    Parameters
    ----------
    make : callable
        Makes the samples of a step.
    first, stop : int
        First step, and the step before which it ends.
    workers : int
        Threads, and steps made ahead.
    """

    def __init__(self, make: Callable[[int], T], first: int, stop: int, workers: int = 1) -> None:
        self._make, self._following, self._stop, self._workers = make, first, stop, workers
        self._pool = ThreadPoolExecutor(workers, "samples")
        self._waiting: deque[Future[T]] = deque()

    def __enter__(self) -> Prefetch[T]:
        self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def next(self) -> T:
        """Return the samples of the next step."""
        made = self._waiting.popleft().result()
        self._fill()
        return made

    def _fill(self) -> None:
        while len(self._waiting) < self._workers and self._following < self._stop:
            self._waiting.append(self._pool.submit(self._make, self._following))
            self._following += 1
