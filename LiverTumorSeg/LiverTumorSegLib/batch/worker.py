"""A worker: a process that does the jobs it is sent on standard input, a few at a time, until that ends.

What ends its standard input (the batch is over, was cancelled, or its supervisor died) cancels what it still does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from ..command import speak_any_text
from ..errors import LiverTumorSegError
from ..output.summary import FAILED, Outcome
from .case import CaseWork, segmenter_of
from .jobs import Job, JobMessages, job_of, options_of

FIRST_TO_GO = 500
"""Where memory ends, Linux shall end a worker, which is started again, and not its supervisor (0 by default)."""


def main() -> int:
    """Read the options and the number of jobs at a time from the first line, then do a job for each line."""
    speak_any_text()
    # Ctrl-C reaches every process of a terminal: what happens then is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _offer_oneself()
    stream, lock, stop = _own_output(), threading.Lock(), threading.Event()
    setting = json.loads(sys.stdin.readline() or "null")
    if setting is None:
        return 0
    options = options_of(setting["options"])
    try:
        work = CaseWork(segmenter_of(options), options, stop.is_set)
    except LiverTumorSegError as error:
        stream.write(json.dumps({"event": "unfit", "message": str(error), "exit_code": error.exit_code}) + "\n")
        stream.flush()
        return error.exit_code
    stream.write(json.dumps({"event": "ready"}) + "\n")
    stream.flush()
    with ThreadPoolExecutor(setting["jobs"]) as pool:
        for line in sys.stdin:
            job = job_of(line)
            pool.submit(_do, work, job, JobMessages(job.number, stream, lock), options.debug)
        stop.set()
    return 0


def _do(work: CaseWork, job: Job, messages: JobMessages, debug: bool) -> None:
    try:
        messages.outcome(unfailing(work, job, messages, debug))
    except BrokenPipeError:  # the supervisor is gone
        return


def unfailing(work: CaseWork, job: Job, messages: JobMessages, debug: bool) -> Outcome:
    """Do a job; what no one foresaw is an outcome too, for the other jobs go on."""
    try:
        return work.do(job.files, messages, job.skip)
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        words = str(error).strip().splitlines() or [""]
        failure = LiverTumorSegError(
            f"{job.files.shown} met an error of the program ({type(error).__name__}: {words[0]}): segment it by "
            "itself with --debug, and report what that shows."
        )
        messages.error(job.name, str(failure), failure.exit_code)
        return Outcome(job.name, FAILED, str(failure), failure.exit_code)
    finally:
        _give_back()


def _give_back() -> None:
    """Return freed memory to the system: glibc keeps it in pieces, of which there are more with every scan."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # other C libraries have no such function
            ctypes.CDLL(None).malloc_trim(0)


def _own_output() -> TextIO:
    """Return standard output for the lines of the batch; what a library prints goes to standard error from here on."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    return kept


def _offer_oneself() -> None:
    score = Path("/proc/self/oom_score_adj")
    try:
        if score.is_file() and int(score.read_text(encoding="ascii")) < FIRST_TO_GO:
            with score.open("r+", encoding="ascii") as stream:
                stream.write(str(FIRST_TO_GO))
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.exit(main())
