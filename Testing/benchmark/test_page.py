"""The measurement of the reader's page: the case it is measured on, and what is made of several starts."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.output.segfile import read_segmentation

pytest.importorskip("psutil", reason="psutil belongs to the cli packages")

from LiverTumorSegTraining.benchmark.cli import main
from LiverTumorSegTraining.benchmark.page import summary
from LiverTumorSegTraining.benchmark.page_case import LESIONS, PROBABILITY, THRESHOLD, write_case


def test_the_case_has_known_lesions_in_the_liver_of_the_reference(tmp_path):
    z, y, x = np.indices((60, 80, 90))
    organ = ((z - 30) / 26) ** 2 + ((y - 40) / 36) ** 2 + ((x - 40) / 36) ** 2 < 1
    scan = sitk.GetImageFromArray(np.where(organ, 100, -1000).astype(np.int16))
    reference = sitk.GetImageFromArray(np.where(organ, 5, 0).astype(np.uint8))
    for image, name in ((scan, "scan.nii.gz"), (reference, "reference.nii.gz")):
        image.SetSpacing((0.8, 0.8, 1.0))
        sitk.WriteImage(image, str(tmp_path / name))
    result = write_case(tmp_path / "scan.nii.gz", tmp_path / "reference.nii.gz", 5, tmp_path / "results")
    labels = sitk.GetArrayFromImage(read_segmentation(result)[0])
    assert np.array_equal(labels > 0, organ)
    assert 0 < (labels == 2).sum() < LESIONS * 4.2 * 13**3
    assert not (labels == 2)[~organ].any()
    kept = sitk.ReadImage(str(tmp_path / "results" / "scan.tumor-probability.nrrd"))
    whole = sitk.GetArrayFromImage(sitk.Resample(kept, scan, sitk.Transform(), sitk.sitkNearestNeighbor))
    assert np.array_equal(whole == PROBABILITY, labels == 2)
    assert PROBABILITY / 255 > THRESHOLD


def test_medians_of_the_starts_and_the_most_memory():
    starts = [
        {
            "moments": {"first picture": {"wall": wall, "cpu": wall / 2}},
            "scroll": {"frames_per_s": frames, "slowest_gap_ms": 70.0},
            "peak_rss_mb": memory,
        }
        for wall, frames, memory in ((4.0, 20.0, 1500.0), (9.0, 5.0, 1900.0), (5.0, 18.0, 1600.0))
    ]
    figures = summary(starts)
    assert figures["seconds"] == {"first picture": 5.0}
    assert figures["cpu_seconds"] == {"first picture": 2.5}
    assert figures["scroll"]["frames_per_s"] == {"median": 18.0, "each": [20.0, 5.0, 18.0]}
    assert figures["peak_rss_mb"] == 1900.0


def test_without_chromium_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--page", "--output", str(tmp_path / "page.json")]) == 2
    assert "Chromium" in capsys.readouterr().err
