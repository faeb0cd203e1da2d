"""A reader's session in a real Chromium, on a phantom or, where the real scans are, on a real result."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import read_segmentation, write_segmentation
from scipy import ndimage

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch
from LiverTumorSegTraining.training.validation import dice

ROOT = Path(__file__).parents[2]
PAGE_PYTHON = ROOT / ".venv-review" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
VOXEL_ML = 0.012
"""Of the phantom."""
SLICE = 34
"""Where the second lesion's longest diameter is first found: there the reader draws."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> str:
    """Return the browser's program."""
    if not PAGE_PYTHON.is_file():
        pytest.skip("needs the page's own environment: python3 scripts/review.py --help makes it")
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip("needs Chromium (Debian, Ubuntu: apt install chromium)")
    return found


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    """Return the folder of a result: a smooth liver in a body, two lesions, a third one at lower thresholds."""
    folder = tmp_path_factory.mktemp("page")
    shape = (60, 110, 150)
    z, y, x = np.indices(shape)

    def inside(centre, radii):
        return sum(((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, radii, strict=True)) < 1

    labels = np.zeros(shape, np.uint8)
    labels[inside((30, 55, 60), (24, 34, 40))] = 1
    labels[inside((28, 50, 40), (8, 9, 9))] = 2
    labels[inside((36, 60, 80), (5, 5, 5))] = 2
    faint = inside((36, 78, 66), (5, 6, 6))
    values = np.full(shape, -1000.0)
    values[inside((30, 55, 75), (300, 50, 70))] = 25
    values[labels == 1] = 110
    values[labels == 2] = 50
    values = ndimage.gaussian_filter(values, 0.7) + np.random.default_rng(0).normal(0, 8, shape)
    probability = np.where(labels == 2, 230, np.where(faint, 45, 0)).astype(np.uint8)
    images = [sitk.GetImageFromArray(a) for a in (values.round().astype(np.int16), labels, probability)]
    for image in images:
        image.SetSpacing((2.0, 2.0, 3.0))
        image.SetOrigin((-150.0, -110.0, 40.0))
    sitk.WriteImage(images[0], str(folder / "phantom.nii.gz"))
    results = folder / "results"
    results.mkdir()
    write_segmentation(results / "phantom.seg.nrrd", images[1], LIVER_TUMOR)
    sitk.WriteImage(images[2], str(results / "phantom.tumor-probability.nrrd"))
    report = {"input": {"path": str(folder / "phantom.nii.gz")}, "threshold": 0.3, "findings": []}
    other = labels.copy()
    other[faint] = 2
    (folder / "other").mkdir()
    labelmap = sitk.GetImageFromArray(other)
    labelmap.CopyInformation(images[0])
    write_segmentation(folder / "other" / "phantom.seg.nrrd", labelmap, LIVER_TUMOR)
    (results / "phantom.report.json").write_text(json.dumps(report), encoding="utf-8")
    return results


@pytest.fixture(scope="module")
def scan(result) -> tuple[Path, Path | None]:
    """Return a real CT with its reference, or the phantom where no CT is to be had."""
    sample = next(sample for sample in SAMPLES if sample.name == "lits_117")
    try:
        return fetch(sample, ROOT / "results" / ".cache", offline=False, say=print)
    except InputError:
        return result.parent / "phantom.nii.gz", None


def ml_of(words: str) -> tuple[float, float]:
    """Return liver and tumour volume of the page's line."""
    liver, tumor = words.replace(" ml", "").split("Liver ")[1].split(" with tumours, tumour ")
    return float(liver), float(tumor.split(" (")[0])


def voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_segmentation(path)[0])


def stroke_mm(shape: tuple[int, ...], z: int, y: int, first_x: int, last_x: int) -> np.ndarray:
    """Return how far each voxel is from a stroke drawn in one slice, mm; infinite in the other slices."""
    rows, columns = np.indices(shape[1:])
    beside = np.clip(columns, first_x, last_x)
    distance = np.full(shape, np.inf)
    distance[z] = 2.0 * np.hypot(columns - beside, rows - y)
    return distance


def assert_painted(labels: np.ndarray, before: np.ndarray, distance_mm: np.ndarray) -> None:
    """Every voxel as it was, but tumour within the brush; at the brush's very rim either."""
    radius, rim = 5.0, 1.5
    inside, outside = distance_mm < radius - rim, distance_mm > radius + rim
    assert (labels[inside] == 2).all()
    assert np.array_equal(labels[outside], before[outside])
    rest = ~inside & ~outside
    assert ((labels[rest] == 2) | (labels[rest] == before[rest])).all()


@pytest.fixture(scope="module")
def seen(chromium, result, scan, tmp_path_factory) -> dict:
    """Return what a reader saw in three sessions, and where the pictures are."""
    named = os.environ.get("LIVERTUMORSEG_REVIEW_SCREENSHOTS")
    pictures = Path(named) if named else tmp_path_factory.mktemp("pictures")
    path = os.pathsep.join((str(ROOT / "LiverTumorSeg"), str(ROOT)))
    command = [PAGE_PYTHON, Path(__file__).with_name("reader.py"), chromium, result, pictures, scan[0]]
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=850)
    assert run.returncode == 0, run.stderr[-3000:]
    return {**json.loads(run.stdout), "pictures": pictures}


