"""The child process that segments a folder of scans, and what has become of each scan."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
from LiverTumorSegLib.jsonfile import read_object
from LiverTumorSegLib.messages import FINISHED_BEFORE
from LiverTumorSegLib.scan.imageio import case_name
from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import InferenceProcess, pythonExecutable
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.segmentationRun import EXIT_CANCELLED, unexpectedEnd

POLL_MS = 200
PATIENCE_S = 10.0
"""How long a child that was told to stop may still write its summary before it is killed."""


@dataclass
class ScanState:
    """What has become of one scan.

    Attributes
    ----------
    name : str
        As the command line calls it.
    kind : str
        "running", "done", "finished before", "failed" or "stopped".
    fraction : float
        0..1.
    reason : str
        Why it failed.
    report : dict
        Its ``report.json`` when it is done.
    """

    name: str
    kind: str = "running"
    fraction: float = 0.0
    reason: str = ""
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchRequest:
    """What the reader asked for.

    Attributes
    ----------
    scans, results : Path
        Folder of scans, and folder for results.
    options : tuple of str
        Of the command line: model, device, quality.
    """

    scans: Path
    results: Path
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Return the command that segments the folder."""
        command = [pythonExecutable(), "-m", "LiverTumorSegLib", str(self.scans), "--output", str(self.results)]
        return [*command, *self.options, "--json-progress"]

    def report(self, case: str) -> dict[str, Any]:
        """Return the report of a case; empty when it cannot be read."""
        return read_object(self.results / f"{case}.report.json") or {}


class BatchProcess:
    """One run over a folder.

    Parameters
    ----------
    request : BatchRequest
        Folders and options.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    onChanged : callable
        Called after something has become of a scan.
    onEnd : callable
        Called once with one sentence: how it ended.
    """

    def __init__(
        self,
        request: BatchRequest,
        moduleFolder: Path,
        onChanged: Callable[[], None],
        onEnd: Callable[[str], None],
    ):
        self._request, self._onChanged, self._onEnd = request, onChanged, onEnd
        self.scans: list[ScanState] = []
        self.count = 0
        self._error = ""
        self._unwanted: set[str] = set()
        self.isStopping = False
        self._toldAt: float | None = None
        self.process = InferenceProcess(request.command(), moduleFolder, Path(slicer.app.temporaryPath))
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def stopAfterThisScan(self) -> None:
        """Let the scans under way be finished, and begin no other."""
        self.isStopping = True
        self._stopBetween()

    def stopNow(self) -> None:
        """End the scan under way as well; nothing of it is written."""
        self.isStopping = True
        if self._toldAt is None:
            self._toldAt = time.monotonic()
            self.process.tree.terminate()

    def abandon(self) -> None:
        """Stop at once and say nothing more."""
        self._timer.stop()
        self.process.tree.stop()

    def _underWay(self) -> list[ScanState]:
        return [scan for scan in self.scans if scan.kind == "running"]

    def _poll(self) -> None:
        events, exitCode = self.process.poll()
        for event in events:
            self._take(event)
        if events:
            self._onChanged()
        if self._toldAt is not None and time.monotonic() - self._toldAt > PATIENCE_S:
            self.process.tree.kill()
        if exitCode is None:
            return
        self._timer.stop()
        for scan in self._underWay():
            scan.kind = "stopped"
        self._onEnd(self._sentence(exitCode))

    def _take(self, event: dict) -> None:
        kind, case = event["event"], str(event.get("case") or "")
        if kind == "start":
            self.count = int(event.get("cases") or 0)
            if self.isStopping:
                self._unwanted.add(case_name(case))
                self._stopBetween()
            else:
                self.scans.append(ScanState(case_name(case)))
            return
        if not case:
            self._error = str(event.get("message", "")) if kind == "error" else self._error
            return
        scan = None if case_name(case) in self._unwanted else self._scan(case_name(case))
        if scan is None:
            return
        if kind == "progress":
            scan.fraction = float(event.get("fraction") or 0.0)
            if event.get("message") == FINISHED_BEFORE:
                scan.kind, scan.report = "finished before", self._request.report(scan.name)
        elif kind == "result":
            scan.kind, scan.fraction, scan.report = "done", 1.0, self._request.report(scan.name)
        elif kind == "error":
            scan.kind, scan.reason = "failed", str(event.get("message", ""))
            if event.get("exit_code") == EXIT_CANCELLED:
                scan.kind, scan.reason = "stopped", ""
        self._stopBetween()

    def _stopBetween(self) -> None:
        """Stop the child once it works on nothing but scans that it should not have begun."""
        if self.isStopping and not self._underWay():
            self.stopNow()

    def _scan(self, name: str) -> ScanState | None:
        """Return the scan of this name; one that bears another name since it was read takes it."""
        same = next((scan for scan in self.scans if scan.name == name), None)
        running = self._underWay()
        if same is None and running:
            same = running[-1]
            same.name = name
        return same

    def _sentence(self, exitCode: int) -> str:
        done = sum(scan.kind in ("done", "finished before") for scan in self.scans)
        failed = sum(scan.kind == "failed" for scan in self.scans)
        if self.isStopping:
            return _("Stopped: {done} of {count} scans are done. Start again to go on.").format(
                done=done, count=self.count
            )
        if not self.scans:
            return self._error or unexpectedEnd(exitCode, self.process.log)
        if self._error:
            return self._error
        if failed or done < self.count:
            words = _("{done} of {count} scans are done, {failed} could not be segmented: double-click to see why.")
            return words.format(done=done, count=self.count, failed=self.count - done)
        return _("All {count} scans are done.").format(count=self.count)
