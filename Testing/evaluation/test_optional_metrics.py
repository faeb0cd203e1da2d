"""Boundary IoU and clDice against masks whose figures are known."""

import numpy as np
import pytest
import SimpleITK as sitk

from LiverTumorSegTraining.evaluation.case_scores import score_case
from LiverTumorSegTraining.evaluation.optional_metrics import boundary_iou, centreline_dice
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR

SPACING = (2.0, 1.0, 1.0)


def box(start, stop, shape=(20, 30, 30)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def test_boundary_iou_looks_at_rims_only():
    big, hollow = box((4, 5, 5), (16, 25, 25)), box((4, 5, 5), (16, 25, 25))
    hollow[9:11, 12:18, 12:18] = False
    assert boundary_iou(big, big, SPACING, 2.0) == 1.0
    # The outer rim of two voxels in plane and one across is the same; the hole brings a rim of its own.
    rim = big.sum() - box((5, 7, 7), (15, 23, 23)).sum()
    around = box((8, 10, 10), (12, 20, 20)).sum() - 2 * 6 * 6
    found = boundary_iou(big, hollow, SPACING, 2.0)
    assert rim / (rim + around) <= found < 1.0
    inside = box((6, 8, 8), (14, 22, 22))
    assert boundary_iou(big, inside, SPACING, 1.0) == 0.0
    assert boundary_iou(big & False, big & False, SPACING, 2.0) == 1.0
    assert boundary_iou(big, big & False, SPACING, 2.0) == 0.0


def test_centreline_dice_sees_a_broken_tube_and_not_its_thickness():
    thick, thin = box((8, 10, 2), (13, 15, 28)), box((9, 11, 2), (12, 14, 28))
    broken = thick.copy()
    broken[:, :, 10:20] = False
    assert centreline_dice(thick, thin) > 0.9
    assert centreline_dice(thick, broken) < 0.85
    assert centreline_dice(thick & False, thick & False) == 1.0
    assert centreline_dice(thick, thick & False) == 0.0
    unknown = np.zeros_like(thick)
    unknown[:, :, 8:22] = True
    assert centreline_dice(thick, broken, unknown) > 0.9


def test_they_are_computed_when_asked_for():
    labels = np.where(box((4, 5, 5), (16, 25, 25)), 1, 0).astype(np.uint8)
    labels[8:12, 10:15, 10:15] = 2
    plain = score_case("a", labels, labels, SPACING, LIVER_TUMOR).regions["tumor"].values
    assert not {"boundary_iou", "cldice"} & set(plain)
    also = score_case("a", labels, None, SPACING, LIVER_TUMOR, also=("boundary_iou", "cldice")).regions["tumor"].values
    assert (also["boundary_iou"], also["cldice"]) == (0.0, 0.0)
    assert also["dice"] == pytest.approx(plain["dice"] - 1.0)


def test_a_rim_of_unknown_voxels_is_measured_and_told(tmp_path):
    from LiverTumorSegTraining.evaluation.distances import unjudged_boundary
    from LiverTumorSegTraining.evaluation.engine import evaluate
    from LiverTumorSegTraining.evaluation.pairing import CasePaths

    liver = box((4, 5, 5), (16, 25, 25))
    rim = box((3, 4, 4), (17, 26, 26)) & ~liver
    half = rim.copy()
    half[:, :, :15] = False
    assert unjudged_boundary(liver, rim) == 1.0
    assert unjudged_boundary(liver, rim & False) == 0.0
    assert unjudged_boundary(liver & False, rim) == 0.0
    assert 0.4 < unjudged_boundary(liver, half) < 0.6
    for name, unknown in (("half", half), ("speck", box((9, 15, 25), (10, 16, 26)))):
        labels = liver.astype(np.uint8)
        labels[unknown] = 255
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / f"{name}.nii.gz"))
    paths = [CasePaths(name, tmp_path / f"{name}.nii.gz", tmp_path / f"{name}.nii.gz") for name in ("half", "speck")]
    notes = [" ".join(case.notes) for case in evaluate(paths, LIVER_TUMOR).cases]
    assert "of the boundary of liver touches unknown voxels and is not judged" in notes[0]
    assert "marked unknown" in notes[1]
    assert "boundary" not in notes[1]
