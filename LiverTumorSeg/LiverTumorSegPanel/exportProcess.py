"""The child process that writes what leaves a session: Slicer goes on while a page or DICOM objects are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from LiverTumorSegLib.export_service import (
    LABELS,
    ORIGINAL,
    PROBABILITY,
    SCAN,
    Job,
    leave_labels,
    leave_probability,
)
from LiverTumorSegLib.review.verdicts import stored_verdicts
from slicer.i18n import tr as _

from LiverTumorSegPanel.handoverProcess import HandoverProcess
from LiverTumorSegPanel.inferenceProcess import TIME_COLUMN, pythonExecutable
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.privateFolder import makePrivateFolder, removePrivateFolder
from LiverTumorSegPanel.resultRecords import lesionsOf, provenanceOf
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.volumeExport import takeVolume

POLL_MS = 100


class ExportProcess:
    """One export of a session as it is when this is made; whatever the reader does then changes nothing of it.

    Parameters
    ----------
    session : ReviewSession
        What to write.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    kind : str
        "table", "page", "dicom" or "training".
    dicomFiles : sequence of str
        The slices of the CT, for "dicom".
    """

    def __init__(self, session: ReviewSession, moduleFolder: Path, kind: str, dicomFiles: Sequence[str] = ()):
        self._moduleFolder, self._kind = moduleFolder, kind
        self._files: list[str] = []
        self._error = ""
        self._words = _("Starting")
        self._process: HandoverProcess | None = None
        self._timer: PollTimer | None = None
        self.folder: Path | None = None
        # The arrays of a session are never changed in place; the CT belongs to the scene, so it is copied.
        self._taken: dict[str, Callable[[Path], object]] = {
            SCAN: takeVolume(session.volumeNode).write,
            LABELS: partial(leave_labels, labels=session.labels),
        }
        if kind == "training" and session.original is not None:
            self._taken[ORIGINAL] = partial(leave_labels, labels=session.original)
        if kind != "training" and session.networksProbability is not None:
            self._taken[PROBABILITY] = partial(leave_probability, image=session.networksProbability)
        self._job = {
            "kind": kind,
            "title": session.node.GetName(),
            "verdicts": stored_verdicts(session.verdicts),
            "rows": [lesion.figures for lesion in lesionsOf(session.node)],
            "provenance": provenanceOf(session.node),
            "dicom_files": list(dicomFiles),
        }

    def start(
        self,
        path: Path,
        onProgress: Callable[[float, str], None],
        onEnd: Callable[[list[str], str], None],
    ) -> None:
        """Write.

        Parameters
        ----------
        path : Path
            The file for "table" and "page", the folder for "training", and for "dicom" the folder and the beginning
            of the names.
        onProgress : callable
            Called with (fraction, words) about ten times a second.
        onEnd : callable
            Called once with the names of the files that were written and, when none was, one sentence that says why.
        """
        self._onProgress, self._onEnd = onProgress, onEnd
        whole = self._kind == "training"
        folder, name = (path, "") if whole else (path.parent, path.name)
        self.folder = makePrivateFolder()
        Job(folder=str(folder.absolute()), name=name, **self._job).write(self.folder)
        command = [pythonExecutable(), "-m", "LiverTumorSegLib.export_service", "."]
        writers = [partial(write, self.folder / name) for name, write in self._taken.items()]
        self._taken = {}
        self._process = HandoverProcess(command, self._moduleFolder, self.folder, writers)
        self._startedAt, self._fraction = time.monotonic(), 0.0
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def stop(self) -> None:
        """End it and say nothing more; what was not finished leaves nothing behind."""
        if self._timer is not None:
            self._timer.stop()
        if self._process is not None:
            self._process.stop()
        if self.folder is not None:
            removePrivateFolder(self.folder)

    def _poll(self) -> None:
        events, exitCode = self._process.poll()
        for event in events:
            if event["event"] == "progress":
                self._words, self._fraction = _stepText(event["message"]), float(event["fraction"])
            elif event["event"] == "written":
                self._files = [str(name) for name in event["files"]]
            elif event["event"] == "error":
                # The advice is for the command line; here a dialog asks for the folder.
                self._error = str(event["message"]).replace(" with --output", "")
        if exitCode is None:
            words = _("{step}, {seconds:.0f} s").format(step=self._words, seconds=time.monotonic() - self._startedAt)
            self._onProgress(self._fraction, words)
            return
        self._timer.stop()
        removePrivateFolder(self.folder)
        done = exitCode == 0 and self._files
        self._onEnd(self._files if done else [], "" if done else self._error or self._unexpectedEnd(exitCode))

    def _unexpectedEnd(self, exitCode: int) -> str:
        log = self._process.log
        if any("Traceback (most recent call last)" in line for line in log):
            message = _("The export stopped by an error of the program ({error}).")
            return message.format(error=log[-1][TIME_COLUMN:].strip())
        message = _("The export was ended by the system (code {code}): most often memory ran out.")
        return message.format(code=exitCode)


def _stepText(step: str) -> str:
    """Return a step of the export in the reader's language."""
    known = {"Reading": _("Reading"), "Measuring": _("Measuring"), "Writing": _("Writing")}
    return known.get(step, step)
