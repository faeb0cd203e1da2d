"""The same work on many cases, on all cores: each case in a process of its own kind, in the order of the cases."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from LiverTumorSegLib.cores import cores

from LiverTumorSegTraining.data.case import Case, files_of

Answer = TypeVar("Answer")
MOST = 8
"""A case in work may take 2 GB."""
WORTH_IT = 256 << 20
"""Bytes of files below which starting processes costs more than it gains."""


def on_all_cores(work: Callable[[Case], Answer], cases: Sequence[Case]) -> Iterator[Answer]:
    """Yield the answer for each case, in order.

    Parameters
    ----------
    work : callable
        Of a module or a `functools.partial` of one, so that a new process finds it.
    cases : sequence of Case
        Few or small ones are done in this process.
    """
    count = min(cores(), len(cases), MOST)
    done = 0
    if count > 1 and sum(_bytes(case) for case in cases) >= WORTH_IT:
        # Spawned, not forked: threads of torch and ITK do not survive a fork.
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _quiet_worker)
        try:
            for answer in pool.map(work, cases):
                yield answer
                done += 1
        except BrokenProcessPool:
            # A worker was killed, as for want of memory: what is left is done here, one case at a time.
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for case in cases[done:]:
        yield work(case)


def _quiet_worker() -> None:
    """Leave the cores to the other workers, and Ctrl-C to the process that asked."""
    import signal

    import SimpleITK as sitk

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _bytes(case: Case) -> int:
    paths: set[Path] = {*case.images, *([case.label] if case.label is not None else [])}
    return sum(file.stat().st_size for path in paths for file in files_of(path) if file.is_file())
