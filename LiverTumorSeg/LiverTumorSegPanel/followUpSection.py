"""Follow-up: the shown result beside an earlier one of the same patient."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import vtk
from LiverTumorSegLib.wholefile import write_text
from slicer.i18n import tr as _

from LiverTumorSegPanel.dependencies import PAGE_EXPORT, ensurePackages
from LiverTumorSegPanel.fileDialog import chooseFileToSave
from LiverTumorSegPanel.findingsText import findingsAsHtml
from LiverTumorSegPanel.followUpProcess import FollowUpAnswer, FollowUpProcess, TimePointFile, TimePointNodes
from LiverTumorSegPanel.followUpWords import changeRow, densityTip, responseText, totalsText
from LiverTumorSegPanel.growthPicture import curvesOf, drawGrowth
from LiverTumorSegPanel.panelFinding import PanelFinding
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.resultRecords import hasLiverAndTumor, isResult
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.segmentLabels import EDIT_EVENTS
from LiverTumorSegPanel.volumeExport import fileStem

STEPS = 1000
CHANGE_SETTLES_MS = 200
"""What was compared is looked at again this long after the last change of it."""


class FollowUpSection(Section):
    """Compares one result with an earlier one.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    """

    def __init__(self, ui, moduleFolder: Path):
        buttons = {
            "earlierFileButton": self._onFile,
            "compareButton": self._onCompare,
            "cancelCompareButton": self._onCancel,
            "followUpPageButton": self._onPage,
        }
        super().__init__(ui, buttons)
        self._moduleFolder = moduleFolder
        self._node = None
        self._file: Path | None = None
        self._process: FollowUpProcess | None = None
        self._answer: FollowUpAnswer | None = None
        self._compared: tuple = ()
        """Stamps of the two results that the comparison is of."""
        self._changes = PollTimer(CHANGE_SETTLES_MS, self._onSettled, once=True)
        self._wantsPage = False
        self._said = ""
        ui.followUpProgressBar.maximum = STEPS
        ui.earlierSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onEarlierChosen)
        columns = [
            ("", _("Number in the picture and the sentences below, and on the page.")),
            (_("Number"), _("Number of the lesion in the earlier and in this result.")),
            (_("ml"), _("Volume in millilitres, earlier and now.")),
            (_("mm"), _("Longest diameter in an axial slice, in mm, earlier and now.")),
            (_("Change"), _("Change of the volume.")),
            (_("Course"), _("In both, new, gone, split, or fused with another.")),
        ]
        table = ui.followUpTable
        table.setColumnCount(len(columns))
        table.setHorizontalHeaderLabels([heading for heading, _tip in columns])
        for column, (_heading, tip) in enumerate(columns):
            table.horizontalHeaderItem(column).setToolTip(tip)
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(len(columns) - 1, qt.QHeaderView.Stretch)
        table.verticalHeader().setVisible(False)
        self.use(None)

    def use(self, node) -> None:
        """Compare this result; None, or a segmentation without liver and tumour, has no follow-up."""
        if node is not self._node:
            self._stop()
            self._node, self._file, self._answer, self._said = node, None, None, ""
        self.ui.followUpButton.visible = self._later() is not None
        self._show()

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        super().forgetScene()
        self._changes.stop()
        self.use(None)

    def _later(self) -> TimePointNodes | None:
        return timePointOf(self._node) if isResult(self._node) else None

    def _earlier(self) -> TimePointNodes | TimePointFile | None:
        if self._file is not None:
            return TimePointFile(self._file)
        node = self.ui.earlierSelector.currentNode()
        if node is None or node is self._node:
            return None
        return timePointOf(node) or savedPointOf(node)

    def _onEarlierChosen(self, node=None) -> None:
        if node is not None:
            self._file = None
        self._answer = None
        self._said = ""
        self._show()

    def _onFile(self) -> None:
        chosen = qt.QFileDialog.getOpenFileName(
            None, _("Open an earlier result"), "", _("Segmentation") + " (*.seg.nrrd *.nrrd *.nii.gz *.nii *.mha)"
        )
        if chosen:
            self.ui.earlierSelector.setCurrentNode(None)
            self._file, self._answer = Path(chosen), None
            image = TimePointFile(self._file).image
            self._say(
                _("Its CT was not found beside it: no densities are told, and lesions are drawn without it.")
                if image is None
                else _("With its CT, {name}.").format(name=image.name)
            )
            self._show()

    def _onCompare(self) -> None:
        self._start(page=False)

    def _start(self, page: bool) -> None:
        earlier, later = self._earlier(), self._later()
        if earlier is None or later is None:
            return
        self._wantsPage, self._answer = page, None
        self._compared = earlier.stamp, later.stamp
        with slicer.util.tryWithErrorDisplay(_("The comparison could not be started."), waitCursor=True):
            self._process = FollowUpProcess(earlier, later, self._moduleFolder, self._onProgress, self._onEnd)
        self._say(_("Comparing with {name}").format(name=earlier.name))
        self._show()

    def _onProgress(self, fraction: float) -> None:
        self.ui.followUpProgressBar.value = round(fraction * STEPS)

    def _onEnd(self, answer: FollowUpAnswer | str) -> None:
        self._process = None
        if isinstance(answer, str):
            self._say(answer)
        else:
            self._answer = answer
            self._say("")
        self._show()
        if self._wantsPage and self._answer is not None and self._answer.page is not None:
            self._savePage(self._answer.page)
        self._wantsPage = False

    def _onCancel(self) -> None:
        self._stop()
        self._say(_("Cancelled."))
        self._show()

    def _onPage(self) -> None:
        answer = self._answer
        if answer is None or not ensurePackages(PAGE_EXPORT):
            return
        if self._answer is not answer or not self._isCurrent():  # changed while something was installed
            self._show()
        elif answer.page is None:  # what writes pages was installed a moment ago: compare once more
            self._start(page=True)
        else:
            self._savePage(answer.page)

    def _savePage(self, page: str) -> None:
        name = f"{fileStem(self._node.GetName())}.followup.html"
        path = chooseFileToSave(_("Save the follow-up page"), name, "HTML (*.html)")
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The page could not be written.")):
                write_text(path, page)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.abandon()
            self._process = None

    def _show(self) -> None:
        ui, running = self.ui, self._process is not None
        self._watchCompared()
        self._showWords()
        ui.earlierSelector.enabled = ui.earlierFileButton.enabled = not running
        ui.compareButton.visible = not running
        ui.compareButton.enabled = self._earlier() is not None and self._later() is not None
        ui.cancelCompareButton.visible = ui.followUpProgressBar.visible = running
        ui.earlierFileLabel.text = self._file.name if self._file is not None else ""
        ui.earlierFileLabel.visible = self._file is not None
        document = self._answer.document if self._answer is not None and not running else None
        for widget in (ui.followUpTable, ui.followUpTotalsLabel, ui.responseLabel, ui.followUpPageButton):
            widget.visible = document is not None
        ui.followUpPageButton.enabled = self._isCurrent()
        ui.followUpWarningsLabel.visible = False
        ui.growthLabel.visible = document is not None and bool(document["tracks"])
        if document is not None:
            self._showDocument(document)

    def _showDocument(self, document: dict) -> None:
        ui = self.ui
        ui.followUpTable.setRowCount(len(document["tracks"]))
        for row, track in enumerate(document["tracks"]):
            for column, text in enumerate(changeRow(track)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(densityTip(track))
                ui.followUpTable.setItem(row, column, item)
        ui.followUpTotalsLabel.text = totalsText(document)
        ui.responseLabel.text = responseText(document)
        sentences = [notInOrder(self._earlier(), self._later()), *document["warnings"]]
        warnings = [PanelFinding("warning", sentence) for sentence in sentences if sentence]
        ui.followUpWarningsLabel.text = findingsAsHtml(warnings)
        ui.followUpWarningsLabel.visible = bool(warnings)
        if document["tracks"]:
            ui.growthLabel.setPixmap(drawGrowth(curvesOf(document), (_("earlier"), _("now"))))

    def _say(self, text: str) -> None:
        self._said = text
        self._showWords()

    def _showWords(self) -> None:
        """Show what was said last, or what there is to say of the two results as they are."""
        self.ui.followUpLabel.text = self._said or self._notice()
        self.ui.followUpLabel.visible = bool(self.ui.followUpLabel.text)

    def _notice(self) -> str:
        """Return what is to be done before this comparison can be trusted, or made; empty where nothing is."""
        node = self.ui.earlierSelector.currentNode()
        if self._file is None and node is None:
            return _("Choose an earlier result of the same patient: one of this scene, or a file.")
        if self._earlier() is None:
            return whyNot(node, self._node)
        if self._answer is None:
            return notInOrder(self._earlier(), self._later())
        if not self._isCurrent():
            return _("One of the two has changed since they were compared: press Compare again.")
        return ""

    def _isCurrent(self) -> bool:
        """Return whether the two results are still as they were compared."""
        points = self._earlier(), self._later()
        return all(points) and self._compared == tuple(point.stamp for point in points)

    def _watchCompared(self) -> None:
        """Look at what was compared again when it changes."""
        watched = []
        points = (self._earlier(), self._later()) if self._answer is not None else ()
        for point in (point for point in points if isinstance(point, TimePointNodes)):
            segmentation = point.node.GetSegmentation()
            watched += [(segmentation, getattr(slicer.vtkSegmentation, name), self._onChanged) for name in EDIT_EVENTS]
            events = vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
            watched += [(point.volumeNode, event, self._onChanged) for event in events]
        self.watch(*watched)

    def _onChanged(self, _caller, _event) -> None:
        self._changes.start()

    def _onSettled(self) -> None:
        self._changes.stop()
        self._show()


def timePointOf(node) -> TimePointNodes | None:
    """Return a segmentation with its CT, when it has both segments and the CT is there."""
    if node is None or not hasLiverAndTumor(node):
        return None
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    volumeNode = node.GetNodeReference(role)
    if volumeNode is None or volumeNode.GetImageData() is None:
        return None
    return TimePointNodes(node, volumeNode)


def savedPointOf(node) -> TimePointFile | None:
    """Return the file of a segmentation that was loaded without its CT and has not been changed since."""
    storage = node.GetStorageNode()
    path = Path(storage.GetFileName() or "") if storage is not None else None
    if path is None or not path.is_file() or node.GetModifiedSinceRead() or not hasLiverAndTumor(node):
        return None
    return TimePointFile(path)


def notInOrder(earlier: TimePointNodes | TimePointFile | None, later: TimePointNodes | None) -> str:
    """Return that the earlier of two results is of a later day, and what to do; empty where that is not known."""
    days = [point.day if point is not None else "" for point in (earlier, later)]
    if not all(days) or days == sorted(days):
        return ""
    words = _(
        "'{earlier}' is of {day}, after the shown result of {shown}: show the newer one under Result and choose the "
        "older one here, or growth is told as shrinking."
    )
    return words.format(earlier=earlier.name, day=days[0], shown=days[1])


def whyNot(node, shown) -> str:
    """Return why a segmentation cannot be the earlier result, and what to do."""
    if node is shown:
        return _("This is the result that is shown: choose an earlier one, or show the newer one under Result.")
    if not hasLiverAndTumor(node):
        return _("'{name}' has no segments 'liver' and 'tumor': choose a result.").format(name=node.GetName())
    words = _("The CT of '{name}' is not in the scene: load both, or save the result and choose File…")
    return words.format(name=node.GetName())
