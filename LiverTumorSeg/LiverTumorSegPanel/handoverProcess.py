"""A child process that starts once what it reads is on the disk: the panel waits neither for the disk nor for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import READERS_TURN_S, InferenceProcess


class HandoverProcess:
    """One child process, polled like an `InferenceProcess`.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    workFolder : Path
        Current folder of the child: the private temporary folder.
    writers : sequence of callables
        Each writes something into that folder. They are called in a thread: they may touch neither Slicer nor Qt.
    """

    def __init__(
        self, command: list[str], moduleFolder: Path, workFolder: Path, writers: Sequence[Callable[[], object]]
    ):
        self._start = lambda: InferenceProcess(command, moduleFolder, workFolder)
        self._child: InferenceProcess | None = None
        self._isWanted, self._problem = True, ""
        self._thread = threading.Thread(target=self._write, args=(list(writers),), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process ID of the child; None while it has not been started."""
        return None if self._child is None else self._child.pid

    @property
    def log(self) -> list[str]:
        """What the child said."""
        return [] if self._child is None else self._child.log

    def poll(self) -> tuple[list[dict], int | None]:
        """Return the events since the last call, and the exit code once everything has been read."""
        if self._child is None:
            self._thread.join(READERS_TURN_S)
            if self._thread.is_alive():
                return [], None
            if self._problem:
                message = _("The private temporary folder does not take what has to be handed over ({reason}).")
                return [{"event": "error", "message": message.format(reason=self._problem)}], 1
            self._child = self._start()
        return self._child.poll()

    def stop(self) -> None:
        """End it at once; what is being written is finished first, and nothing after it."""
        self._isWanted = False
        self._thread.join()
        if self._child is not None:
            self._child.tree.stop()

    def _write(self, writers: list[Callable[[], object]]) -> None:
        try:
            while writers and self._isWanted:
                writers.pop(0)()  # what it holds, a CT perhaps, is let go of
        except OSError as error:
            self._problem = error.strerror or str(error)
