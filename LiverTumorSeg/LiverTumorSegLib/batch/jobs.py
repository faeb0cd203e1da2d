"""What supervisor and worker say to each other: one JSON object a line, jobs one way, events the other."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

from ..findings import Finding
from ..messages import Messages
from ..output.summary import Outcome
from ..scan.channels import CaseFiles
from ..scan.imageio import case_name

_PATHS = ("model", "localiser")
_NOT_A_WORKERS = ("inputs", "dask", "workers", "json_progress", "places", "version")


@dataclass(frozen=True)
class Job:
    """One case of a batch: its number, its files, and whether it is left when it was finished before."""

    number: int
    files: CaseFiles
    skip: bool

    @property
    def name(self) -> str:
        """The stem of its results."""
        return self.files.name or case_name(self.files.paths[0])

    def line(self) -> str:
        """Return the job as one line of text; `job_of` reads it."""
        paths = [str(path) for path in self.files.paths]
        return json.dumps({"job": self.number, "paths": paths, "name": self.files.name, "skip": self.skip})


def job_of(line: str) -> Job:
    """Return the job of a line."""
    content = json.loads(line)
    files = CaseFiles(tuple(map(Path, content["paths"])), content["name"])
    return Job(content["job"], files, content["skip"])


def options_line(options: argparse.Namespace) -> str:
    """Return what of the checked options a worker needs, as one line of text; `options_of` reads it."""
    content = {key: value for key, value in vars(options).items() if key not in _NOT_A_WORKERS}
    for key in _PATHS:
        value = content[key]
        content[key] = [str(path) for path in value] if isinstance(value, list) else value and str(value)
    return json.dumps(content, sort_keys=True)


def options_of(line: str) -> argparse.Namespace:
    """Return the options of a line."""
    content = json.loads(line)
    for key in _PATHS:
        value = content[key]
        content[key] = [Path(path) for path in value] if isinstance(value, list) else value and Path(value)
    return argparse.Namespace(**content)


class JobMessages:
    """Writes what happens to a job as lines on a stream that several jobs share; `tell` reads them."""

    def __init__(self, job: int, stream: TextIO, lock: Lock) -> None:
        self._job, self._stream, self._lock = job, stream, lock

    def _write(self, event: str, **content: Any) -> None:
        line = json.dumps({"job": self._job, "event": event, **content}) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def start(self, case: str, cases: int) -> None:
        """Say nothing: the supervisor knows."""

    def progress(self, case: str, fraction: float, words: str) -> None:
        """Write how far the case is."""
        self._write("progress", case=case, fraction=fraction, words=words)

    def findings(self, case: str, findings: Sequence[Finding]) -> None:
        """Write what was noticed."""
        self._write("findings", case=case, findings=[asdict(finding) for finding in findings])

    def result(self, case: str, files: dict[str, str | None], summary: str) -> None:
        """Write what was written."""
        self._write("result", case=case, files=files, summary=summary)

    def error(self, case: str | None, message: str, exit_code: int) -> None:
        """Write why the case failed."""
        self._write("error", case=case, message=message, exit_code=exit_code)

    def outcome(self, outcome: Outcome) -> None:
        """Write that the job has ended, and how."""
        told = {"case": outcome.case, "status": outcome.status, "reason": outcome.reason}
        self._write("outcome", **told, exit_code=outcome.exit_code)

    def close(self) -> None:
        """Nothing to end: the stream stays."""


def tell(messages: Messages, event: dict[str, Any]) -> Outcome | None:
    """Pass an event of a worker on to the messages of the command line; return the outcome when it ends the job."""
    kind, case = event["event"], event["case"]
    if kind == "progress":
        messages.progress(case, event["fraction"], event["words"])
    elif kind == "findings":
        messages.findings(case, [Finding(**told) for told in event["findings"]])
    elif kind == "result":
        messages.result(case, event["files"], event["summary"])
    elif kind == "error":
        messages.error(case, event["message"], event["exit_code"])
    elif kind == "outcome":
        return Outcome(case, event["status"], event["reason"], event["exit_code"])
    return None
