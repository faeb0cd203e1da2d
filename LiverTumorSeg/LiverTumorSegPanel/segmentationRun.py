"""One run from the CT in the scene to a new segmentation in the scene, or to nothing at all.

The scene is read when the run starts and written once when it has succeeded; in between it is not touched, so a
cancelled or failed run leaves it exactly as it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk
import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import TIME_COLUMN, InferenceProcess, RunRequest, segmentCommand
from LiverTumorSegPanel.inputCheck import modalityOf
from LiverTumorSegPanel.panelFinding import PanelFinding, findingFromEvent, mayForce
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.privateFolder import makePrivateFolder, removePrivateFolder
from LiverTumorSegPanel.progressText import RunClock
from LiverTumorSegPanel.resultRecords import attributesOfReport
from LiverTumorSegPanel.segmentationImport import commitSegmentation, readLabelmap, resultName
from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

POLL_MS = 100
CANCEL_PATIENCE_S = 0.7
"""How long a cancelled child may tidy up before it is killed; with the kill, cancel stays under two seconds."""

FORCE_HINT = "Use --force (in Slicer: Segment anyway) to segment it nevertheless."
"""How the command line ends a refusal that may be passed over; the panel has a button for it instead."""

EXIT_BAD_INPUT = 3
EXIT_CANCELLED = 130


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    kind : str
        "done", "refused" (the input; see `mayForce`), "failed" or "cancelled".
    message : str
        One sentence for the status line.
    findings : tuple of PanelFinding
        What the checks said.
    node : vtkMRMLSegmentationNode or None
        The new node of a run that is done.
    probability : sitk.Image or None
        The tumour probability of the liver box, 0..255, for another sensitivity later.
    mayForce : bool
        Whether "Segment anyway" makes sense.
    """

    kind: str
    message: str
    findings: tuple[PanelFinding, ...] = ()
    node: object | None = None
    probability: sitk.Image | None = None
    mayForce: bool = False


class SegmentationRun:
    """One run of the child process for one volume node.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
        The CT, already looked at by `inputCheck.checkVolumeNode`.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    request : RunRequest
        The choices; ``modality`` is filled in here.
    onProgress : callable
        Called with (fraction, status line) about ten times a second.
    onEnd : callable
        Called once with the `Outcome`.
    """

    def __init__(
        self,
        volumeNode,
        moduleFolder: Path,
        request: RunRequest,
        onProgress: Callable[[float, str], None],
        onEnd: Callable[[Outcome], None],
    ):
        self._volumeNode = volumeNode
        self._onProgress = onProgress
        self._onEnd = onEnd
        self._findings: list[PanelFinding] = []
        self._result: dict = {}
        self._error = ""
        self._cancelledAt: float | None = None
        self._words = _("Starting")
        self.folder = makePrivateFolder()
        try:
            self._grid = gridOf(volumeNode)
            exportVolume(volumeNode, self.folder / request.image)
            command = segmentCommand(replace(request, modality=modalityOf(volumeNode)))
            self.process = InferenceProcess(command, moduleFolder, self.folder)
        except Exception:
            removePrivateFolder(self.folder)
            raise
        self._clock = RunClock(time.monotonic())
        self._image = request.image.name
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the child's whole tree to stop; `onEnd` follows within two seconds."""
        if self._cancelledAt is None:
            self._cancelledAt = time.monotonic()
            self._words = _("Cancelling")
            self.process.tree.terminate()

    def abandon(self) -> None:
        """Stop at once and say nothing more: for a scene or module that is being closed."""
        self._timer.stop()
        self.process.tree.stop()
        removePrivateFolder(self.folder)

    def _poll(self) -> None:
        events, exitCode = self.process.poll()
        for event in events:
            self._take(event)
        now = time.monotonic()
        if self._cancelledAt is not None:
            if not self.process.tree.isAlive():
                self._end(self._cancelledOutcome())
            elif now - self._cancelledAt > CANCEL_PATIENCE_S:
                self.process.tree.kill()
            return
        if not self._volumeIsThere():
            self.cancel()
            return
        self._onProgress(self._clock.fraction, self._clock.text(self._words, now))
        if exitCode is not None:
            self._end(self._outcome(exitCode))

    def _take(self, event: dict) -> None:
        kind = event["event"]
        if kind == "progress":
            self._words = str(event.get("message") or self._words)
            self._clock.report(float(event.get("fraction") or 0.0), time.monotonic())
        elif kind == "finding":
            finding = findingFromEvent(event)
            self._findings.append(replace(finding, message=self._named(finding.message)))
        elif kind == "result":
            self._result = event
        elif kind == "error":
            self._error = self._named(str(event.get("message", "")))

    def _named(self, sentence: str) -> str:
        """Return a sentence of the child with the CT called as the reader knows it, not as the private folder does."""
        return sentence.replace(self._image, f"'{self._volumeNode.GetName()}'")

    def _outcome(self, exitCode: int) -> Outcome:
        findings = tuple(self._findings)
        if exitCode == 0 and self._result:
            try:
                return self._commit(findings)
            except Exception as error:  # whatever went wrong, the reader gets a sentence and an untouched scene
                return Outcome("failed", str(error), findings)
        if exitCode == EXIT_CANCELLED:
            return self._cancelledOutcome()
        message = self._error.replace(FORCE_HINT, "").strip() or unexpectedEnd(exitCode, self.process.log)
        if exitCode == EXIT_BAD_INPUT:
            force = mayForce(self._findings) or FORCE_HINT in self._error
            return Outcome("refused", message, findings, mayForce=force)
        return Outcome("failed", message, findings)

    def _volumeIsThere(self) -> bool:
        return bool(slicer.mrmlScene.IsNodePresent(self._volumeNode))

    def _cancelledOutcome(self) -> Outcome:
        if self._volumeIsThere():
            return Outcome("cancelled", _("Cancelled. The scene is as it was."), tuple(self._findings))
        message = _("The CT was removed from the scene while it was being segmented; the run was stopped.")
        return Outcome("failed", message, tuple(self._findings))

    def _commit(self, findings: tuple[PanelFinding, ...]) -> Outcome:
        labelmap = readLabelmap(self.folder / self._result["segmentation"], self._grid)
        report = json.loads((self.folder / self._result["report"]).read_text(encoding="utf-8"))
        node = commitSegmentation(
            self._volumeNode, labelmap, resultName(self._volumeNode), attributesOfReport(report, self._volumeNode)
        )
        message = _("Done: '{name}'.").format(name=node.GetName())
        kept = self._result.get("probabilities")
        probability = sitk.ReadImage(str(self.folder / kept)) if kept else None
        return Outcome("done", message, findings, node, probability)

    def _end(self, outcome: Outcome) -> None:
        self._timer.stop()
        removePrivateFolder(self.folder)
        self._onEnd(outcome)


def unexpectedEnd(exitCode: int, log: list[str]) -> str:
    """Return what most likely happened to a child that gave no reason itself."""
    if exitCode == 0:
        return _("The segmentation process ended without a result; the log says more.")
    traces = [number for number, line in enumerate(log) if "Traceback (most recent call last)" in line]
    if traces:
        message = _("The segmentation process stopped by an error of the program ({error}); the log says more.")
        return message.format(error=log[-1][TIME_COLUMN:].strip())
    # Slicer's launcher turns the signal that ended its interpreter into a plain exit code 1.
    message = _("The segmentation process was ended by the system ({code}): most often memory ran out.")
    code = _("signal {number}").format(number=-exitCode) if exitCode < 0 else _("code {code}").format(code=exitCode)
    return message.format(code=code)