def test_verdicts_and_their_undo(seen):
    first = seen["first"]
    assert first["opened"].startswith("accepted 0 of 2")
    assert "right lobe" in first["place"]
    assert first["accepted"].startswith("accepted 1 of 2")
    assert "1 rejected" in first["rejected"]
    before, rejected = ml_of(first["volumes"]), ml_of(first["volumes_rejected"])
    assert rejected[0] == before[0], "a rejected lesion is liver"
    assert rejected[1] < before[1]


def test_strangers_see_nothing(seen):
    answers = seen["first"]["strangers"]
    assert answers.pop("second_tab") == 0, "one reader at a time"
    assert answers.pop("wrong_token") == 0
    assert len(answers) == 4
    assert set(answers.values()) <= {403, 404}, "no file outside of the page's own is served"


def test_every_tool_edits(seen, result):
    first = seen["first"]
    ball_ml = (voxels(result / "phantom.seg.nrrd")[:, :, 65:] == 2).sum() * VOXEL_ML
    before = ml_of(first["volumes"])
    for tool in ("scissors", "islands"):
        assert ml_of(first[tool])[1] == pytest.approx(before[1] - ball_ml, abs=0.11), tool
        assert ml_of(first[tool])[0] == before[0], "what was cut out of a tumour is liver"
    assert ml_of(first["painted"])[1] > before[1]
    assert ml_of(first["erased"])[1] < ml_of(first["painted"])[1]


def test_the_slider_asks_after_an_edit(seen):
    assert "lesions" in seen["first"]["slid"]["preview"]
    assert seen["first"]["slid"]["kept"] == seen["first"]["painted"]


def test_a_missed_lesion_is_found_by_a_click(seen):
    missed = seen["first"]["missed"]
    threshold = float(missed["message"].split("probability ")[1].rstrip(".").split(",")[0])
    assert 0.1 < threshold <= 45 / 255, "the faint lesion's probability"
    faint_ml = 4 / 3 * np.pi * 5 * 6 * 6 * VOXEL_ML
    gained = ml_of(missed["volumes"])[1] - ml_of(seen["first"]["painted"])[1]
    assert gained == pytest.approx(faint_ml, rel=0.1)


def test_what_was_saved_is_what_was_seen_voxel_by_voxel(seen, result):
    original, labels = voxels(result / "phantom.seg.nrrd"), voxels(result.parent / "first.seg.nrrd")
    expected = original.copy()
    expected[:, :, :60][original[:, :, :60] == 2] = 1
    assert_painted(labels, expected, stroke_mm(labels.shape, SLICE, 60, 84, 90))
    assert (labels == 2).sum() * VOXEL_ML == pytest.approx(ml_of(seen["first"]["volumes_saved"])[1], abs=0.06)
    totals, volumes = seen["first"]["reloaded"]
    assert totals.startswith("accepted 0 of 2")
    assert "1 rejected" in totals
    assert volumes == seen["first"]["volumes_saved"]


def test_work_of_a_killed_server_is_found_again(seen):
    first, second = seen["first"], seen["second"]
    assert second["volumes_reopened"] == first["volumes_saved"], "before the work is taken over"
    assert "1 unsure" in second["restored"]
    assert second["volumes_restored"] == first["volumes_killed"], "all but the stroke that was not let go"


def test_a_second_run_is_merged_where_nothing_is_lost(seen, result):
    second = seen["second"]
    warnings = {words.split(",")[0]: words for words in second["changes"]}
    assert len(second["changes"]) == 4
    assert any("you rejected it" in words for words in second["changes"])
    assert any("undoes your edit" in words for words in second["changes"])
    assert "lesion gone" in warnings
    first, labels = voxels(result.parent / "first.seg.nrrd"), voxels(result / "phantom.reviewed.seg.nrrd")
    faint = (voxels(result.parent / "other" / "phantom.seg.nrrd") == 2) & (voxels(result / "phantom.seg.nrrd") != 2)
    expected = np.where(faint, 2, first)
    assert (labels[faint] == 2).all()
    assert_painted(labels, expected, stroke_mm(labels.shape, SLICE, 70, 40, 43))


def test_a_scan_is_segmented_from_the_page(seen, result, scan):
    path, reference = scan
    page = seen["scan"]
    assert page["cancelled"] == "Cancelled; nothing was written."
    assert page["offered_again"] == 1
    written = result.parent / "new" / f"{path.name.removesuffix('.nii.gz')}.seg.nrrd"
    labels, voxel_ml = voxels(written), np.prod(sitk.ReadImage(str(path)).GetSpacing()) / 1000
    if reference is None:
        pytest.skip("no real CT is cached or to be had; the phantom was segmented")
    expert = sitk.GetArrayFromImage(sitk.ReadImage(str(reference)))
    assert ml_of(page["volumes"]) == pytest.approx(
        [n * voxel_ml for n in ((labels > 0).sum(), (labels == 2).sum())], abs=0.6
    )
    assert dice(labels > 0, expert > 0) > 0.85
    assert dice(labels == 2, expert == 2) > 0.5
    lesions = ndimage.label(labels == 2, np.ones((3, 3, 3)))[1]
    assert page["totals"].startswith(f"accepted 0 of {lesions}")


@pytest.mark.parametrize("name", ["rejected", "painted", "merged", "segmented"])
def test_pictures_are_kept(seen, name):
    assert (seen["pictures"] / f"{name}.png").stat().st_size > 50_000
