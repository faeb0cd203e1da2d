"""What an edit by hand means beyond the voxels it touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.edits import changed_region, erased_tumor_is_liver

from .conftest import random_labels

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seeds, seeds)
def test_no_hole_is_left_where_tumor_was(seed, other):
    before, after = random_labels(seed), random_labels(other)
    given = after.copy()
    mended = erased_tumor_is_liver(before, after)
    assert np.array_equal(after, given)
    holes = (before == 2) & (after == 0)
    assert (mended[holes] == 1).all()
    assert np.array_equal(mended[~holes], after[~holes])
    assert np.array_equal(erased_tumor_is_liver(mended, mended), mended)
    region = changed_region(before, mended)
    different = np.zeros(before.shape, bool)
    if region is not None:
        different[region.box] |= region.mask
    assert np.array_equal(different, before != mended)


def test_liver_that_is_erased_is_gone(three_lesions):
    after = three_lesions.copy()
    after[2:4] = 0
    assert erased_tumor_is_liver(three_lesions, after) is after
    with pytest.raises(InputError, match="changed its size"):
        erased_tumor_is_liver(three_lesions, after[1:])
