"""The lower half of the panel: volumes, lesions and correction of the chosen result."""

from __future__ import annotations

from html import escape

import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.correctionEditor import CorrectionEditor
from LiverTumorSegPanel.fileDialog import chooseFileToSave
from LiverTumorSegPanel.lesionMeasure import measureAgain
from LiverTumorSegPanel.lesionRecords import PREFIX, LesionRecord, isResult, lesionsOf, setVerdict, volumesOf, writeCsv
from LiverTumorSegPanel.lesionTable import LesionTable
from LiverTumorSegPanel.progressText import durationText
from LiverTumorSegPanel.resultView import jumpTo, showResult
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.textColors import textColor
from LiverTumorSegPanel.volumeExport import fileStem

_EDIT_EVENTS = ("SourceRepresentationModified", "SegmentRemoved", "SegmentAdded")


class ResultSection(Section):
    """Shows one result at a time.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    """

    def __init__(self, ui):
        super().__init__(ui, {"measureButton": self._onMeasure, "exportButton": self._onExport})
        self._node = None
        self._table = LesionTable(ui.lesionTable, self._onSelected, self._onVerdict)
        self._editor = CorrectionEditor(ui.correctButton.layout())
        ui.correctButton.connect("contentsCollapsed(bool)", self._onCorrectCollapsed)
        self.show(None)

    @property
    def node(self):
        """The segmentation node that is shown, or None."""
        return self._node

    def show(self, node) -> None:
        """Show this segmentation node; None, or one that this module did not make, has no figures."""
        if node is not self._node:
            self._node = node
            self._observe()
            self._editor.offer(node, self._volumeNode())
            if not self.ui.correctButton.collapsed:
                self._editor.open()
        known = isResult(node)
        self.ui.volumesLabel.text = _volumesText(node) if known else _nothingText(node)
        self.ui.volumesLabel.visible = bool(self.ui.volumesLabel.text)
        self.ui.editedLabel.visible = False
        self._table.show(lesionsOf(node) if known else [])
        lesions = self.ui.lesionTable.rowCount
        self.ui.lesionsButton.text = _("Lesions ({count})").format(count=lesions) if known else _("Lesions")
        self.ui.lesionHintLabel.visible = known
        self.ui.lesionHintLabel.text = (
            _("Click a lesion to jump to it.") if lesions else _("No tumour was found. Small lesions can be missed.")
        )
        self.ui.exportButton.enabled = known and lesions > 0
        self.ui.measureButton.enabled = known

    def showNew(self, node, volumeNode) -> None:
        """Show a result that was just made, in the views as well."""
        self.show(node)
        showResult(volumeNode, node)

    def enter(self) -> None:
        """Take the editor up again if it can be seen."""
        if not self.ui.correctButton.collapsed:
            self._editor.open()

    def exit(self) -> None:
        """Put the editing tool away: another module is shown."""
        self._editor.close()

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        super().forgetScene()
        self._editor.forgetScene()
        self.show(None)

    def _observe(self) -> None:
        if self._node is None:
            self.watch()
            return
        segmentation = self._node.GetSegmentation()
        events = [getattr(slicer.vtkSegmentation, name) for name in _EDIT_EVENTS]
        self.watch(*((segmentation, event, self._onEdited) for event in events))

    def _onEdited(self, _caller, _event) -> None:
        if isResult(self._node):
            self.ui.editedLabel.visible = True

    def _volumeNode(self):
        """Return the CT of the shown result: its reference geometry."""
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        return self._node.GetNodeReference(role) if self._node is not None else None

    def _onCorrectCollapsed(self, collapsed: bool) -> None:
        if collapsed:
            self._editor.close()
        else:
            self._editor.open()

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
        # Taken now: while the dialog is open a run may end and another result be shown, or the scene be closed.
        lesions, name = lesionsOf(self._node), f"{fileStem(self._node.GetName())}.lesions.csv"
        path = chooseFileToSave(_("Export the lesions"), name, "CSV (*.csv)")
        if path is not None:
            with slicer.util.tryWithErrorDisplay(_("The lesions could not be exported.")):
                writeCsv(path, lesions)


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
    return f'{figures}<br><span style="color:{textColor("quiet")}">{escape(origin)}</span>'


def _nothingText(node) -> str:
    return "" if node is None else _("This segmentation was not made by this module: it has no figures to show.")
