"""Segmenting the opened scan: the command line as a child process, its progress line by line, and cancelling it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from LiverTumorSegReview.case_files import CaseFiles

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "segment.py"
"""It makes the environment with the network's packages where there is none yet; the page itself needs no torch."""
GRACE_S = 10.0


class SegmentRun:
    """One run of the command line.

    Parameters
    ----------
    files : CaseFiles
        The scan and where its results go.
    quality : str
        ``quick``, ``standard`` or ``best``.
    on_progress : callable
        Told (fraction 0..1, words).
    """

    def __init__(self, files: CaseFiles, quality: str, on_progress: Callable[[float, str], None]) -> None:
        self._files, self._quality, self._on_progress = files, quality, on_progress
        self._process: asyncio.subprocess.Process | None = None
        self._cancelled = False

    @property
    def pid(self) -> int:
        """Return the child's process id; only while it runs."""
        assert self._process is not None  # it was started
        return self._process.pid

    async def run(self) -> str | None:
        """Segment; return None when the result is there, "" when it was cancelled, else why not in one sentence."""
        arguments = [str(self._files.scan), "--output", str(self._files.folder), "--quality", self._quality]
        group = {"start_new_session": True} if os.name != "nt" else {"creationflags": _new_group()}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            *arguments,
            "--json-progress",
            "--probabilities",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 20,
            **group,
        )
        assert self._process.stdout is not None  # a pipe was asked for
        if self._cancelled:
            _end(self._process.pid, gently=True)
        error = ""
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "progress":
                    self._on_progress(float(event["fraction"]), str(event["message"]))
                elif event.get("event") == "error":
                    error = str(event["message"])
        code = await self._process.wait()
        if self._cancelled:
            return ""
        if code:
            return error or "The run was ended by the system: most often memory ran out. Close other programs."
        return None

    async def cancel(self) -> None:
        """End the run and every process that it started; nothing half written stays."""
        process = self._process
        if process is not None and process.returncode is not None:
            return
        self._cancelled = True
        if process is None:  # it is about to start
            return
        _end(process.pid, gently=True)
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except asyncio.TimeoutError:
            _end(process.pid, gently=False)


def _end(pid: int, gently: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.name == "nt":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
        else:
            os.killpg(pid, signal.SIGTERM if gently else signal.SIGKILL)


def _new_group() -> int:
    return int(getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))
