"""The lower half of the panel: volumes, lesions, verdicts and correction of the chosen result."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import SimpleITK as sitk
import slicer
import vtk
from slicer.i18n import tr as _

from LiverTumorSegPanel.candidateSection import CandidateSection
from LiverTumorSegPanel.correctionEditor import CorrectionEditor
from LiverTumorSegPanel.diameterMarks import hideDiameters, showDiameters
from LiverTumorSegPanel.exportSection import ExportSection
from LiverTumorSegPanel.inferenceProcess import RunRequest
from LiverTumorSegPanel.keptProbability import keepProbability, removeForsaken
from LiverTumorSegPanel.lesionTable import LesionTable
from LiverTumorSegPanel.localSection import LocalSection
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.progressText import durationText
from LiverTumorSegPanel.rejectedOutlines import RejectedOutlines
from LiverTumorSegPanel.resultRecords import (
    PREFIX,
    LesionRecord,
    hasLiverAndTumor,
    isResult,
    lesionsOf,
    volumesOf,
)
from LiverTumorSegPanel.resultView import jumpTo, showResult
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.reviewWords import totalsText
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.segmentLabels import EDIT_EVENTS
from LiverTumorSegPanel.sensitivitySlider import SensitivitySlider
from LiverTumorSegPanel.textColors import textColor

EDIT_SETTLES_MS = 200
"""The figures follow this long after the last stroke, or after the CT was moved."""


class ResultSection(Section):
    """Shows one result at a time.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    placeRequest : callable
        Returns the `RunRequest` that segments single places of a result again.
    """

    def __init__(self, ui, moduleFolder: Path, placeRequest: Callable[[object], RunRequest]):
        buttons = {
            "acceptButton": self._onAccept,
            "rejectButton": self._onReject,
            "unsureButton": self._onUnsure,
            "undoButton": self._onUndo,
        }
        super().__init__(ui, buttons)
        self._node = None
        self.session: ReviewSession | None = None
        self._edits = PollTimer(EDIT_SETTLES_MS, self._followEdit, once=True)
        self._moves = PollTimer(EDIT_SETTLES_MS, self._followMove, once=True)
        self._table = LesionTable(ui.lesionTable, self._onSelected, self._onVerdict)
        self._rejected = RejectedOutlines()
        self._editor = CorrectionEditor(ui.correctButton.layout())
        self._slider = SensitivitySlider(ui, self._refresh)
        self._candidate = CandidateSection(ui, self._refresh)
        self._export = ExportSection(ui, moduleFolder, self._followPendingEdit)
        self._local = LocalSection(ui, moduleFolder, placeRequest, self._followPendingEdit, self._onFound)
        ui.correctButton.connect("contentsCollapsed(bool)", self._onCorrectCollapsed)
        # By the reader's hand only: a scene that is loaded brings its own arrangement of the views.
        ui.resultSelector.connect("nodeActivated(vtkMRMLNode*)", self._onChosen)
        self.show(None)

    @property
    def node(self):
        """The segmentation node that is shown, or None."""
        return self._node

    def show(self, node) -> None:
        """Show this segmentation node; None, or one that this module did not make, has no figures."""
        if node is not self._node:
            self._leave()
            self._node = node
            self._editor.offer(node, self._volumeNode())
            self.session = self._openSession()
            self._observe()
            self._slider.use(self.session)
            self._local.use(self.session)
            self._export.use(node, self.session)
            if not self.ui.correctButton.collapsed:
                self._editor.open()
        self._refresh()

    def showNew(self, node, volumeNode, probability: sitk.Image | None = None) -> None:
        """Show a result that was just made, in the views as well, and come to its first lesion.

        Where the reader has worked on a result of the same CT, that one stays and the new one is compared with it.
        """
        if probability is not None:
            keepProbability(node, volumeNode, probability)
        if self.session is not None and self.session.hasWork and self.session.volumeNode is volumeNode:
            self._followPendingEdit()
            node.GetDisplayNode().SetVisibility(False)
            self._candidate.offer(self.session, node)
            return
        self.show(node)
        showResult(volumeNode, node)
        if self._table.lesions:
            self._table.select(self._table.lesions[0].number)

    def _onChosen(self, node) -> None:
        if node is self._node and isResult(node):
            showResult(self._volumeNode(), node)

    def enter(self) -> None:
        """Take the editor up again if it can be seen."""
        if not self.ui.correctButton.collapsed:
            self._editor.open()

    def exit(self) -> None:
        """Put the editing tool away: another module is shown."""
        self._editor.close()
        self._local.exit()

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        self.show(None)
        self._export.forgetScene()
        self._editor.forgetScene()
        super().forgetScene()

    def _leave(self) -> None:
        """Let go of the result that was shown."""
        self._slider.use(None)
        self._local.use(None)
        self._candidate.drop()
        self._edits.stop()
        self._moves.stop()
        if self.session is not None:
            self.session.close()
        self.session = None
        hideDiameters()
        self._rejected.show(None)

    def _openSession(self) -> ReviewSession | None:
        """Return the session of the shown result; None where there is nothing to judge, or its CT is gone."""
        node, volumeNode = self._node, self._volumeNode()
        if not isResult(node) or volumeNode is None or volumeNode.GetImageData() is None or not hasLiverAndTumor(node):
            return None
        return ReviewSession(node, volumeNode, self._editor.saveState)

    def _observe(self) -> None:
        scene = slicer.mrmlScene
        watched = [(scene, scene.NodeAddedEvent, self._onScene), (scene, scene.NodeRemovedEvent, self._onScene)]
        if self._node is not None:
            segmentation = self._node.GetSegmentation()
            events = [getattr(slicer.vtkSegmentation, name) for name in EDIT_EVENTS]
            watched += [(segmentation, event, self._onEdited) for event in events]
        if self.session is not None:
            moves = vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent
            watched += [(self.session.volumeNode, event, self._onMoved) for event in moves]
        self.watch(*watched)

    def _onScene(self, _caller, _event) -> None:
        removeForsaken()
        self._showOrHide()

    def _showOrHide(self) -> None:
        """Leave out what has nothing to show."""
        known, ui = isResult(self._node), self.ui
        ui.resultButton.visible = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") > 0
        ui.lesionsButton.visible = known
        ui.correctButton.visible = self._node is not None

    def _refresh(self) -> None:
        ui, known = self.ui, isResult(self._node)
        ui.volumesLabel.text = _volumesText(self._node) if known else _nothingText(self._node)
        ui.volumesLabel.visible = bool(ui.volumesLabel.text)
        lesions = lesionsOf(self._node) if known else []
        self._table.show(lesions)
        ui.lesionsButton.text = _("Lesions ({count})").format(count=len(lesions)) if known else _("Lesions")
        ui.lesionTable.visible = bool(lesions)
        ui.lesionHintLabel.text = _hintText(self.session, lesions)
        for button in (ui.acceptButton, ui.rejectButton, ui.unsureButton):
            button.enabled = self.session is not None
            button.visible = bool(lesions)
        ui.undoButton.enabled = self.session is not None
        self._mark(self._table.current)
        self._rejected.show(self.session)
        self._export.update()
        self._slider.update()
        self._candidate.update()
        self._showOrHide()

    def _onEdited(self, _caller, _event) -> None:
        if self.session is not None and not self.session.isWriting:
            self._edits.start()

    def _followEdit(self) -> None:
        self._edits.stop()
        if self.session is not None:
            with slicer.util.tryWithErrorDisplay(_("The result could not be measured."), waitCursor=False):
                self.session.followEdit()
            self._refresh()

    def _onMoved(self, _caller, _event) -> None:
        self._moves.start()

    def _followMove(self) -> None:
        """Take notice of a CT that was moved: its transform is another one, or was hardened."""
        self._moves.stop()
        if self.session is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The result could not be measured."), waitCursor=False):
            if self.session.followGrid():
                self._refresh()
                return
        self._mark(self._table.current)
        self._rejected.show(self.session)

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
        jumpTo(self._volumeNode() or self._node, lesion.placeRas)
        self._mark(lesion)

    def _mark(self, lesion: LesionRecord | None) -> None:
        """Draw the diameters of the lesion of the selected row, and name the button after its verdict."""
        if lesion is None:
            hideDiameters()
        else:
            showDiameters(self._volumeNode() or self._node, lesion.diametersRas())
        self._nameRejectButton(lesion)

    def _nameRejectButton(self, lesion: LesionRecord | None) -> None:
        rejected = lesion is not None and lesion.verdict == "reject"
        self.ui.rejectButton.text = _("Take back") if rejected else _("Reject")

    def _onFound(self, number: int) -> None:
        self._refresh()
        self._table.select(number)

    def _onAccept(self) -> None:
        self._table.give("accept")

    def _onReject(self) -> None:
        self._table.give("reject")

    def _onUnsure(self) -> None:
        self._table.give("unsure")

    def _onVerdict(self, number: int, verdict: str) -> None:
        if self.session is None:
            return
        self._followPendingEdit()
        self.session.judge(number, verdict)
        self._refresh()
        following = self.session.verdicts.after(number)
        if verdict and following is not None:
            self._table.select(following)

    def _onUndo(self) -> None:
        self._followPendingEdit()
        self._editor.undo()
        self._followEdit()

    def _followPendingEdit(self) -> None:
        """Take notice of an edit now, before something is decided about the lesions."""
        if self._edits.isRunning:
            self._followEdit()


def _hintText(session: ReviewSession | None, lesions: list[LesionRecord]) -> str:
    """Return the totals, and how to judge the lesions."""
    if not lesions:
        return _("No tumour was found. Small lesions can be missed.")
    if session is None:
        return _("The CT of this result is not in the scene any more: lesions can be looked at, but not judged.")
    keys = _("Up and down: jump to a lesion. A accept, R reject, U unsure; the same key again takes it back.")
    return f"{totalsText(session.totals)}\n{keys}"


def _volumesText(node) -> str:
    volumes = volumesOf(node)
    standing = [lesion for lesion in lesionsOf(node) if lesion.verdict != "reject"]
    liver, tumor, lesions = volumes.get("liver", 0.0), volumes.get("tumor", 0.0), len(standing)
    if liver == 0 and "liver" in volumes:
        return _("No liver was found.")
    model, quality, device, seconds = (
        node.GetAttribute(PREFIX + key) or "?" for key in ("Model", "Quality", "Device", "Seconds")
    )
    origin = _("{model}, {quality} quality, computed on {device} in {seconds}").format(
        model=model, quality=quality, device=device, seconds=durationText(float(seconds)) if seconds != "?" else "?"
    )
    if node.GetAttribute(PREFIX + "Edited") == "1":
        origin += _("; corrected by hand")
    if "liver" not in volumes:  # a model of the reader's own, with classes of its own
        figures = ", ".join(f"{escape(name)} {volume:.1f} ml" for name, volume in volumes.items())
    elif lesions == 0:
        figures = _("<b>Liver {liver:.0f} ml</b>, no tumour").format(liver=liver)
    else:
        words = _("<b>Liver {liver:.0f} ml</b> with tumours, <b>tumour {tumor:.1f} ml</b> ({count}, {share:.1f} %)")
        count = _("1 lesion") if lesions == 1 else _("{number} lesions").format(number=lesions)
        figures = words.format(liver=liver, tumor=tumor, count=count, share=100 * tumor / liver)
    return f'{figures}<br><span style="color:{textColor("quiet")}">{escape(origin)}</span>'


def _nothingText(node) -> str:
    return "" if node is None else _("This segmentation was not made by this module: it has no figures to show.")
