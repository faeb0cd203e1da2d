"""How many workers segment side by side, with how many threads and jobs each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..cores import cores
from ..grid import Grid
from ..memory import machine_memory
from ..pipeline.inference import Segmenter
from ..pipeline.plan import RESERVE

LARGE_SCAN = Grid((512, 512, 800), (0.8, 0.8, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
"""No scan of the batch is looked at before it is segmented; hardly any is larger."""
VOXEL_BYTES = 2
UNMEASURED = 3 << 30
"""Bytes for a worker whose models have no plan."""


@dataclass(frozen=True)
class WorkerPlan:
    """Workers of a batch, threads of each for its arithmetic, and jobs that each does at a time."""

    workers: int
    threads: int
    jobs: int


def worker_plan(cases: int, segmenter: Segmenter, wanted: int | None = None) -> WorkerPlan:
    """Return the workers for a number of cases.

    On CPUs a network gains less from a second thread than a second scan does, so there are as many workers as cores
    and memory allow. Other devices have one worker, which has a scan read, one in the network and one written.

    Parameters
    ----------
    cases : int
        Of the batch.
    segmenter : Segmenter
        As each worker will make one.
    wanted : int, optional
        Workers that the user asks for.
    """
    here, on_cpu = cores(), segmenter.device.type == "cpu"
    jobs = min(2 if on_cpu else 3, cases)
    memory = machine_memory()
    room = None if memory is None else (1 - RESERVE) * memory.available
    fitting = 2 if room is None else max(int(room // memory_of_a_worker(segmenter, jobs)), 1)
    workers = wanted or (min(here, fitting) if on_cpu else 1)
    workers = max(1, min(workers, cases))
    return WorkerPlan(workers, max(1, here // workers), jobs)


def memory_of_a_worker(segmenter: Segmenter, jobs: int) -> int:
    """Return the bytes that a worker may hold: a large scan under way, and those of its other jobs beside it."""
    plan = segmenter.cost(LARGE_SCAN, VOXEL_BYTES)
    return UNMEASURED if plan is None else plan.bytes + (jobs - 1) * math.prod(LARGE_SCAN.size) * VOXEL_BYTES
