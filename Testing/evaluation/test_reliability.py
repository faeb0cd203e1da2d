"""Reliability counts voxels as one would by hand."""

import numpy as np
import pytest

from LiverTumorSegTraining.evaluation.reliability import case_reliability, reliability_curve


def test_a_calibrated_map_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    probability = rng.integers(1, 256, (40, 40, 40), dtype=np.uint8)
    reference = rng.random(probability.shape) < probability / 255
    curve = reliability_curve([case_reliability("a", reference, None, probability, (0, 0, 0))])
    assert len(curve.bins) == 10
    assert sum(part.voxels for part in curve.bins) == probability.size
    assert curve.calibration_error < 0.01
    assert all(abs(part.probability - part.observed) < 0.03 for part in curve.bins)


def test_counts_by_hand():
    reference = np.zeros((4, 4, 4), bool)
    reference[0, 0] = True  # four voxels, one of them beside the map, one unknown
    ignored = np.zeros_like(reference)
    ignored[0, 0, 3] = True
    probability = np.array([[[204, 51, 255]]], np.uint8)
    case = case_reliability("a", reference, ignored, probability, (0, 0, 1))
    assert case.tumor[0] == 1
    assert case.tumor[204] == case.tumor[51] == 1
    assert case.tumor.sum() == 3
    assert case.other.sum() == 0
    curve = reliability_curve([case])
    assert curve.dice[0.1] == pytest.approx(2 * 2 / (3 + 2))
    assert curve.dice[0.5] == pytest.approx(2 * 1 / (3 + 1))
    assert curve.best_threshold in (0.05, 0.1, 0.2)
    assert curve.calibration_error == pytest.approx((0.2 + 0.8) / 2)


def test_without_tumor_there_is_no_best_threshold():
    empty = np.zeros((3, 3, 3), bool)
    curve = reliability_curve([case_reliability("a", empty, None, np.zeros((3, 3, 3), np.uint8), (0, 0, 0))])
    assert curve.bins == ()
    assert curve.calibration_error is None
    assert curve.best_threshold is None
    assert curve.tumor_cases == 0
