"""The upper half of the panel: look at the CT, segment it, show how far it is, say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from LiverTumorSegPanel import dependencies
from LiverTumorSegPanel.findingsText import findingsAsHtml
from LiverTumorSegPanel.inferenceProcess import RunRequest
from LiverTumorSegPanel.inputCheck import checkVolumeNode
from LiverTumorSegPanel.modelSection import ModelSection
from LiverTumorSegPanel.panelFinding import PanelFinding
from LiverTumorSegPanel.resultRecords import PREFIX
from LiverTumorSegPanel.runPlan import learnPace, planFindings, planFor, planText, qualityFindings
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.segmentationRun import Outcome, SegmentationRun
from LiverTumorSegPanel.textColors import textColor

PROGRESS_STEPS = 1000


class SegmentSection(Section):
    """Runs segmentations and shows them.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    onResult : callable
        Called with the new segmentation node, its CT and the tumour probability that was kept.
    """

    def __init__(self, ui, moduleFolder: Path, onResult: Callable[..., None]):
        buttons = {
            "segmentButton": self._onSegment,
            "forceButton": self._onSegmentAnyway,
            "cancelButton": self._onCancel,
            "installButton": self._onInstall,
            "copyLogButton": self._onCopyLog,
        }
        super().__init__(ui, buttons)
        self._moduleFolder = moduleFolder
        self._onResult = onResult
        self._volumeNode = None
        self._findings: list[PanelFinding] = []
        self._missing = dependencies.missingPackages()
        self.run: SegmentationRun | None = None
        self.models = ModelSection(ui, moduleFolder, self.update)
        ui.progressBar.maximum = PROGRESS_STEPS
        self._showRunning(False)
        ui.forceButton.visible = False
        self._say("")
        self._showFindings([])

    def setParameters(self, parameters) -> None:
        """Use this parameter node; None while there is none."""
        super().setParameters(parameters)
        self.models.setParameters(parameters)
        self.update()

    def enter(self) -> None:
        """Start what is only needed once the panel is shown."""
        self._missing = dependencies.missingPackages()
        if not self._missing:
            self.models.queryDevices()
        self.update()

    def close(self) -> None:
        """End every child process."""
        super().close()
        self.models.close()

    def forgetScene(self) -> None:
        """End a run without a word: its scene is being closed."""
        super().forgetScene()
        self._volumeNode = None
        if self.run is not None:
            self.run.abandon()
            self.run = None
            self._showRunning(False)
            self._say("")

    def update(self) -> None:
        """Say what there is to say about the chosen CT, and offer the Segment button or say why not."""
        volumeNode = self.parameters.inputVolume if self.parameters else None
        if volumeNode is not self._volumeNode:  # a word about one scan must not stand beside another
            self._volumeNode = volumeNode
            # Filled, renamed, put under a transform: what is said of it may no longer be true.
            events = [vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent]
            events.append(slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
            self.watch(*((volumeNode, event, self._onVolumeModified) for event in events if volumeNode is not None))
            self.ui.forceButton.visible = False
            if self.run is None:
                self._say("")
                self._showFindings([])
        # The theme may have changed since these were written.
        self.ui.noticeLabel.setStyleSheet(f"color: {textColor('quiet')}")
        self._showFindings(self._findings)
        findings = checkVolumeNode(volumeNode) + self._installationFindings()
        ready = volumeNode is not None and not any(finding.grade == "error" for finding in findings)
        plan = planFor(volumeNode, self.models, self.parameters.quality.value) if ready and self.run is None else None
        self._showPlan(planText(plan, self.models.deviceKind()))
        findings += planFindings(plan)
        if ready:
            findings += qualityFindings(self.models, self.parameters.quality.value)
        self.ui.inputFindingsLabel.text = findingsAsHtml(findings)
        self.ui.inputFindingsLabel.visible = bool(findings)
        self.ui.installButton.visible = bool(self._missing) and not dependencies.needsRestart()
        self.ui.segmentButton.enabled = ready and self.run is None
        if ready:
            tip = _("Segment the liver and its tumours in '{name}' into a new segmentation.")
            self.ui.segmentButton.toolTip = tip.format(name=volumeNode.GetName())
        else:
            self.ui.segmentButton.toolTip = _("Choose a CT that can be segmented first.")

    def start(self, force: bool = False) -> None:
        """Start a run for the chosen CT; with `force`, errors that may be passed over are."""
        volumeNode = self.parameters.inputVolume
        self.ui.forceButton.visible = False
        self._showFindings([])
        self.ui.logText.plainText = ""
        request = RunRequest(
            models=(self.models.modelFolder(),),
            localiser=self.models.localiserFolder(),
            device=self.models.device(),
            quality=self.parameters.quality.value,
            force=force,
        )
        plan, kind = planFor(volumeNode, self.models, request.quality), self.models.deviceKind()
        started = time.monotonic()

        def ended(outcome: Outcome) -> None:
            if outcome.kind == "done":
                learnPace(plan, kind, time.monotonic() - started)
            self._onEnd(outcome, volumeNode)

        self.run = SegmentationRun(volumeNode, self._moduleFolder, request, self._onProgress, ended)
        self._showRunning(True)
        self._onProgress(0.0, _("Starting"))
        self.update()

    def placeRequest(self, node) -> RunRequest:
        """Return what segments a place of a result again: the model that made it. One pass is what seconds allow."""
        folder = self.models.folderOfWeights(node.GetAttribute(PREFIX + "ModelSha256") or "")
        return RunRequest(models=(folder,) if folder else (), device=self.models.device(), quality="standard")

    def batchOptions(self) -> tuple[str, ...] | None:
        """Return the options of the command line for a folder of scans; None while nothing can be segmented."""
        folder = self.models.modelFolder()
        if self._missing or folder is None or self.parameters is None:
            return None
        options = ["--model", str(folder), "--device", self.models.device()]
        options += ["--quality", self.parameters.quality.value]
        localiser = self.models.localiserFolder()
        return (*options, "--localiser", str(localiser)) if localiser else tuple(options)

    def _installationFindings(self) -> list[PanelFinding]:
        findings = []
        if self._missing:
            findings.append(PanelFinding("error", dependencies.missingText(self._missing), "not-installed"))
        elif self.models.torch is not None and self.models.torch.torch is None:
            message = _("PyTorch is installed but does not start ({reason}). Reinstall it with the PyTorch extension.")
            findings.append(PanelFinding("error", message.format(reason=self.models.torch.problem), "torch-broken"))
        if self.models.modelFolder() is None:
            message = _("No model was found. Open one under Advanced, from a folder or a file.")
            findings.append(PanelFinding("error", message, "no-model"))
        findings += [PanelFinding("warning", problem, "bad-model") for problem in self.models.problems]
        return findings

    def _onVolumeModified(self, _caller, _event) -> None:
        self.update()

    def _onSegment(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The segmentation could not be started."), waitCursor=True):
            self.start()

    def _onSegmentAnyway(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The segmentation could not be started."), waitCursor=True):
            self.start(force=True)

    def _onCopyLog(self) -> None:
        slicer.app.clipboard().setText(self.ui.logText.plainText)

    def _onCancel(self) -> None:
        if self.run is not None:
            self.ui.cancelButton.enabled = False
            self._say(_("Cancelling"))
            self.run.cancel()

    def _onInstall(self) -> None:
        try:
            with slicer.util.tryWithErrorDisplay(_("The installation failed."), waitCursor=False):
                dependencies.installMissing()
        finally:  # an installer that was declined raises; what is there now decides
            self._missing = dependencies.missingPackages()
            if not self._missing:
                self.models.forgetDevices()
            self.update()

    def _onProgress(self, fraction: float, text: str) -> None:
        self.ui.progressBar.value = round(fraction * PROGRESS_STEPS)
        self._say(text)
        if self.run is not None:
            self._showLog(self.run)

    def _onEnd(self, outcome: Outcome, volumeNode) -> None:
        self._showLog(self.run)
        self.run = None
        self._showRunning(False)
        self.update()
        findings = list(outcome.findings)
        if outcome.kind in ("refused", "failed") and outcome.message not in {finding.message for finding in findings}:
            findings.append(PanelFinding("error", outcome.message))
        self._showFindings(findings)
        self.ui.forceButton.visible = outcome.mayForce
        self._say(outcome.message if outcome.kind in ("done", "cancelled") else _("Nothing was segmented."))
        if outcome.node is not None:
            self._onResult(outcome.node, volumeNode, outcome.probability)

    def _showRunning(self, running: bool) -> None:
        ui = self.ui
        ui.segmentButton.visible = not running
        ui.cancelButton.visible = running
        ui.cancelButton.enabled = running
        ui.progressBar.visible = running
        for widget in (
            ui.modelComboBox,
            ui.modelFolderButton,
            ui.modelFileButton,
            ui.deviceComboBox,
            ui.qualityComboBox,
        ):
            widget.enabled = not running
        ui.inputSelector.enabled = not running

    def _showPlan(self, text: str) -> None:
        self.ui.planLabel.setStyleSheet(f"color: {textColor('quiet')}")
        self.ui.planLabel.text = text
        self.ui.planLabel.visible = bool(text)

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text
        self.ui.statusLabel.visible = bool(text)

    def _showFindings(self, findings: list[PanelFinding]) -> None:
        self._findings = findings
        self.ui.findingsLabel.text = findingsAsHtml(findings)
        self.ui.findingsLabel.visible = bool(findings)

    def _showLog(self, run: SegmentationRun) -> None:
        text = "\n".join(run.process.log)
        if text != self.ui.logText.plainText:
            self.ui.logText.plainText = text
            self.ui.logText.moveCursor(qt.QTextCursor.End)
            self.ui.logText.moveCursor(qt.QTextCursor.StartOfLine)
