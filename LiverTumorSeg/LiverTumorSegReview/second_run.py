"""A second run beside the edited result: what it would change, shown place by place, and taking over some of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from LiverTumorSegLib.errors import LiverTumorSegError

from LiverTumorSegReview.case_files import CaseFiles, find_case
from LiverTumorSegReview.desk import Desk
from LiverTumorSegReview.segmenting import Segmenting

if TYPE_CHECKING:
    from LiverTumorSegLib.review.candidate import Change

    from LiverTumorSegReview.session import ReaderSession

FOLDER = "second_run"
"""Below the folder of the result: a second run never replaces the first one's files."""
_WORDS = {"new": "new lesion", "gone": "lesion gone", "changed": "other borders", "outline": "outline of the liver"}


class SecondRun:
    """Runs again, or opens another result of the scan, and merges what the reader takes of it.

    Parameters
    ----------
    desk : Desk
        Whose session takes the changes.
    files : CaseFiles
        The case.
    given : Path, optional
        Another result of the same scan, opened with the first one.
    """

    def __init__(self, desk: Desk, files: CaseFiles, given: Path | None = None) -> None:
        self._desk = desk
        self._own = replace(files, folder=files.folder / FOLDER)
        self._given = None if given is None else find_case(given, files.scan)
        self._candidate: np.ndarray | None = None
        self._changes: tuple[Change, ...] = ()
        self.running = Segmenting(desk, self._own, self._open_own)
        desk.followers.append(self._compare)

    async def open_given(self) -> None:
        """Open the other result that was named on the command line, if one was."""
        if self._given is not None:
            from LiverTumorSegReview.storage import read_other_result

            await self._open(self._given, read_other_result)

    def take(self, number: int) -> None:
        """Take one change over; a step that can be undone."""
        self._take([change for change in self._changes if change.number == number])

    def take_safe(self) -> None:
        """Take over every change that neither undoes an edit nor brings back what was rejected."""
        from LiverTumorSegLib.review.candidate import without_loss

        self._take(list(without_loss(self._changes)))

    def jump(self, number: int) -> None:
        """Look at one change."""
        scene = self._desk.scene
        change = next((each for each in self._changes if each.number == number), None)
        if scene is not None and change is not None:
            scene.look_at(np.array([(s.start + s.stop - 1) / 2 for s in change.region.box]))

    def close(self) -> None:
        """Put the second run away; what was taken stays."""
        self._candidate, self._changes = None, ()
        self._desk.state.update({"comparing": False, "changes": []})
        if self._desk.scene is not None:
            self._desk.scene.set_differences(None)

    def _take(self, changes: list[Change]) -> None:
        candidate = self._candidate
        if candidate is not None and changes:
            self._desk.step(lambda session: session.merge(candidate, changes))

    async def _open_own(self) -> None:
        from LiverTumorSegReview.storage import read_labels

        await self._open(self._own, lambda path, session: read_labels(path, session.image))

    async def _open(self, files: CaseFiles, read: Callable[[Path, ReaderSession], np.ndarray]) -> None:
        session = self._desk.session
        if session is None:
            return
        try:
            self._candidate = await asyncio.to_thread(read, files.of("seg.nrrd"), session)
        except LiverTumorSegError as error:
            with self._desk.state as state:
                state.message = str(error)
            return
        with self._desk.answering():
            self._desk.state.comparing = True
            self._compare()

    def _compare(self) -> None:
        """Say again where the two differ: after every step of the session."""
        session, scene, candidate = self._desk.session, self._desk.scene, self._candidate
        if session is None or scene is None or candidate is None:
            return
        from LiverTumorSegLib.review.candidate import difference_labels, differences

        self._changes = differences(session.labels, candidate, session.original, session.verdicts)
        scene.set_differences(difference_labels(session.labels, candidate))
        voxel_ml = float(np.prod(session.image.GetSpacing())) / 1000
        self._desk.state.changes = [_row(change, voxel_ml) for change in self._changes]


def _row(change: Change, voxel_ml: float) -> dict[str, Any]:
    """Return a change as the page shows it."""
    warnings = [
        words
        for words, holds in (("undoes your edit", change.undoes_edit), ("you rejected it", change.was_rejected))
        if holds
    ]
    return {
        "number": change.number,
        "words": _WORDS[change.kind],
        "volumes": f"+{change.added * voxel_ml:.2f} -{change.removed * voxel_ml:.2f} ml",
        "warning": ", ".join(warnings),
    }
