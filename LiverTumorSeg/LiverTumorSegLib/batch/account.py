"""What has become of every scan of a batch, also of those that a run which was ended did not come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import CancelledError
from ..output.summary import BEFORE, LEFT_OUT, NOT_DONE, Outcome
from ..scan.collection import ALL_THE_SAME, Collection
from .case import CaseWork
from .jobs import Job

UNDONE = "The run was ended before: the same command does the rest."


def every_outcome(jobs: Iterable[Job], ended: Sequence[Outcome], work: CaseWork) -> list[Outcome]:
    """Return an outcome for each job: its own, or for one that was not done whether an earlier run has done it.

    Parameters
    ----------
    jobs : iterable of Job
        Of the batch.
    ended : sequence of Outcome
        What the run returned, that of cancelled jobs among it.
    work : CaseWork
        Knows whether a result lies there that was made with the same models and options.
    """
    done = {outcome.case: outcome for outcome in ended if outcome.exit_code != CancelledError.exit_code}
    return [done.get(job.name) or _without_this_run(job, work) for job in jobs]


def left_out(folders: Mapping[Path, Collection]) -> list[Outcome]:
    """Return an outcome for what was left out of each folder; it goes by its path, as no case does."""
    return [
        Outcome(path.relative_to(folder.parent).as_posix(), LEFT_OUT, f"Left out as {kind}. {ALL_THE_SAME}")
        for folder, held in folders.items()
        for path, kind in held.left_out.items()
    ]


def _without_this_run(job: Job, work: CaseWork) -> Outcome:
    if work.is_made(job.files, job.name):
        return Outcome(job.name, BEFORE)
    return Outcome(job.name, NOT_DONE, UNDONE)
