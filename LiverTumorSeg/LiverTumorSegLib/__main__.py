"""The headless command line; the Slicer panel starts the same one as a child process."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# To be set before torch is loaded: huge pages halve the time of page faults, passive waiting is kind to other jobs.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .batch.account import every_outcome, left_out
from .batch.case import CaseWork, bundles_of, segmenter_of
from .batch.cluster import run_over_cluster
from .batch.jobs import Job
from .batch.supervisor import Supervisor
from .batch.worker_plan import worker_plan
from .command import as_sentence, speak_any_text
from .errors import CancelledError, LiverTumorSegError, OutOfMemoryError
from .messages import BarMessages, JsonMessages, Messages
from .output.summary import Outcome, require_own_summary, write_summary
from .pipeline.inference import Segmenter
from .place_service import serve_places
from .request import Requests, build_parser, check_options, output_folder, requests_of
from .scan.imageio import read_case


def main(arguments: list[str] | None = None) -> int:
    """Segment the scans named on the command line; return the exit code."""
    speak_any_text()
    options = build_parser().parse_args(arguments)
    messages: Messages = JsonMessages() if options.json_progress or options.places else BarMessages()
    try:
        with _stop_request() as stop:
            if isinstance(messages, JsonMessages) and options.places:
                return _stay(options, messages, stop)
            return _run(options, messages, stop)
    except LiverTumorSegError as error:
        return _failed(None, error, messages, options.debug)
    except OSError as error:
        return _failed(None, as_sentence(error), messages, options.debug)
    finally:
        messages.close()


def _run(options: argparse.Namespace, messages: Messages, stop: list[bool]) -> int:
    check_options(options)
    segmenter = segmenter_of(options)
    requests = requests_of(options, segmenter.bundles[0].channels)
    folder = output_folder(options)
    if requests.many:
        require_own_summary(folder)
    for path, held in requests.folders.items():
        messages.findings(path.resolve().name, held.findings())
    failure: LiverTumorSegError | None = None
    jobs = [Job(number, files, files.paths[0] in requests.many) for number, files in enumerate(requests.cases)]
    if requests.many or options.workers or options.dask:
        outcomes, failure = _side_by_side(options, segmenter, jobs, messages, stop)
    else:
        outcomes = _one_by_one(options, segmenter, requests, messages, stop)
    if requests.many:
        work = CaseWork(segmenter, options, lambda: stop[0])
        write_summary(folder, [*every_outcome(jobs, outcomes, work), *left_out(requests.folders)])
    if failure is not None:
        raise failure
    return max((outcome.exit_code for outcome in outcomes), default=0)


def _one_by_one(
    options: argparse.Namespace, segmenter: Segmenter, requests: Requests, messages: Messages, stop: list[bool]
) -> list[Outcome]:
    """Do the cases in this process, which the panel started for one."""
    work = CaseWork(segmenter, options, lambda: stop[0])
    outcomes: list[Outcome] = []
    for files in requests.cases:
        messages.start(files.shown, len(requests.cases))
        outcomes.append(work.do(files, messages))
        if outcomes[-1].exit_code in (CancelledError.exit_code, OutOfMemoryError.exit_code):
            break
    return outcomes


def _side_by_side(
    options: argparse.Namespace, segmenter: Segmenter, jobs: list[Job], messages: Messages, stop: list[bool]
) -> tuple[list[Outcome], LiverTumorSegError | None]:
    """Do the cases in worker processes, here or of a cluster; also return what kept from doing all."""
    if options.dask:
        return run_over_cluster(options, segmenter.provenance(), jobs, messages, lambda: stop[0])
    plan = worker_plan(len(jobs), segmenter, options.workers)
    return Supervisor(options, plan, messages, lambda: stop[0]).run(jobs)


def _stay(options: argparse.Namespace, messages: JsonMessages, stop: list[bool]) -> int:
    """Segment single places of one scan until nobody asks any more."""
    check_options(options)
    bundles = bundles_of(options)
    case = read_case(Path(options.inputs[0]), options.series)
    segmenter = Segmenter(bundles, None, options.device, options.quality, options.threshold)
    serve_places(case.image, segmenter, output_folder(options), messages, lambda: stop[0])
    return 0


def _failed(case: str | None, error: LiverTumorSegError, messages: Messages, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    messages.error(case, str(error), error.exit_code)
    return error.exit_code


@contextmanager
def _stop_request() -> Iterator[list[bool]]:
    """Give a flag that SIGINT and SIGTERM set, so that a run ends between two tiles with nothing half written."""
    stop = [False]

    def handle(number: int, frame: object) -> None:
        stop[0] = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
