"""The page of one case: its parts wired together, and what happens from the start to a page to work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverTumorSegLib.errors import LiverTumorSegError
from trame.app import TrameApp
from trame_server.utils.asynchronous import create_task
from trame_slicer import module as slicer_module
from trame_slicer.core import SlicerApp

from LiverTumorSegReview.case_files import CaseFiles
from LiverTumorSegReview.desk import Desk
from LiverTumorSegReview.guard import Guard
from LiverTumorSegReview.keeping import Keeping
from LiverTumorSegReview.missed import FIND, MissedLesion
from LiverTumorSegReview.page import build_page, first_state
from LiverTumorSegReview.place_run import PlaceRun
from LiverTumorSegReview.scene import CaseScene
from LiverTumorSegReview.second_run import SecondRun
from LiverTumorSegReview.segmenting import Segmenting
from LiverTumorSegReview.strokes import Keeper
from LiverTumorSegReview.threshold import ThresholdSlider
from LiverTumorSegReview.tools import Tools
from LiverTumorSegReview.views import make_views

if TYPE_CHECKING:
    from LiverTumorSegLib.scan.imageio import CaseImage

    from LiverTumorSegReview.session import ReaderSession

VERDICT_KEYS = {"a": "accept", "r": "reject", "u": "unsure"}
TOOL_KEYS = {"p": "paint", "e": "erase", "f": FIND}


class ReviewApp(TrameApp):
    """The page of one case.

    The scan is shown as soon as it was read; its result is opened after that, beside the page, and the surfaces in 3D
    come last: none of them keeps the slices waiting.

    Parameters
    ----------
    files : CaseFiles
        Scan, and result if there is one.
    reading : Future of CaseImage
        The scan, as ``start_reading`` gives it.
    token : str
        Whoever has it may open the page.
    autosave_s : float
        Unsaved work is kept this often.
    training_folder : Path, optional
        Where "Export for training" writes; the button is hidden without one.
    other_result : Path, optional
        Another result of the same scan, to be compared with the first one.

    Attributes
    ----------
    refused : LiverTumorSegError or None
        Why the scan could not be read, or what beside it is of another scan; the server ends with it.
    """

    def __init__(
        self,
        files: CaseFiles,
        reading: Future[CaseImage],
        token: str,
        autosave_s: float = 30.0,
        training_folder: Path | None = None,
        other_result: Path | None = None,
    ) -> None:
        super().__init__()
        self._files, self._reading = files, reading
        self._case: CaseImage | None = None
        self.refused: LiverTumorSegError | None = None
        self.server.enable_module(slicer_module)
        self._slicer = SlicerApp()
        layouts = make_views(self._slicer, self.server)
        self.state.update(first_state(files.name, str(training_folder or "")))
        self.desk = Desk(self.server)
        self.tools = Tools(self.desk)
        self.slider = ThresholdSlider(self.desk)
        self.keeping = Keeping(self.desk, files, training_folder)
        self.segmenting = Segmenting(self.desk, files, self._open_result)
        network = PlaceRun(files)
        self.missed = MissedLesion(self.desk, self.tools, network)
        self.server.controller.on_server_exited.add(lambda **_: network.forget())
        self.second = SecondRun(self.desk, files, other_result)
        build_page(self.server, layouts, self, token)
        self._keeper = Keeper(files, self.desk.up_to_date)
        self._guard = Guard(token, self._left)
        self.server.add_protocol_to_configure(lambda protocol: protocol.registerLinkProtocol(self._guard))
        self.server.controller.on_server_ready.add(lambda **_: create_task(self._begin()))
        self.server.controller.on_server_ready.add(
            lambda **_: create_task(self._keeper.keep_often(autosave_s, self.desk.answering))
        )
        self.server.trigger("key")(self._key)
        for name, follow in (
            ("window", self._set_window),
            ("sensitivity", self.slider.preview),
            ("segment_edited", self.tools.choose_segment),
            ("brush_mm", self.tools.size_brush),
            ("islands_way", self.tools.choose_way),
            ("scissors_way", self.tools.choose_way),
            ("scissors_range", self.tools.choose_way),
            ("surfaces", self._show_surfaces),
        ):
            self.server.state.change(name)(_follower(name, follow))

    def judge(self, verdict: str) -> None:
        """Give the selected lesion a verdict and go on to the next one that was not looked at."""
        number = self.state.selected
        session = self.desk.up_to_date()
        if session is None or not number:
            return
        with self.desk.said():
            given = session.verdicts.lesion(number).verdict
            session.judge(number, "" if given == verdict else verdict)
            self.desk.show()
            following = session.verdicts.after(number)
            self.desk.select(number if given == verdict or following is None else following)

    def use_tool(self, tool: str) -> None:
        """Take a tool, or put it away when it is the one in hand; there is one hand."""
        if tool == FIND:
            self.missed.use()
        else:
            self.missed.put_away()
            self.tools.use(tool)

    def undo(self) -> None:
        """Take the last step back."""
        self.desk.step(lambda session: session.undo())

    def redo(self) -> None:
        """Do the step again that was taken back."""
        self.desk.step(lambda session: session.redo())

    async def _begin(self) -> None:
        try:
            self._case = await asyncio.wrap_future(self._reading)
        except LiverTumorSegError as error:
            self.refused = error
            await self.server.stop()
            return
        with self.state:
            scene = CaseScene(self._slicer, self._case.image, self._files.name)
            self.desk.put_scan(scene, self._case.dicom_files)
        if self._files.has_result:
            await self._open_result()

    async def _open_result(self) -> None:
        assert self._case is not None  # nothing is opened before the scan was read
        with self.state:
            self.state.opening = "Opening its result ..."
        try:
            session = await asyncio.to_thread(_opened, self._files, self._case)
        except LiverTumorSegError as error:
            with self.state:
                self.state.update({"opening": "", "message": str(error)})
            return
        with self.desk.answering():
            self.desk.put_result(session, self._files.has_autosave)
        # The table is on its way before the surfaces are made, which takes seconds.
        await asyncio.sleep(0.1)
        with self.desk.answering():
            self._show_surfaces(self.state.surfaces)
            self.state.opening = ""
        await self.second.open_given()

    def _set_window(self, preset: str) -> None:
        if self.desk.scene is not None:
            self.desk.scene.set_window(preset)

    def _show_surfaces(self, shown: bool) -> None:
        if self.desk.scene is not None and self.desk.session is not None:
            self.desk.scene.show_surfaces(shown)

    def _left(self) -> None:
        with self.desk.answering():
            self._keeper.keep()

    def _key(self, key: str) -> None:
        if key in VERDICT_KEYS:
            self.judge(VERDICT_KEYS[key])
        elif key in ("ArrowUp", "ArrowDown"):
            self._move(-1 if key == "ArrowUp" else 1)
        elif key == "Escape":
            self.missed.put_away()
            self.tools.put_away()
        elif key in TOOL_KEYS:
            self.use_tool(TOOL_KEYS[key])
        else:
            {"Ctrl+z": self.undo, "Ctrl+y": self.redo, "Ctrl+s": self.keeping.save}[key]()

    def _move(self, by: int) -> None:
        numbers = [row.number for row in self.desk.figures]
        if not numbers:
            return
        place = numbers.index(self.state.selected) + by if self.state.selected in numbers else 0
        self.desk.select(numbers[place % len(numbers)])


def _opened(files: CaseFiles, case: CaseImage) -> ReaderSession:
    """Return a case's session, measured.

    All of it away from the page's own thread, its imports too: the slices do not wait for them.
    """
    from LiverTumorSegReview.storage import open_session

    session = open_session(files, case.image, case.sha256)
    session.rows()
    return session


def _follower(name: str, follow: Callable[[Any], None]) -> Callable[..., None]:
    """Return a listener that is given the state's new value alone."""
    return lambda **state: follow(state[name])
