"""How many workers segment side by side, with how many threads and jobs each."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..memory import machine_memory

MEMORY_A_WORKER = 3 << 30
"""Bytes: what segmenting 512 x 512 x 800 voxels may hold at most, with the next scan beside it."""


@dataclass(frozen=True)
class Plan:
    """Workers of a batch, threads of each for its arithmetic, and jobs that each does at a time."""

    workers: int
    threads: int
    jobs: int


def plan_for(cases: int, on_cpu: bool, wanted: int | None = None) -> Plan:
    """Return the plan for a number of cases.

    On CPUs a network gains less from a second thread than a second scan does, so there are as many workers as cores
    and memory allow. Other devices have one worker, which has a scan read, one in the network and one written.

    Parameters
    ----------
    cases : int
        Of the batch.
    on_cpu : bool
        Whether the networks run there.
    wanted : int, optional
        Workers that the user asks for.
    """
    here = cores()
    memory = machine_memory()
    fitting = 2 if memory is None else max(memory.available // MEMORY_A_WORKER, 1)
    workers = wanted or (min(here, fitting) if on_cpu else 1)
    workers = max(1, min(workers, cases))
    return Plan(workers, max(1, here // workers), min(2 if on_cpu else 3, cases))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
