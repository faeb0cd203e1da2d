"""Detection by confidence is what one counts by hand."""

import numpy as np
import pytest

from LiverTumorSegTraining.evaluation.lesion_confidence import (
    CaseDetections,
    case_detections,
    confidences,
    lesion_candidates,
    lesion_confidence,
)

SPACING = (1.0, 1.0, 1.0)


def detections(name, true, false, missed=0, patient=None):
    return CaseDetections(name, patient or name, np.array(true, float), np.array(false, float), missed)


def test_average_precision_and_area_by_hand():
    cases = [detections("a", [0.9, 0.4], [0.6], 1), detections("b", [], [0.7]), detections("c", [], [], 0)]
    found = lesion_confidence(cases)
    # In the order of confidence: right (1 of 1), wrong, wrong, right (2 of 4); three lesions in all.
    assert found.average_precision.value == pytest.approx((1 / 1 + 2 / 4) / 3)
    # The only patient with tumour has .9, the others .7 and 0.
    assert found.patient_auroc.value == 1.0
    assert found.average_precision.low is None
    assert [point.threshold for point in found.points] == [0.9, 0.7, 0.6, 0.4]
    assert found.points[-1].sensitivity == pytest.approx(2 / 3)
    assert found.points[-1].false_positives_per_scan == pytest.approx(2 / 3)
    assert found.at_rate[0.25] == pytest.approx(1 / 3)
    assert found.at_rate[1.0] == pytest.approx(2 / 3)
    assert (found.cases, found.patients, found.patients_with_lesion, found.lesions) == (3, 3, 1, 3)


def test_equal_confidences_do_not_depend_on_the_order_of_cases():
    cases = [detections("a", [0.5], []), detections("b", [], [0.5]), detections("c", [], [], 1)]
    forward, back = lesion_confidence(cases), lesion_confidence(cases[::-1])
    assert forward.average_precision.value == back.average_precision.value == pytest.approx(0.5 * 0.5)
    # Sick: .5 and 0; well: .5. One tie, one lost.
    assert forward.patient_auroc.value == pytest.approx(0.25)


def test_scans_of_one_patient_are_one_patient():
    cases = [detections("a1", [], [], 1, "a"), detections("a2", [0.8], [], 0, "a"), detections("b", [], [0.6], 0, "b")]
    found = lesion_confidence(cases)
    assert found.patients == 2
    assert found.patient_auroc.value == 1.0


def test_figures_that_do_not_exist():
    healthy = lesion_confidence([detections("a", [], [0.3]), detections("b", [], [])])
    assert healthy.average_precision.value is None
    assert healthy.patient_auroc.value is None
    sick = lesion_confidence([detections(str(n), [0.5 + n / 20], []) for n in range(6)])
    assert sick.average_precision.value == 1.0
    assert (sick.average_precision.low, sick.average_precision.high) == (1.0, 1.0)
    assert sick.patient_auroc.value is None


def test_candidates_do_not_fuse_below_their_own_threshold():
    probability = np.zeros((5, 5, 24), np.uint8)
    probability[2, 2, 2:6], probability[2, 2, 9:12] = 230, 180
    probability[2, 2, 6:9] = 60  # a bridge of probability .24
    probability[2, 2, 16:20] = 80  # .31, on its own
    labels = lesion_candidates(probability)
    assert labels.max() == 3
    assert np.array_equal(labels[2, 2] > 0, np.isin(probability[2, 2], (230, 180, 80)))
    assert sorted(confidences(probability, labels)) == pytest.approx([80 / 255, 180 / 255, 230 / 255])


def test_matching_and_unknown_voxels():
    reference = np.zeros((6, 20, 20), bool)
    reference[2:4, 2:6, 2:6], reference[2:4, 12:16, 12:16] = True, True
    probability = np.zeros((6, 10, 20), np.uint8)
    probability[2:4, 2:6, 2:6], probability[2:4, 2:6, 10:14] = 200, 150
    case = case_detections("a", "a", reference, None, probability, (0, 0, 0), SPACING)
    assert case.true == pytest.approx([200 / 255])
    assert case.false == pytest.approx([150 / 255])
    assert case.missed == 1
    ignored = np.zeros_like(reference)
    ignored[2:4, 2:6, 10:13] = True
    case = case_detections("a", "a", reference, ignored, probability, (0, 0, 0), SPACING)
    assert len(case.false) == 0
    assert case_detections("a", "a", reference, None, None, (0, 0, 0), SPACING).missed == 2
