"""Run one candidate in a process of its own and take its wall time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from LiverTumorSegLib.errors import LiverTumorSegError

INTERVAL_S = 0.02
FAMILY_EVERY = 25
"""Looks at the process for one at the processes that it started, which takes longer."""


@dataclass(frozen=True)
class ChildRun:
    """What was measured from outside.

    Attributes
    ----------
    wall_s : float
        From start to end of the process, so with the start of Python and its imports.
    cpu_s : float
        Processor time of the process and of those it started, which other jobs on the machine disturb less.
    peak_rss_mb : float
        Most memory the process held, with what those it started held at that moment, MiB.
    lines : tuple of (float, str)
        What it printed, each line with the seconds since its start.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    lines: tuple[tuple[float, str], ...]


def run_child(
    arguments: Sequence[str], *, threads: int, python: str = sys.executable, more: Mapping[str, str] | None = None
) -> ChildRun:
    """Run Python with these arguments and wait for it.

    Parameters
    ----------
    arguments : sequence of str
        What follows the interpreter; no shell.
    threads : int
        How many threads torch and SimpleITK may use.
    python : str
        The interpreter; one of another environment does not see this package.
    more : mapping, optional
        Further variables of its environment.

    Raises
    ------
    LiverTumorSegError
        If the process fails; its last words are in the message.
    """
    environment = {
        **os.environ,
        **(more or {}),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
        "THP_MEM_ALLOC_ENABLE": "1",  # huge pages: without them half of a network's time is page faults
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    if python == sys.executable:
        # The child finds this package however it was found here, also without an installation.
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    command = [python, *arguments]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process:
            watch = _Watch(process.pid)
            output = process.stdout or ()
            lines = tuple((time.perf_counter() - start, line.decode(errors="replace")) for line in output)
            spent_s = _wait(process)
            wall = time.perf_counter() - start
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip()
    if process.returncode:
        raise LiverTumorSegError(f"the candidate {' '.join(arguments[:2])} failed: {words[-600:]}")
    cpu_s, peak_rss_mb = watch.figures()
    return ChildRun(wall, max(cpu_s, spent_s), peak_rss_mb, lines)


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end and return the processor seconds that the system says of it; 0 where it says nothing.

    They hold those of the processes that it started and waited for, to the last moment, which a look from outside
    every so often misses.
    """
    if sys.platform == "win32":
        process.wait()
        return 0.0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


class _Watch:
    """Processor time and most memory of a running process, looked up often.

    The kernel's own account of an ended child would not do for memory: on Linux it starts from that of its parent.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._bytes, self._cpu_s = pid, 0, 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def figures(self) -> tuple[float, float]:
        """Return processor seconds and the peak in MiB, once the process has ended."""
        self._thread.join()
        return self._cpu_s, self._bytes / 2**20

    def _look(self) -> None:
        try:
            observed, family, looks = psutil.Process(self._pid), _Family(), 0
            while observed.status() != psutil.STATUS_ZOMBIE:
                if looks % FAMILY_EVERY == 0:
                    family = _Family.of(observed)
                self._bytes = max(self._bytes, _high_water(observed) + family.rss)
                times = observed.cpu_times()
                # The system adds the time of an ended child to that of its parent.
                ended = times.children_user + times.children_system
                self._cpu_s = max(self._cpu_s, times.user + times.system + max(ended, family.cpu_s))
                looks += 1
                time.sleep(INTERVAL_S)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError):
            return


@dataclass(frozen=True)
class _Family:
    """What the processes that a process started hold and have used, those that ended included in the time."""

    rss: int = 0
    cpu_s: float = 0.0

    @classmethod
    def of(cls, process: psutil.Process) -> _Family:
        rss, times = 0, process.cpu_times()
        cpu_s = times.children_user + times.children_system
        for child in process.children(recursive=True):
            try:
                rss += child.memory_info().rss
                used = child.cpu_times()
                cpu_s += used.user + used.system
            except psutil.Error:
                continue
        return cls(rss, cpu_s)


def _high_water(process: psutil.Process) -> int:
    """Return the system's own high-water mark where there is one, otherwise what the process holds now, in bytes."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = process.memory_info()
    return getattr(memory, "peak_wset", memory.rss)
