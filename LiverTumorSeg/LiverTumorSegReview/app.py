"""The page's logic: what a reader does goes to the session, what the session says goes to scene and page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.review.figures import LesionFigures
from LiverTumorSegLib.review.verdicts import VERDICTS
from trame.app import TrameApp
from trame_server.utils.asynchronous import create_task
from trame_slicer import module as slicer_module
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.segmentation import (
    SegmentationEffectErase,
    SegmentationEffectIslands,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
)

from LiverTumorSegReview.case_files import CaseFiles
from LiverTumorSegReview.guard import Guard
from LiverTumorSegReview.page import build_page, first_state
from LiverTumorSegReview.scene import CaseScene
from LiverTumorSegReview.segment_run import SegmentRun
from LiverTumorSegReview.session import ReaderSession
from LiverTumorSegReview.storage import (
    drop_autosave,
    export_for_training,
    has_autosave,
    open_session,
    save,
    take_autosave,
)
from LiverTumorSegReview.strokes import Keeper, Strokes
from LiverTumorSegReview.table_rows import finding_words, table_rows, volume_words

EFFECTS = {
    "paint": SegmentationEffectPaint,
    "erase": SegmentationEffectErase,
    "scissors": SegmentationEffectScissors,
    "islands": SegmentationEffectIslands,
}
KEYS = {"a": "accept", "r": "reject", "u": "unsure"}


class ReviewApp(TrameApp):
    """The page of one case.

    Parameters
    ----------
    files : CaseFiles
        Scan, and result if there is one.
    image : sitk.Image
        The scan.
    token : str
        Whoever has it may open the page.
    autosave_s : float
        Unsaved work is kept this often.
    training_folder : Path, optional
        Where "Export for training" writes; the button is hidden without one.
    """

    def __init__(
        self,
        files: CaseFiles,
        image: sitk.Image,
        token: str,
        autosave_s: float = 30.0,
        training_folder: Path | None = None,
    ) -> None:
        super().__init__()
        self._files, self._image, self._training_folder = files, image, training_folder
        self._session: ReaderSession | None = None
        self._run: SegmentRun | None = None
        self._asked: float | None = None
        self._previewing = False
        self.server.enable_module(slicer_module)
        self._slicer = SlicerApp()
        register_rca_factories(self._slicer.view_manager, self.server)
        layouts = LayoutManager(self._slicer.scene, self._slicer.view_manager, self.server)
        layouts.register_layout_dict({"Quad View": LayoutManager.default_grid_configuration()["Quad View"]})
        layouts.set_layout("Quad View")
        self.state.update(first_state(files.name, str(training_folder or "")))
        self._figures: tuple[LesionFigures, ...] = ()
        build_page(self.server, layouts, self)
        self._scene = CaseScene(self._slicer, image, files.name)
        self._scene.show_views()
        self._strokes = Strokes(self._take_edit, self._answering)
        self._scene.on_edit(self._strokes.changed)
        self._keeper = Keeper(files, self._up_to_date)
        self._guard = Guard(token, self._left)
        self.server.add_protocol_to_configure(lambda protocol: protocol.registerLinkProtocol(self._guard))
        self.server.controller.on_server_ready.add(
            lambda **_: create_task(self._keeper.keep_often(autosave_s, self._answering))
        )
        self.server.trigger("key")(self._key)
        for name, follow in (
            ("window", self._scene.set_window),
            ("sensitivity", self._preview),
            ("segment_edited", self._choose_segment),
            ("brush_mm", self._size_brush),
            ("surfaces", self._scene.show_surfaces),
        ):
            self.server.state.change(name)(_follower(name, follow))
        if files.has_result:
            self._open()

    def select(self, number: int) -> None:
        """Jump to a lesion."""
        row = next((each for each in self._figures if each.number == number), None)
        if row is None:
            return
        self.state.selected, self.state.place = number, row.place.words()
        self._scene.jump(row)

    def judge(self, verdict: str) -> None:
        """Give the selected lesion a verdict and go on to the next one that was not looked at."""
        number = self.state.selected
        session = self._up_to_date()
        if session is None or not number or verdict not in VERDICTS:
            return
        given = session.verdicts.lesion(number).verdict
        session.judge(number, "" if given == verdict else verdict)
        self._show()
        following = session.verdicts.after(number)
        self.select(number if given == verdict or following is None else following)

    def use_tool(self, tool: str) -> None:
        """Take a tool, or put it away when it is the one in hand."""
        chosen = "" if tool == self.state.tool else tool
        self.state.tool = chosen
        if not chosen:
            self._scene.editor.deactivate_effect()
            return
        self._scene.editor.set_active_effect_type(EFFECTS[chosen])
        self._choose_segment(self.state.segment_edited)
        self._size_brush(self.state.brush_mm)

    def undo(self) -> None:
        """Take the last step back."""
        self._step(lambda session: session.undo())

    def redo(self) -> None:
        """Do the step again that was taken back."""
        self._step(lambda session: session.redo())

    def settle_threshold(self, *_: Any) -> None:
        """Take the slider's threshold over; ask first when tumours were edited by hand."""
        session = self._up_to_date()
        if session is None:
            return
        self._asked = 1 - float(self.state.sensitivity)
        if session.edited:
            self.state.slide_asked = True
        else:
            self.confirm_threshold(True)

    def confirm_threshold(self, taken: bool) -> None:
        """Replace the tumours by those of the threshold that was asked for, or show them as they were."""
        self.state.slide_asked = False
        session, threshold, self._asked = self._session, self._asked, None
        if session is None or threshold is None:
            return
        if taken:
            session.slide(threshold)
        self._show()

    def reset_threshold(self) -> None:
        """Go back to the calibrated threshold."""
        if self._session is not None:
            self.state.sensitivity = round(1 - self._session.threshold, 2)
            self.settle_threshold()

    def save(self) -> None:
        """Write result, table and page."""
        session = self._up_to_date()
        if session is None:
            return
        with self._said():
            paths = save(self._files, session)
            self.state.saved = f"Saved {', '.join(path.name for path in paths.values())} in {self._files.folder}"

    def export(self) -> None:
        """Write a training pair."""
        session = self._up_to_date()
        if session is None or self._training_folder is None:
            return
        with self._said():
            pair = export_for_training(self._training_folder, session)
            self.state.saved = f"Exported {pair.name} to {self._training_folder}"

    def answer_autosave(self, taken: bool) -> None:
        """Go on with unsaved work of an earlier session, or discard it."""
        self.state.autosave_found = False
        if self._session is None:
            return
        with self._said():
            if taken:
                take_autosave(self._files, self._session)
                self._show()
            else:
                drop_autosave(self._files)

    def segment(self) -> None:
        """Segment the scan in a child process, then open the result."""
        if self._run is not None:
            return
        self.state.update({"running": True, "message": "", "progress": 0, "progress_words": "Starting"})
        self._run = SegmentRun(self._files, self.state.quality, self._progress)
        # Awaited here, it would keep every other message of the page waiting, Cancel among them.
        create_task(self._segment(self._run))

    def cancel(self) -> None:
        """End the run."""
        if self._run is not None:
            create_task(self._run.cancel())

    async def _segment(self, run: SegmentRun) -> None:
        refused = await run.run()
        self._run = None
        with self.state:
            self.state.running = False
            self.state.message = "Cancelled; nothing was written." if refused == "" else refused or ""
            if refused is None:
                self._open()

    def _open(self) -> None:
        with self._said():
            self._session = open_session(self._files, self._image)
        session = self._session
        if session is None:
            return
        self.state.update(
            {
                "has_result": True,
                "has_probability": session.sensitivity is not None,
                "default_threshold": f"{session.threshold:.2f}",
                "sensitivity": round(1 - session.threshold, 2),
                "findings": finding_words(session),
                "autosave_found": has_autosave(self._files),
            }
        )
        self._show()
        self._scene.show_surfaces(True)
        if self._figures:
            self.select(self._figures[0].number)

    def _show(self) -> None:
        """Show the session in scene and page."""
        session = self._session
        if session is None:
            return
        self._previewing = False
        self._scene.set_labels(session.labels)
        self._show_figures()

    def _show_figures(self) -> None:
        session = self._session
        assert session is not None  # only called with one
        rejected = np.zeros(session.labels.shape, bool)
        for lesion in session.verdicts.lesions:
            if lesion.rejected:
                rejected[lesion.region.box] |= lesion.region.mask
        self._scene.set_rejected(rejected)
        self._figures = session.rows()
        numbers = [row.number for row in self._figures]
        if self.state.selected not in numbers:
            self.state.selected = 0
            self._scene.hide_diameters()
        self.state.update(
            {
                "rows": table_rows(self._figures),
                "volumes": volume_words(session),
                "totals": session.totals().words(),
                "can_undo": session.can_undo,
                "can_redo": session.can_redo,
                "sensitivity": round(1 - session.shown_threshold, 2),
                "preview": "",
                "saved": "",
            }
        )

    def _step(self, step: Callable[[ReaderSession], None]) -> None:
        session = self._up_to_date()
        if session is not None:
            step(session)
            self._show()

    def _up_to_date(self) -> ReaderSession | None:
        """Return the session, after a stroke that is not taken over yet; None while nothing can be done with it."""
        self._strokes.finish()
        return None if self.state.autosave_found else self._session

    def _left(self) -> None:
        with self._answering():
            self._keeper.keep()

    def _take_edit(self) -> None:
        session = self._session
        if session is None:
            return
        if self.state.autosave_found:
            # The offered work must be answered for before there is new work to keep.
            self._scene.set_labels(session.labels)
            return
        revision = session.revision
        if session.painted(self._scene.labels()):
            self._scene.set_labels(session.labels)
        if session.revision != revision:
            self._show_figures()

    def _preview(self, sensitivity: float) -> None:
        session = self._session
        if session is None or session.sensitivity is None:
            return
        threshold = 1 - float(sensitivity)
        if abs(threshold - session.shown_threshold) < 0.005:
            if self._previewing:
                self._show()
            return
        self._previewing = True
        started = time.perf_counter()
        shown = session.sensitivity.preview(threshold)
        labels = session.labels.copy()
        labels[session.sensitivity.box] = shown.labels
        self._scene.set_labels(labels, surfaces=False)
        spent = 1000 * (time.perf_counter() - started)
        self.state.preview = f"{shown.lesions} lesions, {shown.tumor_ml:.1f} ml ({spent:.0f} ms)"

    def _choose_segment(self, name: str) -> None:
        if name in (LIVER.name, TUMOR.name):
            self._scene.editor.set_active_segment_id(name)

    def _size_brush(self, diameter_mm: float) -> None:
        effect = self._scene.editor.active_effect
        if hasattr(effect, "set_brush_diameter"):
            self._scene.size_brush(effect, float(diameter_mm))

    def _key(self, key: str) -> None:
        if key in KEYS:
            self.judge(KEYS[key])
        elif key in ("ArrowUp", "ArrowDown"):
            self._move(-1 if key == "ArrowUp" else 1)
        elif key == "Escape":
            self.use_tool(self.state.tool)
        elif key in ("p", "e"):
            self.use_tool("paint" if key == "p" else "erase")
        else:
            {"Ctrl+z": self.undo, "Ctrl+y": self.redo, "Ctrl+s": self.save}[key]()

    def _move(self, by: int) -> None:
        numbers = [row.number for row in self._figures]
        if not numbers:
            return
        place = numbers.index(self.state.selected) + by if self.state.selected in numbers else 0
        self.select(numbers[place % len(numbers)])

    def _progress(self, fraction: float, words: str) -> None:
        with self.state:
            self.state.progress, self.state.progress_words = round(100 * fraction), words

    @contextlib.contextmanager
    def _answering(self):  # type: ignore[no-untyped-def]  # a context manager
        with self.state, self._said(self.state.message):
            yield

    @contextlib.contextmanager
    def _said(self, before: str = ""):  # type: ignore[no-untyped-def]  # a context manager
        """Show what went wrong as one sentence on the page, else what is given."""
        try:
            self.state.message = before
            yield
        except LiverTumorSegError as error:
            self.state.message = str(error)


def _follower(name: str, follow: Callable[[Any], None]) -> Callable[..., None]:
    """Return a listener that is given the state's new value alone."""
    return lambda **state: follow(state[name])
