"""The command line that stays: a place asked for by a file is segmented as in the process itself."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.messages import JsonMessages
from LiverTumorSegLib.model.normalisation import Intensity
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.place_service import serve_places
from LiverTumorSegLib.request import build_parser, check_options
from LiverTumorSegLib.review.local import find_lesion, liver_density, plan_around, probability_here
from LiverTumorSegLib.review.question import Question, ask

MODULE_FOLDER = Path(__file__).parents[2] / "LiverTumorSeg"
LESION_MM = (-20.0, -15.0, -15.0)


def test_a_process_that_stays_answers_and_goes_on_after_an_error(models, density_bundles, make_phantom, tmp_path):
    image, labels, grid = make_phantom(rotation=(4, 0, 12))
    scan, folder = tmp_path / "scan.nrrd", tmp_path / "result"
    sitk.WriteImage(image, str(scan))
    folder.mkdir()
    for number, point in enumerate((LESION_MM, (900.0, 0.0, 0.0), LESION_MM), 1):
        ask(folder, number, Question(point, (-5.0, 0.0, 0.0) if number == 3 else None))
    command = [sys.executable, "-m", "LiverTumorSegLib", str(scan), "--output", str(folder), "--places"]
    command += ["--model", str(models / "liver-tumor"), "--device", "cpu", "--quality", "quick"]
    child = subprocess.Popen(command, cwd=MODULE_FOLDER, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        events = [json.loads(child.stdout.readline()) for _line in range(4)]
    finally:
        child.terminate()
    assert [event["event"] for event in events] == ["ready", "place", "error", "place"]
    assert "outside of the scan" in events[2]["message"]
    segmenter = Segmenter(density_bundles[0], None, "cpu", "quick")
    for event, other in zip(events[1::2], (None, (-5.0, 0.0, 0.0)), strict=True):
        plan = plan_around(grid, LESION_MM, other)
        answer = sitk.ReadImage(event["probability"])
        assert np.array_equal(sitk.GetArrayFromImage(answer), probability_here(segmenter, image, plan))
        corner = grid.point_mm(np.array([side.start for side in reversed(plan.reach)], float))
        assert answer.GetOrigin() == pytest.approx(tuple(corner), abs=1e-4)
    missed = np.where(labels == 2, 1, labels).astype(np.uint8)
    here = sitk.GetArrayFromImage(sitk.ReadImage(events[1]["probability"]))
    found = find_lesion(here, missed, plan_around(grid, LESION_MM), grid.spacing_mm[::-1], 0.5)
    small = labels.copy()
    small[np.linalg.norm(grid.point_mm(_indices(grid)) - LESION_MM, axis=-1).transpose(2, 1, 0) > 14] = 0
    overlap = np.count_nonzero((found.labels == 2) & (small == 2))
    assert 2 * overlap / (np.count_nonzero(found.labels == 2) + np.count_nonzero(small == 2)) > 0.85


def _indices(grid: Grid) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), -1).astype(float)


def test_a_process_that_nobody_asks_ends(density_bundles, make_phantom, tmp_path, capsys):
    image, _labels, _grid = make_phantom()
    segmenter = Segmenter(density_bundles[0], None, "cpu", "quick")
    started = time.monotonic()
    serve_places(image, segmenter, tmp_path, JsonMessages(), lambda: False, idle_s=0.2)
    assert time.monotonic() - started < 60
    serve_places(image, segmenter, tmp_path, JsonMessages(), lambda: True)
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["ready", "ready"]


def test_places_of_one_scan_only():
    options = build_parser().parse_args(["a.nrrd", "b.nrrd", "--output", "x", "--places"])
    with pytest.raises(UsageError, match="one scan"):
        check_options(options)


def test_a_place_alone_does_not_show_the_density_of_the_liver(density_bundles, make_phantom, tmp_path):
    image, labels, grid = make_phantom()
    # A liver 70 HU denser than the level that the model was trained on.
    values = sitk.GetArrayFromImage(image) + np.where(labels > 0, 70, 0).astype(np.int16)
    enhanced = sitk.GetImageFromArray(values)
    enhanced.CopyInformation(image)
    level = dataclasses.replace(density_bundles[0], intensity=Intensity(liver_hu=85.0))
    plain, knowing = (Segmenter(bundle, None, "cpu", "quick") for bundle in (density_bundles[0], level))
    for number, density in enumerate((liver_density(values, labels), None), 1):
        ask(tmp_path, number, Question(LESION_MM, None, density))
    asked = iter(range(3))
    serve_places(enhanced, knowing, tmp_path, JsonMessages(), lambda: next(asked) == 2)
    expected = probability_here(plain, image, plan_around(grid, LESION_MM))
    answer = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "place_1.nrrd")))
    assert np.abs(answer.astype(int) - expected).mean() < 2
    assert not (tmp_path / "place_2.nrrd").exists(), "refused, not segmented at a wrong level"
