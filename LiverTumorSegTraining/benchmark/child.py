"""Run one candidate in a process of its own and take its wall time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from LiverTumorSegLib.errors import LiverTumorSegError


@dataclass(frozen=True)
class ChildRun:
    """What was measured from outside.

    Attributes
    ----------
    wall_s : float
        From start to end of the process, so with the start of Python and its imports.
    peak_rss_mb : float
        Most memory the process held, MiB.
    """

    wall_s: float
    peak_rss_mb: float


def run_child(arguments: Sequence[str], *, threads: int) -> ChildRun:
    """Run Python with these arguments and wait for it.

    Parameters
    ----------
    arguments : sequence of str
        What follows the interpreter; no shell.
    threads : int
        How many threads torch and SimpleITK may use.

    Raises
    ------
    LiverTumorSegError
        If the process fails; its last words are in the message.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
        "THP_MEM_ALLOC_ENABLE": "1",  # huge pages: without them half of a network's time is page faults
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        peak = _wait(process)
        wall = time.perf_counter() - start
        words = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if process.returncode:
        raise LiverTumorSegError(f"the candidate {' '.join(arguments[:2])} failed: {words.strip()[-600:]}")
    return ChildRun(wall, peak)


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end; return the peak in MiB, from the kernel where it tells, otherwise by looking often."""
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / (2**20 if psutil.MACOS else 2**10)
    observed, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, getattr(observed.memory_info(), "peak_wset", observed.memory_info().rss))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    process.wait()
    return peak / 2**20
