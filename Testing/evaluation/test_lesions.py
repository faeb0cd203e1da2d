"""Lesion matching: hand-made situations with known answers."""

import numpy as np
import pytest

from LiverTumorSegTraining.evaluation.case_scores import score_case
from LiverTumorSegTraining.evaluation.froc import THRESHOLDS, case_froc, froc_curve
from LiverTumorSegTraining.evaluation.lesion_matching import detect_lits
from LiverTumorSegTraining.evaluation.lesion_summary import in_size_class
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR
from LiverTumorSegTraining.evaluation.summary import summarise

SPACING = (1.0, 1.0, 1.0)


def volume(*boxes, shape=(40, 40, 40)):
    labels = np.zeros(shape, dtype=np.uint8)
    for box in boxes:
        labels[tuple(slice(start, stop) for start, stop in box)] = 2
    return labels


def detection(reference, prediction, rule="lits"):
    case = score_case("case", reference, prediction, SPACING, LIVER_TUMOR)
    return summarise([case], LIVER_TUMOR).regions["tumor"].detection[rule]["all"]


def test_three_hundred_lesions_are_counted_right():
    """The LiTS scorer labels lesions with 8 bits and overflows above 127."""
    labels = np.zeros((60, 60, 60), dtype=np.uint8)
    corners = [(z, y, x) for z in range(0, 60, 8) for y in range(0, 60, 8) for x in range(0, 60, 8)][:300]
    for z, y, x in corners:
        labels[z : z + 4, y : y + 4, x : x + 4] = 2
    prediction = labels.copy()
    for z, y, x in corners[:30]:
        prediction[z : z + 4, y : y + 4, x : x + 4] = 0
    found = detection(labels, prediction)
    assert (found.recall.n, found.precision.n, found.found, found.false_positives) == (300, 270, 270, 0)
    assert found.recall.value == pytest.approx(0.9)
    assert detection(labels, labels).recall.value == 1.0


def test_one_prediction_over_two_touching_references_is_merged_only_by_the_lits_rule():
    reference = volume(((5, 15), (5, 15), (5, 14)), ((5, 15), (5, 15), (15, 24)))
    prediction = volume(((5, 15), (5, 15), (5, 24)))
    lits, plain = detection(reference, prediction), detection(reference, prediction, "iou_half")
    assert (lits.found, lits.recall.value, lits.precision.value, lits.false_positives) == (2, 1.0, 1.0, 0)
    assert (plain.found, plain.false_positives) == (0, 1)


def test_a_reference_in_two_pieces_is_found_by_the_lits_rule():
    reference = volume(((5, 15), (5, 15), (5, 25)))
    prediction = volume(((5, 15), (5, 15), (5, 14)), ((5, 15), (5, 15), (15, 25)))
    lits = detection(reference, prediction)
    assert (lits.recall.value, lits.precision.value, lits.precision.n) == (1.0, 1.0, 2)


def test_a_blob_over_the_whole_liver_is_found_only_by_any_overlap():
    reference = volume(((5, 8), (5, 8), (5, 8)), ((20, 24), (20, 24), (20, 24)))
    prediction = volume(((2, 38), (2, 38), (2, 38)))
    assert detection(reference, prediction, "any_overlap").recall.value == 1.0
    lits = detection(reference, prediction)
    assert (lits.found, lits.false_positives) == (0, 1)


def test_precision_cannot_be_negative_or_above_one_when_lesions_merge():
    """The LiTS scorer counts false positives as predictions minus found references, here 1 - 2."""
    reference = volume(((5, 15), (5, 15), (5, 14)), ((5, 15), (5, 15), (15, 24)))
    found = detection(reference, volume(((5, 15), (5, 15), (5, 24))))
    assert found.false_positives == 0
    assert found.precision.value == 1.0


def test_lesions_that_touch_at_a_corner_are_one():
    reference = volume(((5, 10), (5, 10), (5, 10)), ((10, 15), (10, 15), (10, 15)))
    assert detection(reference, reference).recall.n == 1


def test_iou_of_exactly_one_half_is_not_found():
    overlap = np.array([[50]])
    assert not detect_lits(overlap, np.array([75]), np.array([75])).reference.any()
    assert detect_lits(np.array([[51]]), np.array([75]), np.array([75])).reference.all()


def test_size_classes_partition_the_line():
    for diameter in (0.0, 5.0, 9.99, 10.0, 20.0, 20.01, 100.0):
        assert sum(in_size_class(diameter, name) for name in ("<10 mm", "10-20 mm", ">20 mm")) == 1
    assert in_size_class(10.0, "10-20 mm")
    assert in_size_class(20.0, "10-20 mm")


def test_a_false_lesion_in_ignored_voxels_is_not_counted_and_one_beside_them_is():
    reference = volume(((5, 10), (5, 10), (5, 10)))
    reference[20:30, 20:30, 20:30] = 255
    inside, beside = (volume(((5, 10), (5, 10), (5, 10))) for _ in range(2))
    inside[22:26, 22:26, 22:26] = 2
    beside[29:35, 22:26, 22:26] = 2
    assert detection(reference, inside).false_positives == 0
    assert detection(reference, beside).false_positives == 1


def test_froc_counts_by_hand():
    reference = volume(((5, 10), (5, 10), (5, 10)), ((20, 26), (20, 26), (20, 26))) == 2
    probability = np.zeros(reference.shape, dtype=np.uint8)
    probability[5:10, 5:10, 5:10] = 250
    probability[20:26, 20:26, 20:26] = 100
    probability[32:36, 32:36, 32:36] = 60
    curve = froc_curve([case_froc("a", reference, None, probability, (0, 0, 0), SPACING)], 0)
    points = {point.threshold: (point.sensitivity, point.false_positives_per_scan) for point in curve.points["lits"]}
    assert points[0.1] == (1.0, 1.0)
    assert points[0.3] == (1.0, 0.0)
    assert points[0.5] == (0.5, 0.0)
    assert curve.at_rate["lits"][0.25] == 1.0
    assert set(points) == set(THRESHOLDS)


def test_froc_of_a_missing_prediction_holds_its_lesions():
    reference = volume(((5, 10), (5, 10), (5, 10))) == 2
    curve = froc_curve([case_froc("a", reference, None, None, (0, 0, 0), SPACING)], 0)
    assert curve.lesions == 1
    assert all(point.sensitivity == 0.0 for point in curve.points["any_overlap"])
