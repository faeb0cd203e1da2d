"""The child process that segments single places again: started when a place is going to be pointed at, then kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk
from LiverTumorSegLib.review.question import Question, ask
from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import InferenceProcess, RunRequest, placeCommand
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.privateFolder import makePrivateFolder, removePrivateFolder
from LiverTumorSegPanel.segmentationRun import unexpectedEnd
from LiverTumorSegPanel.volumeExport import exportVolume, gridOf

POLL_MS = 30


class PlaceProcess:
    """One warm child for one CT and one model.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
        The CT.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    request : RunRequest
        Model and device.
    onAnswer : callable
        Called with the tumour probability of the place that was asked for, 0..255.
    onFailed : callable
        Called with one sentence when there is no answer.
    """

    def __init__(
        self,
        volumeNode,
        moduleFolder: Path,
        request: RunRequest,
        onAnswer: Callable[[sitk.Image], None],
        onFailed: Callable[[str], None],
    ):
        self._onAnswer, self._onFailed = onAnswer, onFailed
        self._about = self._state(volumeNode, request)
        self._asked = 0
        self._answered = 0
        self.isReady = False
        self.isOver = False
        self.folder = makePrivateFolder()
        try:
            exportVolume(volumeNode, self.folder / request.image)
            (self.folder / request.output).mkdir()
            self._questions = self.folder / request.output
            self.process = InferenceProcess(placeCommand(request), moduleFolder, self.folder)
        except Exception:
            removePrivateFolder(self.folder)
            raise
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def fits(self, volumeNode, request: RunRequest) -> bool:
        """Return whether it still runs, on this CT as it is now, with this model."""
        return not self.isOver and self._about == self._state(volumeNode, request)

    def ask(self, question: Question) -> None:
        """Ask for a place; the answer comes by `onAnswer`, when the child has started as well."""
        self._asked += 1
        ask(self._questions, self._asked, question)

    def close(self) -> None:
        """End it and say nothing more."""
        if not self.isOver:
            self.isOver = True
            self._timer.stop()
            self.process.tree.stop()
            removePrivateFolder(self.folder)

    @staticmethod
    def _state(volumeNode, request: RunRequest) -> tuple:
        return volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), gridOf(volumeNode), request

    def _poll(self) -> None:
        events, exitCode = self.process.poll()
        for event in events:
            if event["event"] == "ready":
                self.isReady = True
            elif event["event"] == "place":
                self._answered = event["number"]
                if self._answered == self._asked:  # one asked for before is not waited for any more
                    self._onAnswer(sitk.ReadImage(str(self.folder / event["probability"])))
            elif event["event"] == "error":
                self._answered = self._asked
                self._onFailed(str(event.get("message", "")) or _("This place could not be segmented."))
        if exitCode is not None and not self.isOver:
            waited = self._answered < self._asked
            self.close()
            if waited:
                self._onFailed(unexpectedEnd(exitCode, self.process.log))
