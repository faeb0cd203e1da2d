"""A reader's session on a real CT with the shipped models."""

import time

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.models import FINE, LOCALISER, models_folder
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.review.candidate import differences, merge
from LiverTumorSegLib.review.figures import measure_session
from LiverTumorSegLib.review.local import find_lesion, liver_density, plan_around, probability_here
from LiverTumorSegLib.review.sensitivity import Sensitivity
from LiverTumorSegLib.review.totals import totals
from LiverTumorSegLib.review.verdicts import follow_network, judge, open_verdicts


@pytest.fixture(scope="module")
def session(shared_data):
    """Return the CT, the result of the shipped models on it and its labels."""
    image = sitk.ReadImage(str(shared_data / "liver" / "3mm_whole" / "crlm1006_portal.nii.gz"))
    fine, localiser = (load_bundle(models_folder() / name) for name in (FINE, LOCALISER))
    result = Segmenter(fine, localiser, device="cpu", quality="quick").segment(image)
    labels = sitk.GetArrayFromImage(result.labelmap)
    assert result.lesions, "the scan has metastases"
    return image, result, labels


def test_the_slider(session):
    _, result, labels = session
    threshold = result.provenance["threshold"]
    sensitivity = Sensitivity.of(result.tumor_probability, result.labelmap, threshold)
    settled = sensitivity.settle(threshold)
    assert np.array_equal(settled.labels, labels[sensitivity.box]), "the default is the result itself"
    assert settled.lesions == len(result.lesions)
    for value in (0.1, 0.2, 0.3, 0.5, 0.8):
        shown, settled = sensitivity.preview(value), sensitivity.settle(value)
        assert (shown.lesions, shown.tumor_ml) == pytest.approx((settled.lesions, settled.tumor_ml), rel=0.01)
        assert np.mean((shown.labels == 2) != (settled.labels == 2)) < 1e-4


def test_reject_slide_measure_and_merge(session):
    image, result, labels = session
    verdicts = open_verdicts(labels)
    rows = measure_session(verdicts, labels, image, result.tumor_probability)
    assert tuple(row.lesion for row in rows) == result.lesions
    verdicts, edited = judge(verdicts, labels, 1, "reject")
    sensitivity = Sensitivity.of(result.tumor_probability, result.labelmap, result.provenance["threshold"])
    moved = edited.copy()
    moved[sensitivity.box] = sensitivity.settle(0.25).labels
    verdicts, moved = follow_network(verdicts, moved)
    assert verdicts.lesion(1).rejected
    sums = totals(verdicts, image.GetSpacing())
    assert sums.standing.volume_ml == pytest.approx((moved == 2).sum() * np.prod(image.GetSpacing()) / 1000)
    changes = differences(edited, moved, labels, verdicts)
    assert np.array_equal(merge(edited, moved, changes), moved)
    lobes = {row.place.lobe for row in rows}
    assert lobes <= {"right lobe", "left lobe", "between the lobes"}


def test_a_place_is_segmented_again(session):
    image, result, labels = session
    verdicts, erased = judge(open_verdicts(labels), labels, 1, "reject")
    centre = measure_session(verdicts, erased, image)[0].lesion.centroid_lps_mm
    segmenter = Segmenter(load_bundle(models_folder() / FINE), device="cpu", quality="quick")
    plan = plan_around(Grid.of(image), centre)
    started = time.perf_counter()
    probability = probability_here(segmenter, image, plan, liver_density(sitk.GetArrayViewFromImage(image), erased))
    found = find_lesion(probability, erased, plan, image.GetSpacing()[::-1], result.provenance["threshold"])
    print(f"a place segmented again in {time.perf_counter() - started:.1f} s")
    lesion = verdicts.lesion(1).region
    assert found is not None
    inside = found.labels[lesion.box][lesion.mask] == 2
    assert inside.mean() > 0.6, "what was erased is found again"
    outside = found.labels != erased
    outside[plan.reach] = False
    assert not outside.any()
