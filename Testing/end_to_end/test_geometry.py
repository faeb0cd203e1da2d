"""The whole way of a scan, on grids of every kind: the answer must lie on the input's grid and be the same liver."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.pipeline.inference import Segmenter


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.fixture(scope="module")
def segmenter(density_bundles):
    fine, localiser = density_bundles
    return Segmenter(fine, localiser, device="cpu", quality="quick")


def check(segmenter, image, labels, least_liver=0.97, least_tumor=0.90):
    result = segmenter.segment(image)
    assert result.labelmap.GetSize() == image.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(result.labelmap, name)(), getattr(image, name)(), atol=1e-4), name
    found = sitk.GetArrayViewFromImage(result.labelmap)
    assert dice(found > 0, labels > 0) >= least_liver
    assert dice(found == 2, labels == 2) >= least_tumor
    return result


def test_the_canonical_scan(segmenter, make_phantom):
    image, labels, _ = make_phantom()
    result = check(segmenter, image, labels)
    assert [lesion.id for lesion in result.lesions] == [1, 2]
    voxel_ml = np.prod(image.GetSpacing()) / 1000
    assert sum(lesion.volume_ml for lesion in result.lesions) == pytest.approx((labels == 2).sum() * voxel_ml, rel=0.1)
    assert result.lesions[0].centroid_lps_mm == pytest.approx((-55, 10, 5), abs=1.5)
    assert result.lesions[0].mean_hu > 140
    assert set(result.seconds) >= {"check", "localise", "network", "measure", "total"}
    assert result.device == "cpu"
    assert not [finding for finding in result.findings if finding.grade == "error"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize(
    "flips", [(False, False, False), (True, True, False), (True, False, False), (True, True, True)]
)
def test_every_order_and_sense_of_axes(segmenter, make_phantom, order, flips):
    image, labels, _ = make_phantom(order=order, flips=flips, spacing=(2.5, 2.5, 2.5))
    check(segmenter, image, labels)


@pytest.mark.parametrize("thickness", [0.5, 1.0, 3.0, 5.0, 10.0])
def test_slices_from_half_a_millimetre_to_ten(segmenter, make_phantom, thickness):
    image, labels, _ = make_phantom(spacing=(2.0, 2.0, thickness))
    check(segmenter, image, labels, 0.95, 0.90 if thickness <= 5 else 0.80)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rotation=st.tuples(*[st.integers(-40, 40)] * 3),
    spacing=st.tuples(st.floats(1.5, 3), st.floats(1.5, 3), st.floats(1.5, 6)),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_random_affines(segmenter, make_phantom, rotation, spacing, flips):
    image, labels, _ = make_phantom(rotation=rotation, spacing=spacing, flips=flips)
    check(segmenter, image, labels, 0.95, 0.88)


def test_the_same_scan_stored_flipped_gives_the_same_voxels(segmenter, make_phantom):
    image, _, _ = make_phantom()
    straight = sitk.GetArrayFromImage(segmenter.segment(image).labelmap)
    flipped = sitk.Flip(image, [True, False, True])
    other = sitk.GetArrayFromImage(segmenter.segment(flipped).labelmap)[::-1, :, ::-1]
    assert dice(straight > 0, other > 0) >= 0.999
    assert dice(straight == 2, other == 2) >= 0.99


def test_two_runs_are_identical(segmenter, make_phantom):
    image, _, _ = make_phantom()
    first, second = (sitk.GetArrayFromImage(segmenter.segment(image).labelmap) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_probability_lies_on_a_part_of_the_input_grid(segmenter, make_phantom):
    image, labels, grid = make_phantom(order=(2, 0, 1), flips=(True, False, False))
    probability = segmenter.segment(image).tumor_probability
    assert probability.GetPixelID() == sitk.sitkUInt8
    start = grid.index(np.asarray(probability.GetOrigin()))
    assert np.allclose(start, np.round(start), atol=1e-6)
    back = sitk.Resample(probability, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    assert dice(sitk.GetArrayViewFromImage(back) >= 128, labels == 2) > 0.9


def test_a_cut_liver_is_said(segmenter, make_phantom):
    image, _, _ = make_phantom()
    lower = image[:, :, : image.GetDepth() // 2]
    codes = {finding.code for finding in segmenter.segment(lower).findings}
    assert "liver_cut" in codes


def test_no_liver_gives_an_empty_segmentation_and_says_so(segmenter, make_phantom):
    image, _, grid = make_phantom()
    values = sitk.GetArrayFromImage(image)
    values[values > 0] = -60
    result = segmenter.segment(grid.image(values))
    assert not sitk.GetArrayViewFromImage(result.labelmap).any()
    assert result.lesions == ()
    assert [finding.code for finding in result.findings if finding.code == "no_liver"] == ["no_liver"]


def test_a_liver_that_the_fine_network_does_not_confirm_is_none(density_bundles, make_phantom):
    fine, localiser = density_bundles
    weights = {**fine.weights, "head.bias": torch.tensor([1000.0, 0.0, 0.0])}
    blind = dataclasses.replace(fine, weights=weights, sha256="blind")
    image, _, _ = make_phantom()
    half = image[:, :, : image.GetDepth() // 2]
    result = Segmenter(blind, localiser, device="cpu").segment(half)
    assert not sitk.GetArrayViewFromImage(result.labelmap).any()
    codes = {finding.code for finding in result.findings}
    assert "no_liver" in codes
    assert "liver_cut" not in codes
