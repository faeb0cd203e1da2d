"""What the command line tells while it works: JSON lines for a program, a bar for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from .findings import Finding

FINISHED_BEFORE = "Finished before"
"""Progress of a case whose result was there already; the Slicer panel knows it by these words."""


class Messages(Protocol):
    """Hears of everything that happens to each case."""

    def start(self, case: str, cases: int) -> None:
        """Tell that a case begins, one of `cases`."""

    def progress(self, case: str, fraction: float, words: str) -> None:
        """Tell how far the case is, 0..1."""

    def findings(self, case: str, findings: Sequence[Finding]) -> None:
        """Tell what was noticed."""

    def result(self, case: str, files: dict[str, str | None], summary: str) -> None:
        """Tell what was written."""

    def error(self, case: str | None, message: str, exit_code: int) -> None:
        """Tell why a case, or the run, failed."""

    def close(self) -> None:
        """End the display."""


class JsonMessages:
    """One JSON object a line on standard output; the Slicer panel reads them."""

    def _write(self, event: str, **content: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **content}, ensure_ascii=True) + "\n")
        sys.stdout.flush()

    def start(self, case: str, cases: int) -> None:
        """Write a "start" line."""
        self._write("start", case=case, cases=cases)

    def progress(self, case: str, fraction: float, words: str) -> None:
        """Write a "progress" line."""
        self._write("progress", case=case, fraction=round(fraction, 4), message=words)

    def findings(self, case: str, findings: Sequence[Finding]) -> None:
        """Write a "finding" line for each."""
        for finding in findings:
            self._write(
                "finding",
                case=case,
                grade=finding.grade,
                code=finding.code,
                message=finding.message,
                overridable=finding.overridable,
            )

    def result(self, case: str, files: dict[str, str | None], summary: str) -> None:
        """Write a "result" line with the paths."""
        self._write("result", case=case, summary=summary, **files)

    def error(self, case: str | None, message: str, exit_code: int) -> None:
        """Write an "error" line; the sentence also goes to standard error."""
        self._write("error", case=case, exit_code=exit_code, message=message)
        sys.stderr.write(message + "\n")

    def ready(self) -> None:
        """Write a "ready" line: a process that stays may be asked from here on."""
        self._write("ready")

    def place(self, number: int, probability: str, seconds: float) -> None:
        """Write a "place" line: the answer to a question about a place."""
        self._write("place", number=number, probability=probability, seconds=round(seconds, 3))

    def written(self, files: Sequence[str]) -> None:
        """Write a "written" line: the names of the files of an export."""
        self._write("written", files=list(files))

    def close(self) -> None:
        """Nothing to end."""


class BarMessages:
    """A rich progress bar for each scan under way, one for all of several, and plain sentences; or these alone."""

    def __init__(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        except ImportError:
            self._bar: Any = None
            return
        self._bar = Progress(
            TextColumn("{task.fields[case]}", style="bold"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._latest: Any = None
        self._whole: Any = None
        self._bar.start()

    def _say(self, text: str) -> None:
        if self._bar is None:
            sys.stderr.write(text + "\n")
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, case: str, cases: int) -> None:
        """Begin a bar."""
        if self._bar is None:
            return
        if cases > 1 and self._whole is None:
            self._whole = self._bar.add_task("", total=cases, case=f"{cases} scans")
        self._latest = self._tasks[case] = self._bar.add_task("Reading", total=1.0, case=case)

    def progress(self, case: str, fraction: float, words: str) -> None:
        """Move the bar; of several, that of a scan which is through goes."""
        if self._bar is None:
            return
        # A case that is read goes by another name than its file.
        self._bar.update(self._tasks.get(case, self._latest), completed=fraction, description=words)
        if fraction >= 1 and self._whole is not None:
            self._end(case)

    def _end(self, case: str) -> None:
        task = self._tasks.pop(case, self._latest)
        if task in self._bar.task_ids:
            self._bar.remove_task(task)
            if self._whole is not None:
                self._bar.advance(self._whole)

    def findings(self, case: str, findings: Sequence[Finding]) -> None:
        """Say each finding."""
        for finding in findings:
            self._say(f"{case}: {finding.grade}: {finding.message}")

    def result(self, case: str, files: dict[str, str | None], summary: str) -> None:
        """Say what was found and where it lies."""
        self._say(f"{case}: {summary}")
        self._say(f"{case}: written to {files['segmentation']}")

    def error(self, case: str | None, message: str, exit_code: int) -> None:
        """Say the sentence and take the case's bar away."""
        if self._bar is not None and case is not None:
            self._end(case)
        self._say(f"{case}: {message}" if case else message)

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.stop()
