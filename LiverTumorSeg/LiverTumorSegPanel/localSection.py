"""A lesion that was missed: the reader points at it, and that place alone is segmented again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import SimpleITK as sitk
import slicer
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.question import Question
from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import RunRequest
from LiverTumorSegPanel.placePicker import PlacePicker
from LiverTumorSegPanel.placeProcess import PlaceProcess
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.section import Section


class LocalSection(Section):
    """Finds missed lesions in one result.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    requestFor : callable
        Returns the `RunRequest` for places of a result; its ``models`` are empty when there is no model.
    beforeChange : callable
        Called before the result is changed: strokes that were just made count.
    onFound : callable
        Called with the number of the lesion that was found.
    """

    def __init__(
        self,
        ui,
        moduleFolder: Path,
        requestFor: Callable[[object], RunRequest],
        beforeChange: Callable[[], None],
        onFound: Callable[[int], None],
    ):
        super().__init__(ui, {"placeButton": self._onPlace, "boxButton": self._onBox})
        self._moduleFolder, self._requestFor = moduleFolder, requestFor
        self._beforeChange, self._onFound = beforeChange, onFound
        self._session: ReviewSession | None = None
        self._picker = PlacePicker(self._onPicked, self._onGivenUp)
        self._process: PlaceProcess | None = None
        self.use(None)

    def use(self, session: ReviewSession | None) -> None:
        """Work on this session; None while there is none. The process stays only for the result it was started for."""
        self._stop()
        self._endProcess()
        self._session = session
        for button in (self.ui.placeButton, self.ui.boxButton):
            button.visible = session is not None
        self._say("")

    def exit(self) -> None:
        """Point at nothing and end the process: another module is shown."""
        self._stop()
        self._endProcess()
        self._say("")

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        super().forgetScene()
        self.use(None)

    def _onPlace(self) -> None:
        self._begin(self.ui.placeButton, box=False)

    def _onBox(self) -> None:
        self._begin(self.ui.boxButton, box=True)

    def _begin(self, button, box: bool) -> None:
        wanted = button.checked
        self._stop()
        self._say("")
        if not wanted or self._session is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The place could not be segmented again."), waitCursor=True):
            self._startProcess()
        if self._process is None:
            return
        button.checked = True
        self._picker.pick(box)
        click = _("Click in a slice view where a lesion was missed.")
        corners = _("Click two opposite corners of a box around the missed lesion, in one slice view.")
        self._say(corners if box else click)

    def _startProcess(self) -> None:
        """Start the child while the reader still looks for the place: loading the network takes seconds."""
        request = self._requestFor(self._session.node)
        if not request.models:
            raise RuntimeError(_("There is no model to segment with: choose one under Advanced."))
        if self._process is None or not self._process.fits(self._session.volumeNode, request):
            self._endProcess()
            self._process = PlaceProcess(
                self._session.volumeNode, self._moduleFolder, request, self._onAnswer, self._onFailed
            )

    def _onPicked(self, points: Sequence[tuple[float, float, float]]) -> None:
        self._uncheck()
        try:
            question = self._session.questionAt(points)
        except InputError as error:
            self._say(str(error))
            return
        if self._process.isOver:  # nobody asked it for minutes
            self._startProcess()
        self._process.ask(question)
        self._say(_("Segmenting this place again"))

    def _onGivenUp(self) -> None:
        self._uncheck()
        self._say("")

    def _onAnswer(self, question: Question, probability: sitk.Image, seconds: float) -> None:
        self._beforeChange()
        with slicer.util.tryWithErrorDisplay(_("The lesion could not be taken over."), waitCursor=True):
            lesion = self._session.findAt(question, probability)
            if lesion is None:
                self._say(_("No lesion shows here at any sensitivity. Paint it under Correct, if there is one."))
                return
            number = self._session.verdicts.standing_at(lesion.region.seed).number
            self._onFound(number)
            words = _("Lesion {number} found at a score of {percent:.0f} % in {seconds:.1f} s.")
            text = words.format(number=number, percent=100 * lesion.threshold, seconds=seconds)
            if lesion.cut:
                text += " " + _("It goes on beyond this place: draw a larger box.")
            self._say(text)

    def _onFailed(self, sentence: str) -> None:
        self._stop()
        self._say(sentence)

    def _stop(self) -> None:
        self._picker.stop()
        self._uncheck()

    def _uncheck(self) -> None:
        self.ui.placeButton.checked = self.ui.boxButton.checked = False

    def _endProcess(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _say(self, text: str) -> None:
        self.ui.placeLabel.text = text
        self.ui.placeLabel.visible = bool(text)
