"""Segmenting the opened scan: the command line as a child process, its progress line by line, and cancelling it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from LiverTumorSegReview.case_files import CaseFiles
from LiverTumorSegReview.command_line import ENDED_BY_THE_SYSTEM, end, signal_group, start


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
        self._process = await start([*arguments, "--probabilities"])
        assert self._process.stdout is not None  # a pipe was asked for
        if self._cancelled:
            signal_group(self._process.pid, gently=True)
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
            return error or ENDED_BY_THE_SYSTEM
        return None

    async def cancel(self) -> None:
        """End the run and every process that it started; nothing half written stays."""
        process = self._process
        if process is not None and process.returncode is not None:
            return
        self._cancelled = True
        if process is None:  # it is about to start
            return
        await end(process)
