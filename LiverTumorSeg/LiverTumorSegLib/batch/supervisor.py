"""Jobs side by side in worker processes, any of which may be lost: it is replaced, and what it did is done again."""

from __future__ import annotations

import argparse
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import CancelledError, LiverTumorSegError, OutOfMemoryError
from ..messages import Messages
from ..output.casefiles import remove_leftovers
from ..output.summary import FAILED, Outcome
from .jobs import Job, options_line, tell
from .process import Event, WorkerProcess
from .worker_plan import WorkerPlan

TURN_S = 0.1
PATIENCE_S = 5.0
"""How long a cancelled worker may take to end by itself; the next look at the stop request is a tile away."""
STARTS_IN_VAIN = 2
CANCELLED = CancelledError("Cancelled; nothing was written.")


class Supervisor:
    """Does the jobs of one batch.

    A job whose worker is lost is done again when all others are through, by itself, with all cores and all memory;
    when its worker is lost once more it has failed. So is a job for which the memory did not suffice.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command line, checked.
    plan : WorkerPlan
        Workers, threads and jobs.
    messages : Messages
        Hears of every case.
    stopped : callable
        Asked often; True cancels the batch.
    """

    def __init__(
        self, options: argparse.Namespace, plan: WorkerPlan, messages: Messages, stopped: Callable[[], bool]
    ) -> None:
        self._options, self._plan, self._messages, self._stopped = options, plan, messages, stopped
        self._events: queue.Queue[tuple[WorkerProcess, Event | None]] = queue.Queue()
        self._workers: list[WorkerProcess] = []
        self._waiting: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._begun: set[int] = set()
        self._again: set[int] = set()
        self._in_vain = 0
        self._cases = 0

    def run(self, jobs: Sequence[Job]) -> tuple[list[Outcome], LiverTumorSegError | None]:
        """Do the jobs; return the outcome of each that was begun, in order, and what kept from doing the rest."""
        self._waiting, self._cases = deque(jobs), len(jobs)
        failure: LiverTumorSegError | None = None
        try:
            for _ in range(self._plan.workers):
                self._start(self._plan.threads)
            while self._waiting or self._suspects or any(worker.jobs for worker in self._workers):
                if self._stopped():
                    failure = self._cancel()
                    break
                self._hand_out()
                try:
                    worker, event = self._events.get(timeout=TURN_S)
                except queue.Empty:
                    continue
                self._hear(worker, event)
        except LiverTumorSegError as error:
            failure = error
        finally:
            self._end()
        return [self._outcomes[number] for number in sorted(self._outcomes)], failure

    def _start(self, threads: int) -> None:
        setting = options_line(self._options)
        self._workers.append(WorkerProcess(setting, threads, self._plan.jobs, self._events.put))

    def _hand_out(self) -> None:
        """Give every worker that is ready jobs of those that wait; of the suspects one, to the only worker."""
        for worker in self._workers:
            while worker.ready and self._waiting and len(worker.jobs) < self._plan.jobs:
                self._give(worker, self._waiting.popleft())
        if self._waiting or not self._suspects or any(worker.jobs for worker in self._workers):
            return
        everything = self._plan.threads * self._plan.workers
        if [worker.threads for worker in self._workers] != [everything]:
            # The others give their memory and their cores.
            self._end()
            self._start(everything)
        elif self._workers[0].ready:
            self._give(self._workers[0], self._suspects.popleft())

    def _give(self, worker: WorkerProcess, job: Job) -> None:
        if job.number not in self._begun:
            self._begun.add(job.number)
            self._messages.start(job.name, self._cases)
        worker.give(job)

    def _hear(self, worker: WorkerProcess, event: Event | None) -> None:
        if worker not in self._workers:  # it was ended, and these are its last words
            return
        if event is None:
            self._lost(worker)
        elif event["event"] == "ready":
            worker.ready, self._in_vain = True, 0
        elif event["event"] == "unfit":
            failure = LiverTumorSegError(event["message"])
            failure.exit_code = event["exit_code"]
            raise failure
        elif (job := worker.jobs.get(event["job"])) is not None:
            self._tell(worker, job, event)

    def _tell(self, worker: WorkerProcess, job: Job, event: Event) -> None:
        scarce = event.get("exit_code") == OutOfMemoryError.exit_code
        if scarce and job.number not in self._again:
            if event["event"] == "outcome":
                del worker.jobs[job.number]
                self._suspect(job)
            return
        outcome = tell(self._messages, {**event, "case": job.name})
        if outcome is not None:
            del worker.jobs[job.number]
            self._outcomes[job.number] = outcome

    def _suspect(self, job: Job) -> None:
        self._again.add(job.number)
        self._suspects.append(job)
        self._messages.progress(job.name, 0.0, "Waiting for another try")

    def _lost(self, worker: WorkerProcess) -> None:
        """Replace a worker that is gone; what it did is suspected, or failed when it was suspected before."""
        code = worker.end(0.0)
        self._workers.remove(worker)
        self._tidy(worker)
        if not worker.ready:
            self._in_vain += 1
            if self._in_vain >= STARTS_IN_VAIN:
                raise LiverTumorSegError(
                    f"The process that segments cannot start here ({_reason(code)}): segment one scan by itself, "
                    "which shows why."
                )
        for job in worker.jobs.values():
            if job.number in self._again:
                self._fail(job, _loss(job, code))
            else:
                self._suspect(job)
        if self._waiting:
            self._start(worker.threads)

    def _fail(self, job: Job, error: LiverTumorSegError) -> None:
        self._messages.error(job.name, str(error), error.exit_code)
        self._outcomes[job.number] = Outcome(job.name, FAILED, str(error), error.exit_code)

    def _cancel(self) -> LiverTumorSegError | None:
        """Cancel what is under way; return the error to end with where no job can tell of it."""
        begun = [job for worker in self._workers for job in worker.jobs.values()]
        self._end()
        for job in sorted([*begun, *self._suspects], key=lambda job: job.number):
            self._fail(job, CANCELLED)
        return None if begun or self._suspects else CANCELLED

    def _end(self) -> None:
        """End all workers, first by asking them, and remove what they leave half done."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.ask_to_end()
        until = time.monotonic() + PATIENCE_S
        for worker in workers:
            worker.end(max(until - time.monotonic(), 0.0))
            self._tidy(worker)

    def _tidy(self, worker: WorkerProcess) -> None:
        """Remove what a worker that is gone left half written."""
        folder = Path(self._options.output)
        for job in worker.jobs.values():
            remove_leftovers(folder, job.name)


def _loss(job: Job, code: int) -> LiverTumorSegError:
    """Return the error of a job whose worker was lost twice; what the system kills it mostly kills for its memory."""
    killed = code == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
    advice = "there was probably not enough memory, so close other programs or crop the scan to the abdomen"
    words = f"The process that segmented {job.files.shown} was lost twice ({_reason(code)})"
    if killed:
        return OutOfMemoryError(f"{words}: {advice}.")
    return LiverTumorSegError(f"{words}: segment it by itself with --debug, and report what that shows.")


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
