"""The lower half of the panel: volumes, lesions and correction of the chosen result."""

from __future__ import annotations

from html import escape
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.correctionEditor import CorrectionEditor
from LiverTumorSegPanel.lesionMeasure import measureAgain
from LiverTumorSegPanel.lesionRecords import PREFIX, LesionRecord, isResult, lesionsOf, setVerdict, volumesOf, writeCsv
from LiverTumorSegPanel.lesionTable import LesionTable
from LiverTumorSegPanel.progressText import durationText
from LiverTumorSegPanel.resultView import jumpTo, showResult
from LiverTumorSegPanel.volumeExport import fileStem

_EDIT_EVENTS = ("SourceRepresentationModified", "SegmentRemoved", "SegmentAdded")


class ResultSection:
    """Shows one result at a time.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    """

    def __init__(self, ui):
        self._ui = ui
        self._node = None
        self._observed: list[tuple[object, int]] = []
        self._table = LesionTable(ui.lesionTable, self._onSelected, self._onVerdict)
        self._editor = CorrectionEditor(ui.correctButton.layout())
        ui.correctButton.connect("contentsCollapsed(bool)", self._onCorrectCollapsed)
        ui.measureButton.connect("clicked()", self._onMeasure)
        ui.exportButton.connect("clicked()", self._onExport)
        self.show(None)

    @property
    def node(self):
        """The segmentation node that is shown, or None."""
        return self._node

    def show(self, node) -> None:
        """Show this segmentation node; None, or one that this module did not make, has no figures."""
        if node is not self._node:
            self._stopObserving()
            self._node = node
            self._startObserving()
            self._offerForCorrection()
        known = isResult(node)
        self._ui.volumesLabel.text = _volumesText(node) if known else _nothingText(node)
        self._ui.volumesLabel.visible = bool(self._ui.volumesLabel.text)
        self._ui.editedLabel.visible = False
        self._table.show(lesionsOf(node) if known else [])
        lesions = self._ui.lesionTable.rowCount
        self._ui.lesionsButton.text = _("Lesions ({count})").format(count=lesions) if known else _("Lesions")
        self._ui.lesionHintLabel.visible = known
        self._ui.lesionHintLabel.text = (
            _("Click a lesion to jump to it.") if lesions else _("No tumour was found. Small lesions can be missed.")
        )
        self._ui.exportButton.enabled = known and lesions > 0
        self._ui.measureButton.enabled = known

    def showNew(self, node, volumeNode) -> None:
        """Show a result that was just made, in the views as well."""
        self.show(node)
        showResult(volumeNode, node)

    def enter(self) -> None:
        """Give the editor its shortcuts: the panel is shown."""
        self._editor.enter()

    def exit(self) -> None:
        """Put the editing tool away: another module is shown."""
        self._editor.exit()

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        self._editor.forgetScene()
        self.show(None)

    def _startObserving(self) -> None:
        if self._node is None:
            return
        segmentation = self._node.GetSegmentation()
        for name in _EDIT_EVENTS:
            event = getattr(slicer.vtkSegmentation, name)
            self._observed.append((segmentation, segmentation.AddObserver(event, self._onEdited)))

    def _stopObserving(self) -> None:
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []

    def _onEdited(self, _caller, _event) -> None:
        if isResult(self._node):
            self._ui.editedLabel.visible = True

    def _volumeNode(self):
        """Return the CT of the shown result: its reference geometry."""
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        return self._node.GetNodeReference(role) if self._node is not None else None

    def _offerForCorrection(self) -> None:
        if not self._ui.correctButton.collapsed or self._node is None:
            self._editor.edit(self._node, self._volumeNode())

    def _onCorrectCollapsed(self, collapsed: bool) -> None:
        if collapsed:
            self._editor.exit()
        else:
            self._editor.edit(self._node, self._volumeNode())
            self._editor.enter()

    def _onSelected(self, lesion: LesionRecord) -> None:
        jumpTo(self._node, lesion.centroidRas)

    def _onVerdict(self, lesionId: int, verdict: str) -> None:
        setVerdict(self._node, lesionId, verdict)

    def _onMeasure(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The result could not be measured."), waitCursor=True):
            volumeNode = self._volumeNode()
            if volumeNode is None:
                raise RuntimeError(_("The CT of this segmentation is not in the scene any more."))
            measureAgain(self._node, volumeNode)
            self.show(self._node)

    def _onExport(self) -> None:
        suggestion = f"{fileStem(self._node.GetName())}.lesions.csv"
        path = qt.QFileDialog.getSaveFileName(None, _("Export the lesions"), suggestion, "CSV (*.csv)")
        if path:
            with slicer.util.tryWithErrorDisplay(_("The lesions could not be exported.")):
                writeCsv(Path(path), lesionsOf(self._node))


def _volumesText(node) -> str:
    volumes = volumesOf(node)
    liver, tumor, lesions = volumes.get("liver", 0.0), volumes.get("tumor", 0.0), len(lesionsOf(node))
    if liver == 0 and "liver" in volumes:
        return _("No liver was found.")
    model, quality, device, seconds = (
        node.GetAttribute(PREFIX + key) or "?" for key in ("Model", "Quality", "Device", "Seconds")
    )
    origin = _("{model}, {quality} quality, computed on {device} in {seconds}").format(
        model=model, quality=quality, device=device, seconds=durationText(float(seconds)) if seconds != "?" else "?"
    )
    if "liver" not in volumes:  # a model of the reader's own, with classes of its own
        figures = ", ".join(f"{escape(name)} {volume:.1f} ml" for name, volume in volumes.items())
    elif lesions == 0:
        figures = _("<b>Liver {liver:.0f} ml</b>, no tumour found").format(liver=liver)
    else:
        words = _("<b>Liver {liver:.0f} ml</b> with tumours, <b>tumour {tumor:.1f} ml</b> ({count}, {share:.1f} %)")
        count = _("1 lesion") if lesions == 1 else _("{number} lesions").format(number=lesions)
        figures = words.format(liver=liver, tumor=tumor, count=count, share=100 * tumor / liver)
    return f'{figures}<br><span style="color:gray">{escape(origin)}</span>'


def _nothingText(node) -> str:
    return "" if node is None else _("This segmentation was not made by this module: it has no figures to show.")
