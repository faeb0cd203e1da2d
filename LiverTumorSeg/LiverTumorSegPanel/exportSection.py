"""What leaves the session: the lesion table, a page with key images, DICOM objects, a pair for training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.accepted import accepted_dicom_names, require_accepted
from LiverTumorSegLib.review.lesion_rows import write_rows
from slicer.i18n import tr as _

from LiverTumorSegPanel.dependencies import DICOM_EXPORT, PAGE_EXPORT, ensurePackages
from LiverTumorSegPanel.dicomFiles import dicomFilesOf
from LiverTumorSegPanel.exportProcess import ExportProcess
from LiverTumorSegPanel.fileDialog import chooseFileToSave, chooseFolder
from LiverTumorSegPanel.resultRecords import isResult, lesionsOf
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.textColors import textColor
from LiverTumorSegPanel.volumeExport import fileStem

PROGRESS_STEPS = 100


class ExportSection(Section):
    """Writes one result; DICOM and page hold the accepted lesions only. A child process does it, one at a time.

    Everything is taken as it is when a button is pressed: while a dialog is open a run may end and another result be
    shown, or the scene be closed.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    beforeExport : callable
        Called first: strokes that were just made count.
    """

    def __init__(self, ui, moduleFolder: Path, beforeExport: Callable[[], None]):
        buttons = {
            "exportButton": self._onTable,
            "reportButton": self._onPage,
            "dicomButton": self._onDicom,
            "trainingButton": self._onTrainingPair,
            "cancelExportButton": self._onCancel,
        }
        super().__init__(ui, buttons)
        self._moduleFolder, self._beforeExport = moduleFolder, beforeExport
        self._node = None
        self._session: ReviewSession | None = None
        self._process: ExportProcess | None = None
        ui.exportBar.maximum = PROGRESS_STEPS
        self._say("")

    @property
    def isWriting(self) -> bool:
        """Whether an export is being written."""
        return self._process is not None

    def use(self, node, session: ReviewSession | None) -> None:
        """Export this result; the session is None where there is nothing to judge. What is being written goes on."""
        self._node, self._session = node, session
        if not self.isWriting:
            self._say("")
        self.update()

    def update(self) -> None:
        """Offer what can be written."""
        ui, free = self.ui, not self.isWriting
        ui.exportButton.enabled = free and isResult(self._node) and bool(lesionsOf(self._node))
        for button in (ui.reportButton, ui.dicomButton, ui.trainingButton):
            button.enabled = free and self._session is not None
        ui.exportBar.visible = ui.cancelExportButton.visible = not free

    def forgetScene(self) -> None:
        """Let go of the scene's nodes, and of what is being written of them."""
        super().forgetScene()
        self._node, self._session = None, None
        self._stop()
        self._say("")

    def _onTable(self) -> None:
        self._beforeExport()
        name = f"{fileStem(self._node.GetName())}.lesions.csv"
        if self._session is not None:
            self._write("table", lambda: chooseFileToSave(_("Export the lesions"), name, "CSV (*.csv)"))
            return
        rows = [lesion.figures for lesion in lesionsOf(self._node)]  # without its CT nothing is measured anew
        path = chooseFileToSave(_("Export the lesions"), name, "CSV (*.csv)")
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The lesions could not be exported.")):
                write_rows(path, rows)
                self._say(_("Written: {files}.").format(files=path.name))

    def _onPage(self) -> None:
        if self._mayExport(PAGE_EXPORT):
            name = f"{fileStem(self._node.GetName())}.html"
            self._write("page", lambda: chooseFileToSave(_("Export a page with key images"), name, "HTML (*.html)"))

    def _onDicom(self) -> None:
        files = dicomFilesOf(self._session.volumeNode)
        if not files:
            sentence = _(
                "'{name}' was not loaded from DICOM files, or they have been moved: DICOM SEG and SR refer to the "
                "slices. Load the CT from Slicer's DICOM module."
            )
            slicer.util.warningDisplay(sentence.format(name=self._session.volumeNode.GetName()))
            return
        if self._mayExport(DICOM_EXPORT):
            name = fileStem(self._node.GetName())

            def choose() -> Path | None:
                folder = chooseFolder(_("Folder for DICOM SEG and SR"), accepted_dicom_names(name))
                return None if folder is None else folder / name

            self._write("dicom", choose, files)

    def _onTrainingPair(self) -> None:
        self._beforeExport()
        self._write("training", lambda: chooseFolder(_("Folder of training pairs")))

    def _mayExport(self, packages: dict[str, str]) -> bool:
        """Whether there is something to export and what writes it is installed; says what is missing."""
        self._beforeExport()
        session = self._session
        try:
            require_accepted(session.verdicts)
        except InputError as error:
            slicer.util.warningDisplay(str(error))
            return False
        if not ensurePackages(packages):
            return False
        if self._session is not session:  # a run ended while something was installed
            slicer.util.infoDisplay(_("Another result is shown by now, and nothing was written. Choose yours again."))
            return False
        return True

    def _write(self, kind: str, choose: Callable[[], Path | None], files: list[str] | None = None) -> None:
        """Take the session as it is, ask where to, and let the child process write it."""
        with slicer.util.tryWithErrorDisplay(_("The export could not be started."), waitCursor=True):
            process = ExportProcess(self._session, self._moduleFolder, kind, files or ())
            try:
                path = choose()
                if path is not None and not self.isWriting:
                    process.start(path, self._onProgress, lambda names, problem: self._onEnd(kind, names, problem))
                    self._process = process
            finally:
                if self._process is not process:
                    process.stop()
        if self.isWriting:
            self._onProgress(0.0, _("Starting"))
            self.update()

    def _onProgress(self, fraction: float, words: str) -> None:
        self.ui.exportBar.value = round(fraction * PROGRESS_STEPS)
        self._say(words)

    def _onEnd(self, kind: str, names: list[str], problem: str) -> None:
        self._process = None
        if problem:
            self._say(problem, "error")
        elif kind == "training":
            message = _("Written: {files}. None holds a name, date or number of the patient.")
            self._say(message.format(files=", ".join(names)))
        else:
            message = _("Written: {files}.") if kind == "table" else _("Written: {files}, accepted lesions only.")
            self._say(message.format(files=", ".join(names)))
        self.update()

    def _onCancel(self) -> None:
        self._stop()
        self._say(_("Cancelled. Nothing was written."))
        self.update()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _say(self, text: str, kind: str = "") -> None:
        self.ui.exportLabel.setStyleSheet(f"color: {textColor(kind)}" if kind else "")
        self.ui.exportLabel.text = text
        self.ui.exportLabel.visible = bool(text)
