"""How many workers segment side by side, with how many threads and jobs each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MEMORY_A_WORKER = 3 << 30
"""Bytes: what segmenting 512 x 512 x 800 voxels may hold at most, with the next scan beside it."""
_MEMORY_INFO, _MEMORY_LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


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
    memory = free_memory()
    fitting = 2 if memory is None else max(memory // MEMORY_A_WORKER, 1)
    workers = wanted or (min(here, fitting) if on_cpu else 1)
    workers = max(1, min(workers, cases))
    return Plan(workers, max(1, here // workers), min(2 if on_cpu else 3, cases))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Return the bytes of memory that programs may still take, None where the system does not say."""
    found = []
    if _MEMORY_INFO.is_file():
        for line in _MEMORY_INFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) << 10)
    # A container or a job of a cluster may be allowed less than the machine has.
    if _MEMORY_LIMIT.is_file() and (limit := _MEMORY_LIMIT.read_text(encoding="ascii").strip()).isdigit():
        found.append(int(limit))
    if found:
        return min(found)
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
