"""One question, answered by a script in a child process, so that the panel never waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import slicer

from LiverTumorSegPanel.inferenceProcess import InferenceProcess, pythonExecutable
from LiverTumorSegPanel.pollTimer import PollTimer

POLL_MS = 200


class ChildQuery:
    """Ask once.

    Parameters
    ----------
    script : str
        File beside this one, which prints its answer as one event.
    arguments : sequence of str
        For the script.
    event : str
        Name of the event that is the answer.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    onAnswer : callable
        Called at the child's end with the event, empty when there was none, and the lines of its log.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        event: str,
        moduleFolder: Path,
        onAnswer: Callable[[dict, list[str]], None],
    ):
        self._event, self._onAnswer = event, onAnswer
        self._answer: dict = {}
        command = [pythonExecutable(), str(Path(__file__).with_name(script)), *arguments]
        self._process = InferenceProcess(command, moduleFolder, Path(slicer.app.temporaryPath))
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def abandon(self) -> None:
        """Stop asking."""
        self._timer.stop()
        self._process.tree.stop()

    def _poll(self) -> None:
        events, exitCode = self._process.poll()
        for event in events:
            if event["event"] == self._event:
                self._answer = event
        if exitCode is not None:
            self._timer.stop()
            self._onAnswer(self._answer, self._process.log)
