"""Labels from probabilities: the organ's pieces, holes, lesions within it, opening and closing in mm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.pipeline.postprocess import (
    Postprocessing,
    bounding_box,
    drop_small,
    fill_holes,
    keep_pieces,
    liver_and_tumor,
    open_and_close,
    with_further_classes,
)
from scipy import ndimage

SPACING = (2.0, 1.0, 1.5)


def probabilities(shape=(30, 40, 40)):
    """Return an organ box of certain liver and no tumour."""
    liver, tumor = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    liver[5:25, 5:35, 5:35] = 230
    return liver, tumor


def put_tumor(liver, tumor, box, value=200):
    tumor[box] = value
    liver[box] = np.minimum(liver[box], 255 - value)


def test_liver_with_a_lesion():
    liver, tumor = probabilities()
    box = np.s_[10:15, 10:16, 10:16]
    put_tumor(liver, tumor, box)
    result = liver_and_tumor(liver, tumor, SPACING)
    assert result.dtype == np.uint8
    assert (result[box] == 2).all()
    assert (result == 2).sum() == 5 * 6 * 6
    assert ((result > 0) == ((liver > 0) | (tumor > 0))).all()


@pytest.mark.parametrize(("threshold", "found"), [(0.2, True), (0.5, True), (0.8, True), (0.81, False)])
def test_threshold_is_inclusive_and_in_probability(threshold, found):
    liver, tumor = probabilities()
    put_tumor(liver, tumor, np.s_[10:15, 10:16, 10:16], 204)
    result = liver_and_tumor(liver, tumor, SPACING, threshold)
    assert (result == 2).any() == found
    # What is no tumour is still the organ.
    assert (result > 0).sum() == 20 * 30 * 30


def test_a_low_threshold_reaches_beyond_the_organ_only_where_it_touches_it():
    liver, tumor = probabilities()
    tumor[10:15, 34:38, 10:16] = 100  # grows out of the surface
    tumor[10:15, 10:16, 37:40] = 100  # two voxels away from the liver
    result = liver_and_tumor(liver, tumor, SPACING, 0.3)
    assert (result[10:15, 35:38, 10:16] == 2).all()
    assert not result[10:15, 10:16, 37:40].any()
    assert not (liver_and_tumor(liver, tumor, SPACING, 0.5) == 2).any()


def test_a_large_mass_elsewhere_does_not_win():
    liver, tumor = np.zeros((2, 40, 60, 60), np.uint8)
    liver[5:15, 5:20, 5:20] = 220
    put_tumor(liver, tumor, np.s_[7:11, 7:12, 7:12])
    tumor[18:40, 25:60, 25:60] = 250
    result = liver_and_tumor(liver, tumor, SPACING)
    assert not result[18:].any()
    assert (result[7:11, 7:12, 7:12] == 2).all()


def test_pieces_of_a_liver():
    organ = np.zeros((20, 20, 40), bool)
    organ[2:12, 2:12, 2:12] = True
    organ[2:12, 2:12, 14:20] = True
    organ[2:4, 2:4, 30:32] = True
    kept = keep_pieces(organ, organ, 0.1)
    assert kept[5, 5, 5]
    assert kept[5, 5, 16]
    assert not kept[2, 2, 30]
    assert not keep_pieces(organ, organ, 0.9)[5, 5, 16]
    nothing = np.zeros_like(organ)
    assert keep_pieces(organ, nothing, 0.1)[5, 5, 5]
    assert not keep_pieces(nothing, nothing, 0.1).any()


def test_holes_are_liver():
    liver, tumor = probabilities()
    liver[12:14, 12:14, 12:14] = 0
    liver[20:30, 20, 20] = 0  # open to the outside
    result = liver_and_tumor(liver, tumor, SPACING)
    assert (result[12:14, 12:14, 12:14] == 1).all()
    assert not result[20:30, 20, 20].any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_filling_agrees_with_scipy(seed):
    mask = np.random.default_rng(seed).random((9, 10, 11)) < 0.6
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_small_lesions_become_liver():
    liver, tumor = probabilities()
    put_tumor(liver, tumor, np.s_[8:10, 8:11, 8:11])  # 18 voxels of 3 mm3
    put_tumor(liver, tumor, np.s_[18, 20, 20:24])  # 4 voxels
    result = liver_and_tumor(liver, tumor, SPACING)
    assert (result == 2).sum() == 18
    assert (result[18, 20, 20:24] == 1).all()
    assert (liver_and_tumor(liver, tumor, SPACING, options=Postprocessing(smallest_lesion_mm3=54)) == 2).sum() == 18
    assert (liver_and_tumor(liver, tumor, SPACING, options=Postprocessing(smallest_lesion_mm3=55)) == 2).sum() == 0
    assert (liver_and_tumor(liver, tumor, SPACING, options=Postprocessing(smallest_lesion_mm3=0)) == 2).sum() == 22


def test_corners_connect():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    assert drop_small(mask, 2).sum() == 2


def test_opening_and_closing_are_balls_in_mm():
    mask = np.zeros((24, 40, 40), bool)
    mask[8:16, 8:24, 8:24] = True
    mask[12, 16, 24:30] = True  # a thread
    mask[12, 12:14, 15] = False  # a slit
    opened = open_and_close(mask, SPACING, 2.5, 0)
    assert not opened[12, 16, 26:].any()
    assert opened[8:16, 14:18, 14:18].sum() > 100
    closed = open_and_close(mask, SPACING, 0, 2.5)
    assert closed[12, 12:14, 15].all()
    assert (closed | mask).sum() == closed.sum()
    assert open_and_close(mask, SPACING, 0, 0) is mask
    both = open_and_close(mask, SPACING, 2.5, 2.5)
    assert both[12, 12:14, 15].all() or not both[12, 16, 26:].any()
    nothing = np.zeros_like(mask)
    assert not open_and_close(nothing, SPACING, 2, 2).any()
    assert not open_and_close(mask, SPACING, 50, 0).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4))
def test_opening_shrinks_and_closing_grows_wherever_the_mask_lies(seed, radius):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.random((14, 15, 16)), 1.5) > 0.5
    opened, closed = open_and_close(mask, SPACING, radius, 0), open_and_close(mask, SPACING, 0, radius)
    assert not (opened & ~mask).any()
    assert not (mask & ~closed).any()
    assert np.array_equal(open_and_close(opened, SPACING, radius, 0), opened)
    padded = open_and_close(np.pad(mask, 8), SPACING, 0, radius)[8:-8, 8:-8, 8:-8]
    assert np.array_equal(padded, closed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0, 3), st.floats(0, 3))
def test_what_always_holds(seed, threshold, opening, closing):
    rng = np.random.default_rng(seed)
    smooth = [ndimage.gaussian_filter(rng.random((12, 14, 16)), 1.2) for _ in range(3)]
    total = sum(smooth)
    liver, tumor = (np.floor(255 * part / total).astype(np.uint8) for part in smooth[:2])
    before = liver.copy(), tumor.copy()
    options = Postprocessing(opening_mm=opening, closing_mm=closing, smallest_lesion_mm3=10)
    result = liver_and_tumor(liver, tumor, SPACING, threshold, options)
    assert np.array_equal(liver, before[0])
    assert np.array_equal(tumor, before[1])
    assert set(np.unique(result)) <= {0, 1, 2}
    components, count = ndimage.label(result == 2, structure=np.ones((3, 3, 3)))
    assert all((components == n).sum() * 3.0 >= 10 for n in range(1, count + 1))
    if opening == 0:
        assert np.array_equal(result > 0, fill_holes(result > 0))
    # The way the array is stored is of no importance.
    turned = liver_and_tumor(liver[::-1, :, ::-1].copy(), tumor[::-1, :, ::-1].copy(), SPACING, threshold, options)
    assert np.array_equal(turned[::-1, :, ::-1], result)


def test_nothing_in_nothing_out():
    empty = np.zeros((9, 9, 9), np.uint8)
    assert not liver_and_tumor(empty, empty, SPACING).any()
    assert bounding_box(empty > 0) is None


def beside_the_liver(radius):
    """Return probabilities of a liver with a ball in it and a ball that hangs below it by a narrow neck."""
    z, y, x = np.indices((60, 60, 60))
    liver = (z >= 30) & (y > 5) & (y < 55) & (x > 5) & (x < 55)
    inside = (z - 45) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 < 36
    hanging = (z - 30 + radius) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= radius**2 + 1
    tumor = (inside | hanging) & ~((z > 31) & hanging)
    return np.where(liver & ~tumor, 255, 0).astype(np.uint8), np.where(tumor, 255, 0).astype(np.uint8), inside


def test_what_hangs_beside_the_liver_is_no_lesion_of_it():
    liver, tumor, inside = beside_the_liver(10)
    found = liver_and_tumor(liver, tumor, (1.0, 1.0, 1.0))
    assert np.array_equal(found == 2, inside)
    assert not found[:28].any(), "what was dropped is no liver either"


def test_a_large_tumor_beside_the_liver_is_kept():
    liver, tumor, _ = beside_the_liver(10)
    found = liver_and_tumor(liver, tumor, (3.0, 3.0, 3.0))
    assert np.array_equal(found == 2, tumor > 0)


def test_what_the_organ_reaches_elsewhere_has_no_say_in_what_hangs_beside_it():
    liver, tumor = np.zeros((2, 60, 60, 60), np.uint8)
    liver[30:, 5:55, 5:55] = 255
    # A plate on a stem, touching the liver by a sixth of its surface; it is the organ's uppermost part.
    tumor[27, 20:30, 20:30] = tumor[28:30, 21:28, 21:28] = 255
    alone = liver_and_tumor(liver, tumor, (1.0, 1.0, 1.0))
    liver[20:30, 5:15, 40:55] = 255
    assert not (alone == 2).any()
    assert not (liver_and_tumor(liver, tumor, (1.0, 1.0, 1.0)) == 2).any()


def test_further_classes_are_kept_beside_liver_and_tumour():
    # Columns: liver, tumour, a vessel in the liver, spleen, background, an organ voxel where a vessel is likelier.
    probabilities = np.array(
        [[250, 60, 90, 0, 20, 100], [0, 190, 0, 0, 0, 40], [0, 0, 160, 0, 0, 110], [0, 0, 0, 200, 30, 0]], np.uint8
    ).reshape(4, 1, 1, 6)
    values = np.array([1, 2, 1, 0, 0, 1], np.uint8).reshape(1, 1, 6)
    assert with_further_classes(values, probabilities).ravel().tolist() == [1, 2, 3, 4, 0, 1]
    assert with_further_classes(values, probabilities[:2]) is values
