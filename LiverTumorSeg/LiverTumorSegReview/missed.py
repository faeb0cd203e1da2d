"""A lesion was missed: the reader points at the place, and the sensitivity is raised there until one shows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError
from trame_server.utils.asynchronous import create_task

from LiverTumorSegReview.desk import Desk
from LiverTumorSegReview.place_run import PlaceRun
from LiverTumorSegReview.tools import Tools

if TYPE_CHECKING:
    from LiverTumorSegLib.review.local import LocalLesion
    from LiverTumorSegLib.review.question import Question

    from LiverTumorSegReview.session import ReaderSession

FIND = "find"
"""The tool's name among those of the segment editor."""


class MissedLesion:
    """Looks for a lesion where the reader clicks in a slice: in the kept probability, else with the network.

    Parameters
    ----------
    desk : Desk
        Whose session takes the lesion.
    tools : Tools
        Of which one is put away when this one is taken.
    network : PlaceRun
        Asked where the kept probability shows nothing, or none was kept.
    """

    def __init__(self, desk: Desk, tools: Tools, network: PlaceRun) -> None:
        self._desk, self._tools, self._network = desk, tools, network

    def use(self) -> None:
        """Take the pointer, or put it away."""
        state, scene = self._desk.state, self._desk.scene
        if scene is None or self._desk.session is None:
            return
        if state.tool == FIND:
            self.put_away()
            return
        if state.tool:
            self._tools.put_away()
        state.tool = FIND
        scene.on_click(lambda point_mm: create_task(self._look(point_mm)))

    def put_away(self) -> None:
        """Put the pointer away."""
        if self._desk.scene is not None and self._desk.state.tool == FIND:
            self._desk.scene.on_click(None)
            self._desk.state.tool = ""

    async def _look(self, point_mm: Sequence[float]) -> None:
        with self._desk.answering():
            self.put_away()
            session = self._desk.up_to_date()
            self._desk.state.message = "" if session is None else "Looking for a lesion there ..."
        if session is None:
            return
        try:
            found = await self._search(session, point_mm)
        except LiverTumorSegError as error:
            with self._desk.state as state:
                state.message = str(error)
            return
        with self._desk.answering():
            if found is None:
                self._desk.state.message = "No lesion shows there at any sensitivity: paint it."
                return
            number = session.find(found)
            self._desk.show()
            self._desk.select(number)
            beyond = ", and goes on beyond what was looked at" if found.cut else ""
            self._desk.state.message = f"Lesion {number} shows from probability {found.threshold:.2f}{beyond}."

    async def _search(self, session: ReaderSession, point_mm: Sequence[float]) -> LocalLesion | None:
        if session.probability is not None:
            found = await asyncio.to_thread(session.look, session.probability, point_mm)
            if found is not None:
                return found
        answer = await self._network.ask(await asyncio.to_thread(_question, session, point_mm))
        return await asyncio.to_thread(session.look, answer, point_mm)


def _question(session: ReaderSession, point_mm: Sequence[float]) -> Question:
    from LiverTumorSegLib.review.local import liver_density
    from LiverTumorSegLib.review.question import Question

    x, y, z = (float(value) for value in point_mm)
    return Question((x, y, z), None, liver_density(sitk.GetArrayViewFromImage(session.image), session.labels))
