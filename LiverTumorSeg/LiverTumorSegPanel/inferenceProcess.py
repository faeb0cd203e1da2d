"""The child process that segments: started with an argument list, read without blocking, ended as a whole.

Nothing here needs Slicer or Qt; whoever owns the process calls `InferenceProcess.poll` from a timer.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegPanel.processTree import ProcessTree, childOptions

LOG_LINES_KEPT = 4000
TIME_COLUMN = len(f"{0:7.1f} s  ")
"""Where the words of a line of the log begin."""

READERS_TURN_S = 0.005
"""Slicer's event loop may hold Python's lock between two timer calls: at each call the readers get this long."""


@dataclass(frozen=True)
class RunRequest:
    """What the reader asked for.

    Attributes
    ----------
    image, output : Path
        The exported CT and the folder for the results, relative to the private folder the child works in. ITK opens
        only ASCII names on Windows, and what lies above the private folder bears the user's name.
    models : tuple of Path
        Bundle folders; empty for the default model.
    localiser : Path or None
        Bundle folder of the localiser; None for the default one.
    device, quality : str
        As on the command line.
    modality : str or None
        DICOM modality when the scene knows it ("CT", "MR").
    force : bool
        Pass over errors that may be passed over.
    """

    image: Path = Path("scan.nrrd")
    output: Path = Path("result")
    models: tuple[Path, ...] = ()
    localiser: Path | None = None
    device: str = "auto"
    quality: str = "standard"
    modality: str | None = None
    force: bool = False

    def arguments(self) -> list[str]:
        """Return the arguments of the command line, one list element each (never a shell string)."""
        arguments = self._common()
        if self.localiser is not None:
            arguments += ["--localiser", str(self.localiser)]
        if self.modality in ("CT", "MR"):
            arguments += ["--modality", self.modality]
        if self.force:
            arguments.append("--force")
        return [*arguments, "--probabilities", "--json-progress"]

    def placeArguments(self) -> list[str]:
        """Return the arguments for a process that stays and segments single places."""
        return [*self._common(), "--places"]

    def _common(self) -> list[str]:
        arguments = [str(self.image), "--output", str(self.output), "--device", self.device, "--quality", self.quality]
        return [*arguments, "--model", *map(str, self.models)] if self.models else arguments


def pythonExecutable() -> str:
    """Return the Python to run: Slicer's PythonSlicer where there is one, otherwise this interpreter."""
    return shutil.which("PythonSlicer") or sys.executable


def childEnvironment(moduleFolder: Path) -> dict[str, str]:
    """Return the environment of the child: the core importable, text in UTF-8, output not held back."""
    environment = dict(os.environ)
    paths = [str(moduleFolder), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


class InferenceProcess:
    """One running child process speaking JSON lines.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    workFolder : Path
        Current folder of the child: the private temporary folder.
    """

    def __init__(self, command: list[str], moduleFolder: Path, workFolder: Path):
        self.log: list[str] = [" ".join(command)]
        self._started = time.monotonic()
        self._queue: queue.Queue = queue.Queue()
        self._process = subprocess.Popen(
            command,
            cwd=str(workFolder),
            env=childEnvironment(moduleFolder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **childOptions(),
        )
        self.tree = ProcessTree(self._process)
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", self._process.stdout), ("err", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Process ID of the child."""
        return self._process.pid

    def _read(self, name: str, stream) -> None:
        with stream:
            for line in stream:
                self._queue.put((name, line.rstrip("\r\n")))

    def poll(self) -> tuple[list[dict], int | None]:
        """Return the events since the last call, and the exit code once everything has been read."""
        time.sleep(READERS_TURN_S)
        # Looked at before the queue is emptied: lines put in between are then read by the next call.
        ended = self._process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
        events = []
        while True:
            try:
                name, line = self._queue.get_nowait()
            except queue.Empty:
                break
            event = _eventOf(line) if name == "out" else None
            if event is not None:
                events.append(event)
            if line:
                self.log.append(f"{time.monotonic() - self._started:7.1f} s  {_readable(event, line)}")
        del self.log[:-LOG_LINES_KEPT]
        return events, self._process.returncode if ended else None


def _eventOf(line: str) -> dict | None:
    """Return the JSON object of a line, or None for a line that some library printed."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _readable(event: dict | None, line: str) -> str:
    """Return an event as a person reads it, any other line as it is."""
    if event is None:
        return line
    kind, message = event["event"], str(event.get("message") or event.get("summary") or "")
    if kind == "progress":
        return f"{100 * float(event.get('fraction') or 0):3.0f} %  {message}"
    if kind == "finding":
        return f"{event.get('grade')}: {message}"
    return f"{kind}: {message}" if message else kind


def segmentCommand(request: RunRequest) -> list[str]:
    """Return the command that segments one exported CT."""
    return [pythonExecutable(), "-m", "LiverTumorSegLib", *request.arguments()]


def placeCommand(request: RunRequest) -> list[str]:
    """Return the command that stays and segments single places of one exported CT."""
    return [pythonExecutable(), "-m", "LiverTumorSegLib", *request.placeArguments()]
