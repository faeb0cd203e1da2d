"""When a stroke of the reader is finished, and work that is kept in the meantime."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from trame_server.utils.asynchronous import create_task

from LiverTumorSegReview.case_files import CaseFiles

if TYPE_CHECKING:
    from LiverTumorSegReview.session import ReaderSession

SETTLED_S = 0.3
"""A stroke counts as finished when nothing was changed for this long."""


class Strokes:
    """Gathers the editor's many small changes into strokes.

    Parameters
    ----------
    on_stroke : callable
        Called once a stroke is finished.
    answering : callable
        Gives the context in which the page hears of changes.
    """

    def __init__(self, on_stroke: Callable[[], None], answering: Callable[[], AbstractContextManager]) -> None:
        self._on_stroke, self._answering = on_stroke, answering
        self._changed_at: float | None = None

    def changed(self) -> None:
        """Note a change."""
        waiting = self._changed_at is not None
        self._changed_at = time.monotonic()
        if not waiting:
            create_task(self._wait())

    def finish(self) -> None:
        """Take an unfinished stroke as finished: something else happens next."""
        if self._changed_at is not None:
            self._changed_at = None
            self._on_stroke()

    async def _wait(self) -> None:
        while self._changed_at is not None and time.monotonic() - self._changed_at < SETTLED_S:
            await asyncio.sleep(SETTLED_S / 3)
        if self._changed_at is not None:
            with self._answering():
                self.finish()


class Keeper:
    """Keeps unsaved work beside the result.

    Parameters
    ----------
    files : CaseFiles
        The case.
    session : callable
        Gives the session as it is now, or None.
    """

    def __init__(self, files: CaseFiles, session: Callable[[], ReaderSession | None]) -> None:
        self._files, self._session = files, session
        self._kept = 0

    def keep(self) -> None:
        """Write what was not written yet."""
        session = self._session()
        from LiverTumorSegReview.storage import autosave

        if session is not None and session.revision != self._kept:
            autosave(self._files, session)
            self._kept = session.revision

    async def keep_often(self, seconds: float, answering: Callable[[], AbstractContextManager]) -> None:
        """Do so every few seconds for ever."""
        while True:
            await asyncio.sleep(seconds)
            with answering():
                self.keep()
