"""A process that stays and segments single places again, for a reader who clicks where a lesion was missed.

Loading torch takes longer than a place does, so the process is started once and asked many times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import LiverTumorSegError
from .grid import Grid
from .messages import JsonMessages
from .pipeline.inference import Segmenter
from .review.local import plan_around, probability_here
from .review.question import question_file, read_question
from .wholefile import write_image

IDLE_S = 300.0
"""A process that nobody asks anything for this long ends: it holds a network and a scan in memory."""
_TURN_S = 0.02


def serve_places(
    image: sitk.Image,
    segmenter: Segmenter,
    folder: Path,
    messages: JsonMessages,
    stopped: Callable[[], bool],
    idle_s: float = IDLE_S,
) -> None:
    """Answer one question after the other until `stopped`, or until nobody asked for `idle_s` seconds.

    A "ready" event says that places may be asked for. A "place" event says that an answer lies in the folder, an
    "error" event why there is none; neither ends the process.

    Parameters
    ----------
    image : sitk.Image
        The whole CT in HU.
    segmenter : Segmenter
        Without a localiser.
    folder : Path
        Of the questions and answers.
    messages : JsonMessages
        Where the events go.
    stopped : callable
        Asked often.
    idle_s : float
        Seconds.
    """
    messages.ready()
    number, last = 1, time.monotonic()
    while not stopped() and time.monotonic() - last < idle_s:
        asked = question_file(folder, number)
        if not asked.is_file():
            time.sleep(_TURN_S)
            continue
        started = time.monotonic()
        try:
            _answer(asked, image, segmenter)
            messages.place(number, str(asked.with_suffix(".nrrd")), time.monotonic() - started)
        except LiverTumorSegError as error:
            messages.error(None, str(error), error.exit_code)
        number, last = number + 1, time.monotonic()


def _answer(asked: Path, image: sitk.Image, segmenter: Segmenter) -> None:
    grid, question = Grid.of(image), read_question(asked)
    plan = plan_around(grid, question.point_mm, question.other_mm)
    probability = probability_here(segmenter, image, plan, question.liver_hu)
    start, stop = (np.array([getattr(side, end) for side in reversed(plan.reach)]) for end in ("start", "stop"))
    write_image(asked.with_suffix(".nrrd"), grid.crop(start, stop).image(probability), compress=False)
