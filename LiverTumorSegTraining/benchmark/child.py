"""Run one candidate in a process of its own and take its wall time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
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
    lines : tuple of (float, str)
        What it printed, each line with the seconds since its start.
    """

    wall_s: float
    peak_rss_mb: float
    lines: tuple[tuple[float, str], ...]


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
    command = [sys.executable, *arguments]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process:
            peak = _Peak(process)
            output = process.stdout or ()
            lines = tuple((time.perf_counter() - start, line.decode(errors="replace")) for line in output)
            memory = peak.wait()
            wall = time.perf_counter() - start
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip()
    if process.returncode:
        raise LiverTumorSegError(f"the candidate {' '.join(arguments[:2])} failed: {words[-600:]}")
    return ChildRun(wall, memory, lines)


class _Peak:
    """The most memory of a child: from the kernel where it tells, otherwise by looking often."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._peak = process, 0
        if not hasattr(os, "wait4"):
            threading.Thread(target=self._watch, daemon=True).start()

    def wait(self) -> float:
        """Wait for the end and return the peak in MiB."""
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_maxrss / (2**20 if psutil.MACOS else 2**10)
        self._process.wait()
        return self._peak / 2**20

    def _watch(self) -> None:
        observed = psutil.Process(self._process.pid)
        while self._process.poll() is None:
            try:
                memory = observed.memory_info()
            except psutil.NoSuchProcess:
                return
            self._peak = max(self._peak, getattr(memory, "peak_wset", memory.rss))
            time.sleep(0.05)
