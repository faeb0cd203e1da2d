"""Segmenting a scan that has no result yet, from the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trame_server.utils.asynchronous import create_task

from LiverTumorSegReview.case_files import CaseFiles
from LiverTumorSegReview.desk import Desk
from LiverTumorSegReview.segment_run import SegmentRun


class Segmenting:
    """One run at a time.

    Parameters
    ----------
    desk : Desk
        Whose page shows the progress.
    files : CaseFiles
        The scan, and where its result goes.
    on_result : callable
        Awaited once the result is there.
    """

    def __init__(self, desk: Desk, files: CaseFiles, on_result: Callable[[], Awaitable[None]]) -> None:
        self._desk, self._files, self._on_result = desk, files, on_result
        self._run: SegmentRun | None = None

    def start(self) -> None:
        """Segment the scan in a child process, then open the result."""
        if self._run is not None:
            return
        state = self._desk.state
        state.update({"running": True, "message": "", "progress": 0, "progress_words": "Starting"})
        self._run = SegmentRun(self._files, state.quality, self._progress)
        # Awaited here, it would keep every other message of the page waiting, Cancel among them.
        create_task(self._follow(self._run))

    def cancel(self) -> None:
        """End the run."""
        if self._run is not None:
            create_task(self._run.cancel())

    async def _follow(self, run: SegmentRun) -> None:
        refused = await run.run()
        self._run = None
        with self._desk.state as state:
            state.running = False
            state.message = "Cancelled; nothing was written." if refused == "" else refused or ""
        if refused is None:
            await self._on_result()

    def _progress(self, fraction: float, words: str) -> None:
        with self._desk.state as state:
            state.progress, state.progress_words = round(100 * fraction), words
