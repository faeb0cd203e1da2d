"""What is erased from tumour inside the liver becomes liver, what hung over its edge does not."""

import numpy as np
import pytest
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.erasing import liver_where_erased


@pytest.fixture
def labels():
    """Return a block of liver with a lesion inside and one that hangs over its edge by two thirds."""
    array = np.zeros((20, 30, 30), np.uint8)
    array[4:16, 5:25, 5:20] = 1
    array[7:11, 8:12, 8:12] = 2
    array[7:11, 15:21, 18:24] = 2
    return array


def erased(labels, box):
    after = labels.copy()
    after[box][after[box] == 2] = 0
    return after


def test_a_lesion_inside_leaves_liver_and_no_hole(labels):
    after = erased(labels, np.s_[:, :13, :])
    kept = after.copy()
    filled = liver_where_erased(labels, after)
    assert (filled[7:11, 8:12, 8:12] == 1).all()
    assert np.count_nonzero(filled) == np.count_nonzero(labels)
    assert np.array_equal(after, kept), "the edit itself is not changed"


def test_a_whole_lesion_that_hung_over_the_edge_leaves_liver(labels):
    filled = liver_where_erased(labels, erased(labels, np.s_[:, 13:, :]))
    assert np.array_equal(filled > 0, labels > 0)


def test_an_overhang_that_is_cut_off_stays_outside(labels):
    after = erased(labels, np.s_[:, 13:, 20:])
    assert liver_where_erased(labels, after) is after


def test_the_inner_part_of_a_lesion_becomes_liver(labels):
    filled = liver_where_erased(labels, erased(labels, np.s_[:, 13:, :20]))
    assert np.array_equal(filled > 0, labels > 0)
    assert np.count_nonzero(filled == 2) == np.count_nonzero(labels[:, :, 20:] == 2) + 4 * 4 * 4


def test_what_is_painted_or_erased_elsewhere_is_left_alone(labels):
    after = labels.copy()
    after[5, 6, 6], after[14, 20, 6], after[0, 0, 0] = 2, 0, 2
    assert liver_where_erased(labels, after) is after
    far = np.zeros_like(labels)
    far[2, 2, 2] = 2
    assert not liver_where_erased(far, np.zeros_like(far)).any()


def test_another_grid_is_refused(labels):
    with pytest.raises(InputError, match="open its own scan"):
        liver_where_erased(labels, labels[1:])
