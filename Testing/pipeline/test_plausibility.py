"""What is shown as a liver looks like one: bladders, brains and hearts are not, livers cut by the scan's edge are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.pipeline.localise import judge
from LiverTumorSegLib.pipeline.plausibility import judge_liver, outside_skulls

MODELS = Path(__file__).parents[2] / "Resources" / "Models"
GRID = Grid((100, 80, 50), (3.0, 3.0, 3.0), (-150.0, -120.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def ball(centre, radii, shape=GRID.size[::-1]):
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True)) < 1


LIVER = ball((25, 38, 34), (18, 20, 22))
MIDLINE = ball((25, 38, 50), (14, 14, 14))


def judged(organ, hu, coarse=None, tumor=None, certainty=250, grid=GRID, **options):
    """Judge an organ of one density, with a coarse liver (the same when None) of one probability."""
    values = np.where(organ, hu, -60).astype(np.int16)
    probability = np.where(organ if coarse is None else coarse, certainty, 0).astype(np.uint8)
    location, _ = judge(probability, values, grid)
    labels = organ.astype(np.uint8)
    if tumor is not None:
        labels[tumor] = 2
    return judge_liver(labels, np.zeros(3, int), grid.image(values), location, **options)


@pytest.mark.parametrize("hu", [25, 60, 110, 180])
def test_a_liver_of_any_phase_is_shown(hu):
    assert judged(LIVER, hu) == (True, [])


def test_a_liver_half_replaced_by_tumour_is_shown():
    assert judged(LIVER, 100, tumor=LIVER & ball((25, 38, 24), (18, 20, 14)))[0]


@pytest.mark.parametrize("edge", [np.s_[:20], np.s_[30:], np.s_[:, :30], np.s_[..., :26], np.s_[..., 40:]])
def test_a_liver_cut_by_the_edge_is_shown(edge):
    part = LIVER[edge]
    grid = dataclasses.replace(GRID, size=part.shape[::-1])
    shown, _ = judged(np.ascontiguousarray(part), 100, grid=grid)
    assert shown


def test_fluid_in_the_midline_is_no_liver():
    shown, (finding,) = judged(MIDLINE, 12)
    assert not shown
    assert finding.code == "no_liver"
    assert "12 HU" in finding.message


def test_fluid_at_the_edge_of_the_scan_is_no_liver():
    """That it touches a border must not silence the doubt."""
    shown, findings = judged(MIDLINE[25:], 12, grid=dataclasses.replace(GRID, size=(100, 80, 25)))
    assert (shown, findings[0].code) == (False, "no_liver")


def test_a_very_fatty_liver_is_shown_with_a_doubt():
    shown, (finding,) = judged(LIVER, 5)
    assert (shown, finding.code, finding.grade) == (True, "liver_doubtful", "warning")


def test_an_organ_on_which_the_networks_disagree_is_no_liver():
    shown, (finding,) = judged(ball((25, 38, 60), (14, 14, 14)), 100, coarse=LIVER)
    assert (shown, finding.code) == (False, "no_liver")
    assert "agree" in finding.message


def test_an_uncertain_mass_that_looks_like_tumour_is_no_liver():
    half = MIDLINE & (np.arange(100) > 50)
    assert judged(MIDLINE, 130, tumor=half, certainty=150)[0] is False
    assert judged(LIVER, 130, certainty=150)[0]


def test_a_sliver_is_no_liver():
    assert judged(ball((25, 38, 34), (4, 4, 4)), 100, coarse=LIVER)[1][0].code == "no_liver"


def test_a_reader_who_insists_sees_it_with_a_warning():
    shown, (finding,) = judged(MIDLINE, 12, keep=True)
    assert (shown, finding.code) == (True, "liver_doubtful")


@pytest.mark.parametrize("cut", [0, 38])
def test_a_brain_is_not_taken_for_a_liver(cut):
    """Also where the scan's side cuts the head."""
    skull = ball((25, 38, 50), (40, 24, 24)) & ~ball((25, 38, 50), (39, 22, 22))
    brain = ball((25, 38, 50), (30, 21, 21))
    values = np.where(skull, 900, np.where(ball((25, 38, 50), (39, 22, 22)), 38, -1000))[..., cut:]
    probability = np.where(brain, 200, 0).astype(np.uint8)[..., cut:]
    assert not outside_skulls(probability, values, GRID).any()


def test_ribs_do_not_hide_a_liver():
    values = np.where(LIVER, 100, -60)
    z, y, x = np.ogrid[:50, :80, :100]
    angle = np.arctan2(y - 38, x - 50)
    wall = np.abs(np.hypot((y - 38) / 33, (x - 50) / 43) - 1) < 0.06
    values[wall & (np.sin(9 * angle + z) > -0.3)] = 700
    probability = np.where(LIVER, 200, 0).astype(np.uint8)
    assert np.array_equal(outside_skulls(probability, values, GRID), probability)


@pytest.fixture(scope="module")
def shipped():
    return Segmenter(load_bundle(MODELS / "liver-tumor"), load_bundle(MODELS / "liver-localiser"), "cpu", "standard")


def test_a_head_is_shown_to_nobody_but_a_reader_who_insists_and_then_with_a_doubt(shared_data, shipped):
    # An 8-bit picture: without HU no ring of bone is seen, and the brain is as even as a liver.
    image = sitk.DICOMOrient(sitk.ReadImage(str(shared_data / "tests" / "head_ct.nii.gz")), "LPS")
    with pytest.raises(InputError, match="not Hounsfield units"):
        shipped.segment(image)
    assert "liver_doubtful" in [finding.code for finding in shipped.segment(image, force=True).findings]


@pytest.mark.parametrize("part", ["pelvis", "chest"])
def test_real_scans_without_a_liver_are_empty(shared_data, shipped, part):
    name = {
        "pelvis": "tests/abdomen_pelvis_3mm_ct.nii.gz",
        "chest": "liver/3mm_whole/lungfcp0001_negative.nii.gz",
    }[part]
    image = sitk.DICOMOrient(sitk.ReadImage(str(shared_data / name)), "LPS")
    if part == "pelvis":
        image = image[:, :, :30]
    result = shipped.segment(image)
    assert "no_liver" in [finding.code for finding in result.findings]
    assert sitk.GetArrayViewFromImage(result.labelmap).max() == 0
    assert result.lesions == ()
    assert result.tumor_probability is None
