"""What leaves the session: the lesion table, a page with key images, DICOM objects, a pair for training."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.accepted import require_accepted
from slicer.i18n import tr as _

from LiverTumorSegPanel.dependencies import DICOM_EXPORT, PAGE_EXPORT, ensurePackages
from LiverTumorSegPanel.dicomFiles import dicomFilesOf
from LiverTumorSegPanel.fileDialog import chooseFileToSave, chooseFolder
from LiverTumorSegPanel.resultRecords import isResult, lesionsOf, writeCsv
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.volumeExport import fileStem


class ExportSection(Section):
    """Writes one result; DICOM and page hold the accepted lesions only.

    Everything is taken as it is when a button is pressed: while a dialog is open a run may end and another result be
    shown, or the scene be closed.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    beforeExport : callable
        Called first: strokes that were just made count.
    """

    def __init__(self, ui, beforeExport: Callable[[], None]):
        buttons = {
            "exportButton": self._onTable,
            "reportButton": self._onPage,
            "dicomButton": self._onDicom,
            "trainingButton": self._onTrainingPair,
        }
        super().__init__(ui, buttons)
        self._beforeExport = beforeExport
        self._node = None
        self._session: ReviewSession | None = None

    def use(self, node, session: ReviewSession | None) -> None:
        """Export this result; the session is None where there is nothing to judge."""
        self._node, self._session = node, session
        self.update()

    def update(self) -> None:
        """Offer what can be written."""
        self.ui.exportButton.enabled = isResult(self._node) and bool(lesionsOf(self._node))
        for button in (self.ui.reportButton, self.ui.dicomButton, self.ui.trainingButton):
            button.enabled = self._session is not None

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        super().forgetScene()
        self._node, self._session = None, None

    def _onTable(self) -> None:
        self._beforeExport()
        if self._session is not None:
            self._session.completeFigures()
        lesions, name = lesionsOf(self._node), f"{fileStem(self._node.GetName())}.lesions.csv"
        path = chooseFileToSave(_("Export the lesions"), name, "CSV (*.csv)")
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The lesions could not be exported.")):
                writeCsv(path, lesions)

    def _onPage(self) -> None:
        if not self._mayExport(PAGE_EXPORT):
            return
        write, name = self._session.page(), f"{fileStem(self._node.GetName())}.html"
        path = chooseFileToSave(_("Export a page with key images"), name, "HTML (*.html)")
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The page could not be written."), waitCursor=True):
                write(path)

    def _onDicom(self) -> None:
        files = dicomFilesOf(self._session.volumeNode)
        if not files:
            sentence = _(
                "'{name}' was not loaded from DICOM files, or they have been moved: DICOM SEG and SR refer to the "
                "slices. Load the CT from Slicer's DICOM module."
            )
            slicer.util.warningDisplay(sentence.format(name=self._session.volumeNode.GetName()))
            return
        if not self._mayExport(DICOM_EXPORT):
            return
        write, name = self._session.dicom(files), fileStem(self._node.GetName())
        folder = chooseFolder(_("Folder for DICOM SEG and SR"))
        if folder is not None:
            with slicer.util.tryWithErrorDisplay(_("The DICOM objects could not be written."), waitCursor=True):
                segmentation, report = write(folder, name)
                message = _("Written: {segmentation} and {report}, with the accepted lesions only.")
                slicer.util.infoDisplay(message.format(segmentation=segmentation.name, report=report.name))

    def _mayExport(self, packages: dict[str, str]) -> bool:
        """Whether there is something to export and what writes it is installed; says what is missing."""
        self._beforeExport()
        try:
            require_accepted(self._session.verdicts)
        except InputError as error:
            slicer.util.warningDisplay(str(error))
            return False
        return ensurePackages(packages)

    def _onTrainingPair(self) -> None:
        self._beforeExport()
        write = self._session.trainingPair()
        folder = chooseFolder(_("Folder of training pairs"))
        if folder is not None:
            with slicer.util.tryWithErrorDisplay(_("The training pair could not be written."), waitCursor=True):
                pair = write(folder)
                message = _("Written: {image} and {label}. Neither holds a name, date or number of the patient.")
                slicer.util.infoDisplay(message.format(image=pair.image.name, label=pair.label.name))
