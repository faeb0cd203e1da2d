"""The slider: its preview, the settled labels, and the product's own rules behind both."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.pipeline.postprocess import Postprocessing, fill_holes, level_of, liver_and_tumor
from LiverTumorSegLib.review.sensitivity import Sensitivity
from scipy import ndimage

SPACING = (2.0, 1.5, 1.5)
DEFAULT = 0.3


def smooth_probabilities(seed, shape=(20, 24, 28)):
    """Return smooth probabilities of liver and tumour, uint8, that sum to 255 at most."""
    rng = np.random.default_rng(seed)
    distance = np.sqrt(sum(((a - n / 2) / (0.4 * n)) ** 2 for a, n in zip(np.indices(shape), shape, strict=True)))
    organ = 1 / (1 + np.exp(12 * (distance - 1)))
    spots = ndimage.gaussian_filter(rng.random(shape), 1.3)
    share = 1 / (1 + np.exp(-60 * (spots - 0.56)))
    reach = 1 / (1 + np.exp(12 * (distance - 1.1)))
    return np.floor(255 * organ * (1 - share)).astype(np.uint8), np.floor(255 * reach * share).astype(np.uint8)


def at_cavities(organ, tumor, threshold):
    """Return the cavities that an organ with new tumour encloses, and the lesions that touch them."""
    cavities = fill_holes(organ) & ~organ
    lesions, _ = ndimage.label(tumor >= level_of(threshold), np.ones((3, 3, 3)))
    touching = np.unique(lesions[ndimage.binary_dilation(cavities, np.ones((3, 3, 3)))])
    return cavities | np.isin(lesions, touching[touching > 0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_default_is_the_result_itself(seed):
    liver, tumor = smooth_probabilities(seed)
    result = liver_and_tumor(liver, tumor, SPACING, DEFAULT)
    sensitivity = Sensitivity(tumor, result, SPACING, DEFAULT)
    assert np.array_equal(sensitivity.settle(DEFAULT).labels, result)
    assert sensitivity.default_threshold == DEFAULT


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.98))
@example(914, 0.171875)  # a cavity and a lesion at it
def test_the_preview_is_what_settles(seed, threshold):
    liver, tumor = smooth_probabilities(seed)
    result = liver_and_tumor(liver, tumor, SPACING, DEFAULT)
    sensitivity = Sensitivity(tumor, result, SPACING, DEFAULT)
    shown, settled = sensitivity.preview(threshold), sensitivity.settle(threshold)
    assert shown.tumor_ml == pytest.approx((shown.labels == 2).sum() * np.prod(SPACING) / 1000)
    assert settled.tumor_ml == pytest.approx((settled.labels == 2).sum() * np.prod(SPACING) / 1000)
    assert shown.lesions == ndimage.label(shown.labels == 2, np.ones((3, 3, 3)))[1]
    assert not ((shown.labels != settled.labels) & (settled.labels == 2) & (shown.labels == 2)).any()
    differing = shown.labels != settled.labels
    assert not (differing & ~at_cavities((result > 0) | (tumor >= level_of(threshold)), tumor, threshold)).any()
    assert ((settled.labels == 1) == ((result > 0) & (settled.labels != 2))).all(), "the outline stays"


def test_more_sensitive_is_more_tumour():
    liver, tumor = smooth_probabilities(3)
    options = Postprocessing(smallest_lesion_mm3=0, smallest_contact=0)
    result = liver_and_tumor(liver, tumor, SPACING, DEFAULT, options)
    sensitivity = Sensitivity(tumor, result, SPACING, DEFAULT, options)
    masks = [sensitivity.preview(threshold).labels == 2 for threshold in (0.05, 0.1, 0.3, 0.5, 0.6)]
    assert masks[0].sum() > masks[-1].sum() > 0
    for lower, higher in zip(masks[1:], masks[:-1], strict=True):
        assert not (lower & ~higher).any()


def test_the_cleaning_of_the_run_is_kept():
    liver, tumor = smooth_probabilities(5)
    options = Postprocessing(opening_mm=1.6, smallest_lesion_mm3=200)
    result = liver_and_tumor(liver, tumor, SPACING, DEFAULT, options)
    sensitivity = Sensitivity(tumor, result, SPACING, DEFAULT, options)
    assert np.array_equal(sensitivity.settle(DEFAULT).labels, result)
    shown = sensitivity.preview(0.15)
    sizes = np.bincount(ndimage.label(shown.labels == 2, np.ones((3, 3, 3)))[0].ravel())[1:]
    assert sizes.min() * np.prod(SPACING) >= 200
    assert np.array_equal(shown.labels == 2, sensitivity.settle(0.15).labels == 2)


def test_images_that_belong_together(density_of_result):
    labelmap, probability = density_of_result
    sensitivity = Sensitivity.of(probability, labelmap, DEFAULT)
    whole = sitk.GetArrayFromImage(labelmap)
    assert np.array_equal(sensitivity.settle(DEFAULT).labels, whole[sensitivity.box])
    shifted = sitk.Image(probability)
    shifted.SetOrigin([v + 500 for v in probability.GetOrigin()])
    with pytest.raises(InputError, match="does not belong to this scan"):
        Sensitivity.of(shifted, labelmap, DEFAULT)
    with pytest.raises(InputError, match="voxels"):
        Sensitivity(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4), np.uint8), SPACING, DEFAULT)


@pytest.fixture
def density_of_result():
    """Return a labelmap on a whole grid and the kept probability of its liver box, as images."""
    liver, tumor = smooth_probabilities(7)
    whole = np.zeros((40, 50, 60), np.uint8)
    whole[8:28, 12:36, 5:33] = liver_and_tumor(liver, tumor, SPACING, DEFAULT)
    labelmap = sitk.GetImageFromArray(whole)
    probability = sitk.GetImageFromArray(tumor)
    for image in (labelmap, probability):
        image.SetSpacing(SPACING[::-1])
    labelmap.SetOrigin((-10, 20, 30))
    probability.SetOrigin(labelmap.TransformIndexToPhysicalPoint((5, 12, 8)))
    return labelmap, probability
