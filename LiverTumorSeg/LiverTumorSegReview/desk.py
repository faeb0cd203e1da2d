"""The reader's desk: scene, session and page show the same, whatever was done last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from LiverTumorSegLib.errors import LiverTumorSegError
from trame_server import Server

from LiverTumorSegReview.scene import CaseScene
from LiverTumorSegReview.strokes import Strokes
from LiverTumorSegReview.table_rows import finding_words, table_rows, volume_words

if TYPE_CHECKING:
    from LiverTumorSegLib.review.figures import LesionFigures

    from LiverTumorSegReview.session import ReaderSession


class Desk:
    """What lies before the reader.

    Parameters
    ----------
    server : Server
        Its state is the page's.

    Attributes
    ----------
    scene : CaseScene or None
        None until the scan was read.
    session : ReaderSession or None
        None until there is a result.
    dicom_files : tuple of str
        The slices of a scan that came as DICOM.
    figures : tuple of LesionFigures
        The lesion table as it is shown.
    preview : ndarray of uint8, [z, y, x], or None
        What the scene shows instead of the session's labelmap while another sensitivity is looked at.
    followers : list of callable
        Called whenever the session's labelmap or verdicts became others.
    """

    def __init__(self, server: Server) -> None:
        self.state = server.state
        self.scene: CaseScene | None = None
        self.session: ReaderSession | None = None
        self.dicom_files: tuple[str, ...] = ()
        self.figures: tuple[LesionFigures, ...] = ()
        self.preview: np.ndarray | None = None
        self.followers: list[Callable[[], None]] = []
        self.strokes = Strokes(self._take_edit, self.answering)

    def put_scan(self, scene: CaseScene, dicom_files: tuple[str, ...]) -> None:
        """Show the scan."""
        self.scene, self.dicom_files = scene, dicom_files
        scene.on_edit(self.strokes.changed)
        scene.set_window(self.state.window)
        scene.show_views()
        self.state.reading = False

    def put_result(self, session: ReaderSession, autosave_found: bool) -> None:
        """Show a result in the scan's views and in the table."""
        if self.scene is None:
            return
        if self.session is None:
            self.scene.add_result()
        self.session = session
        self.state.update(
            {
                "opening": "Making the surfaces in 3D ...",
                "has_result": True,
                "has_probability": session.probability is not None,
                "default_threshold": f"{session.threshold:.2f}",
                "findings": finding_words(session),
                "autosave_found": autosave_found,
            }
        )
        self.show()
        if self.figures:
            self.select(self.figures[0].number)

    def up_to_date(self) -> ReaderSession | None:
        """Return the session, after a stroke that is not taken over yet; None while nothing can be done with it."""
        self.strokes.finish()
        return None if self.state.autosave_found else self.session

    def step(self, step: Callable[[ReaderSession], object]) -> None:
        """Do something with the session and show what came of it."""
        session = self.up_to_date()
        if session is None:
            return
        with self.said():
            step(session)
            self.show()

    def show_preview(self, labels: np.ndarray) -> None:
        """Show what another sensitivity would give; nothing of the session changes."""
        if self.scene is not None:
            self.preview = labels
            self.scene.set_labels(labels, surfaces=False)

    def select(self, number: int) -> None:
        """Jump to a lesion."""
        row = next((each for each in self.figures if each.number == number), None)
        if row is None or self.scene is None:
            return
        self.state.selected, self.state.place = number, row.place.words()
        self.scene.jump(row)

    def show(self) -> None:
        """Show the session in scene and page."""
        if self.session is None or self.scene is None:
            return
        self.preview = None
        self.scene.set_labels(self.session.labels)
        self._show_figures()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Do something that no message of the page asked for: it hears of it at the end."""
        with self.state, self.said(self.state.message):
            yield

    @contextlib.contextmanager
    def said(self, before: str = "") -> Iterator[None]:
        """Show what went wrong as one sentence on the page, else what is given."""
        try:
            self.state.message = before
            yield
        except LiverTumorSegError as error:
            self.state.message = str(error)

    def _show_figures(self) -> None:
        session, scene = self.session, self.scene
        assert session is not None  # only called with both
        assert scene is not None
        rejected = np.zeros(session.labels.shape, bool)
        for lesion in session.verdicts.lesions:
            if lesion.rejected:
                rejected[lesion.region.box] |= lesion.region.mask
        scene.set_rejected(rejected)
        self.figures = session.rows()
        numbers = [row.number for row in self.figures]
        if self.state.selected not in numbers:
            self.state.selected = 0
            scene.hide_diameters()
        self.state.update(
            {
                "rows": table_rows(self.figures),
                "volumes": volume_words(session),
                "totals": session.totals().words(),
                "can_undo": session.can_undo,
                "can_redo": session.can_redo,
                "sensitivity": round(1 - session.shown_threshold, 2),
                "preview": "",
                "saved": "",
            }
        )

        for follow in self.followers:
            follow()

    def _take_edit(self) -> None:
        session, scene = self.session, self.scene
        if session is None or scene is None:
            return
        if self.state.autosave_found:
            # The offered work must be answered for before there is new work to keep.
            scene.set_labels(session.labels)
            return
        revision, preview, self.preview = session.revision, self.preview, None
        if session.painted(scene.labels(), preview):
            scene.set_labels(session.labels)
        if session.revision != revision:
            self._show_figures()
