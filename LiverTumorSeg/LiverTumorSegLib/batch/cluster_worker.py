"""What runs on a worker of a Dask cluster: one job, with the Segmenter that the worker keeps."""

from __future__ import annotations

import functools
import io
import platform
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

from ..errors import LiverTumorSegError, ModelError, UsageError
from ..jsonfile import json_text
from ..output.summary import FAILED, Outcome
from ..wholefile import write_text
from .case import CaseWork, segmenter_of
from .jobs import JobMessages, job_of, options_of
from .worker import unfailing

# One scan is read, one is in the network, one is written; a worker with more threads holds no more in memory.
_room, _building = Semaphore(3), Lock()


def do_job(options: str, provenance: str, token: str, line: str) -> dict[str, Any]:
    """Do one job and return all that was told of it.

    Parameters
    ----------
    options, line : str
        Of `options_line` and `Job.line`, their paths absolute.
    provenance : str
        JSON of the models that the batch is made with.
    token : str
        A folder in the output folder, as the computer that asks sees it. A job that is done is noted there: when the
        worker is lost before its answer was fetched, the next one gives the same answer.

    Returns
    -------
    dict
        "worker", the address of this worker, and "lines", the events of the job with its outcome last.
    """
    from distributed import get_worker

    job, stream = job_of(line), io.StringIO()
    note = Path(token) / f"{job.number}.jsonl"
    if note.is_file():
        return {"worker": get_worker().address, "lines": note.read_text(encoding="utf-8").splitlines()}
    messages = JobMessages(job.number, stream, Lock())
    try:
        if not Path(token).is_dir():
            raise UsageError(
                f"The worker {platform.node()} does not see {Path(token).parent}: put scans and results where every "
                "worker finds them under the same path."
            )
        work = _work_of(options, provenance)
    except LiverTumorSegError as error:
        messages.error(job.name, str(error), error.exit_code)
        messages.outcome(Outcome(job.name, FAILED, str(error), error.exit_code))
    else:
        with _room:
            outcome = unfailing(work, job, messages, debug=False)
        messages.outcome(outcome)
        if outcome.exit_code == 0:
            write_text(note, stream.getvalue())
    return {"worker": get_worker().address, "lines": stream.getvalue().splitlines()}


def _work_of(options: str, provenance: str) -> CaseWork:
    with _building:
        work = _kept_work(options)
    if json_text(work.segmenter.provenance()) != provenance:
        raise ModelError(
            f"The worker {platform.node()} has other models than this computer: install the same version on both, or "
            "name a model folder that both see with --model."
        )
    return work


@functools.lru_cache(maxsize=1)
def _kept_work(options: str) -> CaseWork:
    chosen = options_of(options)
    return CaseWork(segmenter_of(chosen), chosen, lambda: False)
