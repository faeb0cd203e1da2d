"""One worker process as its supervisor sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .jobs import Job

Event = dict[str, Any]
_PACKAGE = Path(__file__).resolve().parents[1]


class WorkerProcess:
    """Starts a worker and listens to it.

    Parameters
    ----------
    options : str
        The line of `options_line`.
    threads : int
        For its arithmetic.
    jobs : int
        How many it does at a time.
    hear : callable
        Given (this, event) for every line that it says, and (this, None) when it is gone; from a thread.

    Attributes
    ----------
    ready : bool
        Whether it said that it takes jobs; set by who hears it.
    jobs : dict of int to Job
        What it was given; who hears of the outcome takes it out.
    """

    def __init__(
        self, options: str, threads: int, jobs: int, hear: Callable[[tuple[WorkerProcess, Event | None]], None]
    ) -> None:
        self.threads, self.ready, self.jobs = threads, False, dict[int, Job]()
        self._hear = hear
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{_PACKAGE.name}.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(threads),
            text=True,
            encoding="utf-8",
        )
        self._say(json.dumps({"options": options, "jobs": jobs}))
        threading.Thread(target=self._listen, daemon=True).start()

    def give(self, job: Job) -> None:
        """Send a job."""
        self.jobs[job.number] = job
        self._say(job.line())

    def ask_to_end(self) -> None:
        """Let it cancel what it does and end."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def end(self, patience_s: float) -> int:
        """Wait for its end so many seconds, then kill it; return its exit code, negative for a signal."""
        self.ask_to_end()
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _say(self, line: str) -> None:
        # A worker that is gone is heard of by the thread that listens.
        with suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            if line.endswith("\n"):  # else it was killed while it spoke
                self._hear((self, json.loads(line)))
        self._process.wait()
        self._hear((self, None))


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: its threads, and where it finds this package however it was found here."""
    path = [str(_PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
        "THP_MEM_ALLOC_ENABLE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": os.pathsep.join(path),
    }
