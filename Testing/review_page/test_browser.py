"""A reader's session in a real Chromium, on a phantom or, where the real scans are, on a real result."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import read_segmentation, write_segmentation
from scipy import ndimage

ROOT = Path(__file__).parents[2]
PAGE_PYTHON = ROOT / ".venv-review" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
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
    faint = inside((24, 62, 68), (5, 6, 6))
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
    (results / "phantom.report.json").write_text(json.dumps(report), encoding="utf-8")
    return results


def ml_of(words: str) -> tuple[float, float]:
    """Return liver and tumour volume of the page's line."""
    liver, tumor = words.replace(" ml", "").split("Liver ")[1].split(" with tumours, tumour ")
    return float(liver), float(tumor.split(" (")[0])


def test_a_reader_at_the_page(chromium, result, tmp_path):
    pictures = Path(os.environ.get("LIVERTUMORSEG_REVIEW_SCREENSHOTS") or tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "LiverTumorSeg")}
    command = [str(PAGE_PYTHON), str(Path(__file__).with_name("reader.py")), chromium, str(result), str(pictures)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=800)
    assert run.returncode == 0, run.stderr[-3000:]
    seen = json.loads(run.stdout)
    first, second = seen["first"], seen["second"]
    assert first["opened"].startswith("accepted 0 of 2")
    assert "right lobe" in first["place"]
    assert first["second_tab_sees"] == 0, "one reader at a time"
    assert first["wrong_token_sees"] == 0
    assert "1 rejected" in first["rejected"]
    before, rejected = ml_of(first["volumes_before"]), ml_of(first["volumes_rejected"])
    assert rejected[0] == before[0], "a rejected lesion is liver"
    assert rejected[1] < before[1]
    assert ml_of(first["volumes_painted"])[1] > rejected[1]
    assert "lesions" in first["preview"]
    labels = sitk.GetArrayFromImage(read_segmentation(result / "phantom.reviewed.seg.nrrd")[0])
    voxel_ml = 0.012
    assert (labels == 2).sum() * voxel_ml == pytest.approx(ml_of(first["volumes_painted"])[1], abs=0.06)
    assert (labels[36, 58:62, 78:82] == 1).all(), "the rejected one"
    assert (labels[28, 48:52, 38:42] == 2).all(), "the accepted one"
    original = sitk.GetArrayFromImage(read_segmentation(result / "phantom.seg.nrrd")[0])
    painted = (labels == 2) & (original != 2)
    assert 5 < painted.sum() < 2000
    assert len(np.unique(np.nonzero(painted)[0])) == 1, "a flat brush paints in one slice"
    assert second["reopened"].startswith("accepted 1 of 3")
    assert "1 unsure" in second["restored"], "what was not saved when the server was killed"
    assert seen["scan"] == {"cancelled": "Cancelled; nothing was written.", "offered_again": 1}
    assert not list((result.parent / "new").glob("*"))
    for name in ("rejected", "painted", "restored"):
        assert (pictures / f"{name}.png").stat().st_size > 50_000
