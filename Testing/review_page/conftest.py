"""A result of three lesions, as files and as a session."""

import json

import lesion_labels
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import write_segmentation
from LiverTumorSegReview.session import ReaderSession


def _images(labels):
    """Return CT and kept probability of a labelmap; a fourth lesion shows only at a lower threshold."""
    ct = sitk.GetImageFromArray(np.choose(labels, (-80, 110, 60)).astype(np.int16))
    probability = np.where(labels == 2, 230, 0).astype(np.uint8)
    probability[5:9, 12:16, 16:20] = 50
    kept = sitk.GetImageFromArray(probability)
    for image in (ct, kept):
        image.SetSpacing((2.0, 2.0, 2.5))
        image.SetOrigin((-20.0, 30.0, 10.0))
    return ct, kept


def _session_of_three(bulge=False):
    """Return a session of the three; with `bulge` another lesion, at 0.15, goes on beyond the liver's outline."""
    labels = lesion_labels.labels_of_three()
    ct, kept = _images(labels)
    if bulge:
        kept[22:28, 12:16, 5:9] = 50
    return ReaderSession(ct, labels, kept, {"threshold": 0.3})


@pytest.fixture(scope="session")
def labels_of_three():
    """Return the function of this name."""
    return lesion_labels.labels_of_three


@pytest.fixture(scope="session")
def images():
    """Return the function ``_images``."""
    return _images


@pytest.fixture(scope="session")
def session_of_three():
    """Return the function ``_session_of_three``."""
    return _session_of_three


@pytest.fixture
def case(tmp_path):
    """Return the folder of a result with its scan, report and kept probability."""
    labels = lesion_labels.labels_of_three()
    ct, kept = _images(labels)
    sitk.WriteImage(ct, str(tmp_path / "scan.nii.gz"))
    folder = tmp_path / "results"
    folder.mkdir()
    labelmap = sitk.GetImageFromArray(labels)
    labelmap.CopyInformation(ct)
    write_segmentation(folder / "scan.seg.nrrd", labelmap, LIVER_TUMOR)
    sitk.WriteImage(kept, str(folder / "scan.tumor-probability.nrrd"))
    report = {
        "input": {"path": str(tmp_path / "scan.nii.gz")},
        "model": {"id": "liver-tumor", "version": "0.3.0", "sha256": "0"},
        "threshold": 0.3,
        "findings": [{"grade": "warning", "code": "x", "message": "Look."}],
    }
    (folder / "scan.report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder
