"""The jobs of a batch over a Dask cluster: one Segmenter a worker, a lost worker's job done again by another.

The workers see the same files under the same paths as this computer; nothing but paths and outcomes is sent.
"""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CancelledError, InputError, LiverTumorSegError, OutOfMemoryError, UsageError
from ..jsonfile import json_text
from ..messages import Messages
from ..output.casefiles import remove_leftovers
from ..output.summary import FAILED, Outcome
from .cluster_worker import do_job
from .jobs import Job, options_line, tell

TURN_S = 0.1
ANSWER_S = 2
CONNECT_S = 20
CANCELLED = CancelledError("Cancelled before it began; scans that a worker has begun are finished.")
_SETTLED = (0, InputError.exit_code, CancelledError.exit_code)
"""Exit codes of jobs that another worker would end alike."""


def run_over_cluster(
    options: argparse.Namespace,
    provenance: dict[str, Any],
    jobs: Sequence[Job],
    messages: Messages,
    stopped: Callable[[], bool],
) -> tuple[list[Outcome], LiverTumorSegError | None]:
    """Do the jobs on the workers of `options.dask`; return their outcomes in order, and what kept from doing all.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command line, checked.
    provenance : dict
        Of the Segmenter that the options make here; a worker with other models does nothing.
    jobs : sequence of Job
        What to do.
    messages : Messages
        Hears of each job when it has ended.
    stopped : callable
        Asked often; True cancels what no worker has begun.

    Raises
    ------
    UsageError
        When the cluster cannot be reached.
    """
    folder = Path(options.output).resolve()
    with _client(options.dask) as client, _token(folder) as token:
        task = (options_line(_everywhere(options, folder)), json_text(provenance), str(token))
        return _Run(client, task, folder, messages, stopped).do(jobs)


class _Run:
    """One batch on a cluster: which job has which future, and what came of it."""

    def __init__(
        self, client: Any, task: tuple[str, ...], folder: Path, messages: Messages, stopped: Callable[[], bool]
    ) -> None:
        self._client, self._task, self._folder = client, task, folder
        self._messages, self._stopped = messages, stopped
        self._ended: queue.Queue[Any] = queue.Queue()
        self._jobs: dict[str, Job] = {}
        self._futures: dict[str, Any] = {}
        self._again: set[int] = set()
        self._outcomes: dict[int, Outcome] = {}
        self._cases = 0

    def do(self, jobs: Sequence[Job]) -> tuple[list[Outcome], LiverTumorSegError | None]:
        self._cases = len(jobs)
        failure: LiverTumorSegError | None = None
        for job in jobs:
            self._submit(job)
        while self._futures and failure is None:
            if self._stopped():
                self._cancel()
                break
            try:
                future = self._ended.get(timeout=TURN_S)
            except queue.Empty:
                continue
            failure = self._hear(future)
        return [self._outcomes[number] for number in sorted(self._outcomes)], failure

    def _submit(self, job: Job, but: str | None = None) -> None:
        """Hand a job to the cluster, to any worker `but` one where there are others."""
        others = [worker for worker in self._client.nthreads() if worker != but]
        where = {"workers": others, "allow_other_workers": True} if but and others else {}
        future = self._client.submit(
            do_job, *self._task, job.line(), key=f"segment-{uuid.uuid4().hex}", pure=False, **where
        )
        self._jobs[future.key], self._futures[future.key] = job, future
        future.add_done_callback(self._ended.put)

    def _hear(self, future: Any) -> LiverTumorSegError | None:
        """Take what a job came to; return what ends the whole batch."""
        from distributed import TimeoutError as NotYetError

        job = self._jobs[future.key]
        if future.cancelled():
            return LiverTumorSegError(
                "The connection to the Dask cluster was lost: start it again and run the same command, which leaves "
                "out what is finished."
            )
        try:
            error = future.exception(timeout=ANSWER_S)
            answer = None if error is not None else future.result(timeout=ANSWER_S)
        except NotYetError:
            # The worker was lost before its answer was fetched, and another gives it once more.
            self._ended.put(future)
            return None
        del self._futures[future.key]
        # A worker that was lost in the middle may have left something.
        remove_leftovers(self._folder, job.name)
        if answer is not None:
            told = [json.loads(line) for line in answer["lines"]]
            code, worker = told[-1]["exit_code"], answer["worker"]
        else:
            failure, worker = _failure_of(job, error), None
            code = failure.exit_code
            told = [
                {"event": "error", "message": str(failure), "exit_code": code},
                {"event": "outcome", "status": FAILED, "reason": str(failure), "exit_code": code},
            ]
        if code not in _SETTLED and job.number not in self._again and not _is_killed(error):
            self._again.add(job.number)
            self._submit(job, worker)
            return None
        self._messages.start(job.name, self._cases)
        for event in told:
            outcome = tell(self._messages, {**event, "case": job.name})
            if outcome is not None:
                self._outcomes[job.number] = outcome
        return None

    def _cancel(self) -> None:
        """Take back what waits; a worker cannot be stopped in the middle, and what it has begun will be whole."""
        futures, self._futures = self._futures, {}
        self._client.cancel(list(futures.values()))
        for key in futures:
            job = self._jobs[key]
            self._messages.error(job.name, str(CANCELLED), CANCELLED.exit_code)
            self._outcomes[job.number] = Outcome(job.name, FAILED, str(CANCELLED), CANCELLED.exit_code)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"No Dask scheduler answers at {address}: name the address that it printed when it started, such as "
            "tcp://host:8786."
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _token(folder: Path) -> Iterator[Path]:
    """Give a folder by which a worker knows the output folder, and in which it notes what is done."""
    token = folder / f".batch-{uuid.uuid4().hex}"
    token.mkdir()
    try:
        yield token
    finally:
        shutil.rmtree(token, ignore_errors=True)


def _everywhere(options: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """Return the options with paths that do not depend on the folder in which a program was started."""
    model = None if options.model is None else [path.resolve() for path in options.model]
    localiser = None if options.localiser is None else options.localiser.resolve()
    return argparse.Namespace(**{**vars(options), "output": str(folder), "model": model, "localiser": localiser})


def _is_killed(error: BaseException | None) -> bool:
    return type(error).__name__ == "KilledWorker"


def _failure_of(job: Job, error: BaseException) -> LiverTumorSegError:
    """Return what the cluster says of a job as an error of one sentence."""
    if _is_killed(error):
        return OutOfMemoryError(
            f"Every worker that segmented {job.files.shown} was lost: there was probably not enough memory, so give "
            "the workers more or crop the scan to the abdomen."
        )
    words = str(error).strip().splitlines() or [""]
    return UsageError(
        f"The cluster cannot segment {job.files.shown} ({type(error).__name__}: {words[0]}): install this version of "
        "LiverTumorSeg on every worker."
    )
