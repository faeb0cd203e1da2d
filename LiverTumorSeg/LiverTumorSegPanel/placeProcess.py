"""The child process that segments single places again: started when a place is going to be pointed at, then kept."""

from __future__ import annotations

import time
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
        Called with a question, the tumour probability of its place, 0..255, and the seconds since it was asked: once
        for each question, in their order, whatever the reader does meanwhile.
    onFailed : callable
        Called with one sentence when there is no answer.
    """

    def __init__(
        self,
        volumeNode,
        moduleFolder: Path,
        request: RunRequest,
        onAnswer: Callable[[Question, sitk.Image, float], None],
        onFailed: Callable[[str], None],
    ):
        self._onAnswer, self._onFailed = onAnswer, onFailed
        self._about = self._state(volumeNode, request)
        self._asked = 0
        self._waiting: list[tuple[Question, float]] = []
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
        self._waiting.append((question, time.monotonic()))
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
            if self.isOver:  # closed by what an answer led to
                return
            if event["event"] == "ready":
                self.isReady = True
            elif event["event"] == "place":
                question, askedAt = self._waiting.pop(0)
                probability = sitk.ReadImage(str(self.folder / event["probability"]))
                self._onAnswer(question, probability, time.monotonic() - askedAt)
            elif event["event"] == "error":
                # Before it is ready, none of them will be answered.
                del self._waiting[: 1 if self.isReady else None]
                self._onFailed(str(event.get("message", "")) or _("This place could not be segmented."))
        if exitCode is not None and not self.isOver:
            self.close()
            if self._waiting:
                self._onFailed(unexpectedEnd(exitCode, self.process.log))
