"""Merging a second run: the algebra of changes, and that nothing edited is lost without a word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.candidate import ADDED, REMOVED, difference_labels, differences, merge, without_loss
from LiverTumorSegLib.review.verdicts import judge, open_verdicts

from .conftest import random_labels

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds, seeds, st.randoms(use_true_random=False))
def test_none_is_the_edited_one_all_is_the_candidate(seed, other, random):
    edited, candidate = random_labels(seed), random_labels(other)
    kept = edited.copy(), candidate.copy()
    changes = differences(edited, candidate)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    assert np.array_equal(merge(edited, candidate, ()), edited)
    assert np.array_equal(merge(edited, candidate, changes), candidate)
    assert not differences(edited, edited)
    some = [change for change in changes if random.random() < 0.5]
    rest = [change for change in changes if change not in some]
    merged = merge(edited, candidate, some)
    assert np.array_equal(merge(merged, candidate, rest), candidate), "the order is of no importance"
    assert np.array_equal(merge(merged, candidate, some), merged), "twice is once"
    assert (merged != edited).sum() == sum(change.region.voxels for change in some)
    assert np.array_equal(edited, kept[0])
    assert np.array_equal(candidate, kept[1])
    lesions = [change for change in changes if change.kind != "outline"]
    shown = difference_labels(edited, candidate)
    assert (shown == ADDED).sum() == sum(change.added for change in lesions)
    assert (shown == REMOVED).sum() == sum(change.removed for change in lesions)


def test_each_lesion_is_one_change(three_lesions):
    candidate = three_lesions.copy()
    candidate[4:8, 4:8, 4:8] = 1  # number 1 is gone
    candidate[10:13, 10:13, 13:15] = 2  # number 2 grew
    candidate[14:16, 4:6, 4:6] = 2  # a new one
    candidate[2, 2, 2] = 0  # and the outline
    changes = differences(three_lesions, candidate)
    assert [(c.kind, c.added, c.removed) for c in changes] == [
        ("gone", 0, 64),
        ("changed", 18, 0),
        ("new", 8, 0),
        ("outline", 0, 1),
    ]
    merged = merge(three_lesions, candidate, changes[1:2])
    assert (merged != three_lesions).sum() == 18
    assert (merged[10:13, 10:13, 10:15] == 2).all()


def test_what_would_be_lost_is_said(three_lesions):
    before = three_lesions
    edited = before.copy()
    edited[14:16, 18:20, 22:24] = 2  # the reader enlarged number 3 by hand
    verdicts, edited = judge(open_verdicts(edited), edited, 1, "reject")
    candidate = before.copy()
    candidate[10:13, 10:13, 13:15] = 2  # what the second run found more of
    changes = differences(edited, candidate, before, verdicts)
    marks = {(c.kind, c.added, c.removed): (c.undoes_edit, c.was_rejected) for c in changes}
    assert marks == {
        ("new", 64, 0): (False, True),
        ("changed", 18, 0): (False, False),
        ("changed", 0, 8): (True, False),
    }
    merged = merge(edited, candidate, without_loss(changes))
    assert (merged[4:8, 4:8, 4:8] == 1).all()
    assert (merged[14:16, 18:20, 20:24] == 2).all()
    assert (merged[10:13, 10:13, 10:15] == 2).all()


def test_other_grids_are_refused(three_lesions):
    with pytest.raises(InputError, match="segment the same scan again"):
        differences(three_lesions, three_lesions[:4])
