"""Asking the network about one place: the real command line as a child process that stays."""

import asyncio
import os

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.review.local import kept_probability_here, plan_around
from LiverTumorSegLib.review.question import Question
from LiverTumorSegReview.case_files import find_case
from LiverTumorSegReview.place_run import PlaceRun


@pytest.fixture
def files(tmp_path, make_ct):
    sitk.WriteImage(make_ct(), str(tmp_path / "scan.nii.gz"))
    return find_case(tmp_path / "scan.nii.gz", output=tmp_path / "out")


def test_two_places_are_answered_by_one_process(files):
    image = sitk.ReadImage(str(files.scan))
    points = [image.TransformIndexToPhysicalPoint(index) for index in ((30, 32, 20), (26, 30, 18))]

    async def asked():
        run = PlaceRun(files)
        answers, processes = [], set()
        for point in points:
            answers.append(await run.ask(Question(point, None, 110.0)))
            processes.add(run.pid)
        group = os.getpgid(run.pid) if os.name != "nt" else None
        await run.close()
        return answers, processes, group

    answers, processes, group = asyncio.run(asked())
    assert len(processes) == 1
    for answer, point in zip(answers, points, strict=True):
        plan = plan_around(Grid.of(image), point)
        here = kept_probability_here(answer, image, plan)
        assert np.array_equal(here, sitk.GetArrayFromImage(answer)), "the answer covers the reach, and only that"
    if group is not None:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def test_a_place_outside_of_the_scan_is_one_sentence(files):
    async def asked():
        run = PlaceRun(files)
        try:
            await run.ask(Question((9999.0, 0.0, 0.0)))
        finally:
            await run.close()

    with pytest.raises(LiverTumorSegError, match="lies outside of the scan"):
        asyncio.run(asked())
