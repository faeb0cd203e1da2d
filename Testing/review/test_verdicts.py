"""What a verdict does to the labelmap, and that it stays with its lesion."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.pipeline.lesions import find_lesions
from LiverTumorSegLib.review.totals import totals
from LiverTumorSegLib.review.verdicts import (
    VERDICTS,
    accepted_only,
    follow_edit,
    follow_network,
    judge,
    open_verdicts,
    restored_verdicts,
    stored_verdicts,
    undone,
)

from .conftest import random_labels

seeds = st.integers(0, 2**32 - 1)


def same(one, other):
    """Whether two verdicts say the same of the same voxels."""
    return one.next_number == other.next_number and [
        (x.number, x.verdict, x.region.box, x.region.mask.tobytes()) for x in one.lesions
    ] == [(x.number, x.verdict, x.region.box, x.region.mask.tobytes()) for x in other.lesions]


def by_number(verdicts):
    return {lesion.number: lesion.verdict for lesion in verdicts.lesions}


def test_a_rejected_lesion_is_liver_and_can_be_taken_back(three_lesions):
    verdicts = open_verdicts(three_lesions)
    assert [lesion.region.voxels for lesion in verdicts.lesions] == [64, 27, 8]
    rejected, labels = judge(verdicts, three_lesions, 1, "reject")
    assert (labels[4:8, 4:8, 4:8] == 1).all()
    assert (labels != three_lesions).sum() == 64
    assert (three_lesions == 2).sum() == 99, "the array that was given stays"
    assert by_number(follow_edit(rejected, labels)) == {1: "reject", 2: "", 3: ""}, "numbers stay"
    back, restored = judge(rejected, labels, 1, "accept")
    assert np.array_equal(restored, three_lesions)
    assert by_number(back) == {1: "accept", 2: "", 3: ""}


@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(st.tuples(st.integers(0, 50), st.sampled_from(VERDICTS)), max_size=12))
def test_the_labelmap_depends_on_the_last_verdict_of_each_lesion_alone(seed, spoken):
    before = random_labels(seed)
    first = open_verdicts(before)
    verdicts, labels = first, before
    for place, verdict in spoken if first.lesions else ():
        number = 1 + place % len(first.lesions)
        verdicts, labels = judge(verdicts, labels, number, verdict)
        assert same(follow_edit(verdicts, labels), verdicts), "following no edit changes nothing"
    expected = before.copy()
    for lesion in verdicts.lesions:
        if lesion.rejected:
            lesion.region.paint(expected, 1)
    assert np.array_equal(labels, expected)
    for number in range(1, len(first.lesions) + 1):
        verdicts, labels = judge(verdicts, labels, number, "")
    assert np.array_equal(labels, before), "taking every rejection back restores the labelmap"
    assert same(verdicts, first)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_numbers_are_those_of_the_report(seed):
    labels = random_labels(seed)
    parts = find_lesions(labels == 2)
    found = np.zeros_like(labels, np.int32)
    for lesion in open_verdicts(labels).lesions:
        lesion.region.paint(found, lesion.number)
    assert np.array_equal(found > 0, labels == 2)
    if parts is not None:
        assert np.array_equal(found[parts.box], parts.labels)


def test_verdicts_stay_with_their_lesions_over_edits(three_lesions):
    verdicts, labels = judge(open_verdicts(three_lesions), three_lesions, 2, "accept")
    labels = labels.copy()
    labels[10:13, 10:13, 13:20] = 2  # number 2 grows and is the largest now
    labels[4:8, 4:8, 4:8] = 1  # number 1 is erased by hand
    labels[4:6, 16:18, 4:6] = 2  # a new one
    followed = follow_edit(verdicts, labels)
    assert by_number(followed) == {2: "accept", 3: "", 4: ""}
    assert followed.lesion(2).region.voxels == 90
    labels[10:13, 10:13, 15] = 1  # and is cut in two
    followed = follow_edit(followed, labels)
    assert by_number(followed) == {2: "accept", 3: "", 4: "", 5: "accept"}
    assert followed.lesion(2).region.voxels == 45
    assert followed.lesion(5).region.voxels == 36


def test_an_edit_after_a_rejection_outlives_taking_it_back(three_lesions):
    verdicts, labels = judge(open_verdicts(three_lesions), three_lesions, 1, "reject")
    labels = labels.copy()
    labels[4, 4:8, 4:8] = 0  # the reader erased a slice of liver there
    verdicts = follow_edit(verdicts, labels)
    verdicts, labels = judge(verdicts, labels, 1, "")
    assert (labels[4, 4:8, 4:8] == 0).all()
    assert (labels[5:8, 4:8, 4:8] == 2).all()
    labels[5:8] = np.where(labels[5:8] == 2, 1, labels[5:8])
    assert 1 not in by_number(follow_edit(verdicts, labels))


def test_undoing_a_rejection_in_the_editor_is_seen(three_lesions):
    rejected, _ = judge(open_verdicts(three_lesions), three_lesions, 2, "reject")
    assert by_number(follow_edit(rejected, three_lesions)) == {1: "", 2: "", 3: ""}
    little = judge(open_verdicts(three_lesions), three_lesions, 2, "reject")[1].copy()
    little[10, 10, 10] = 2
    assert by_number(follow_edit(rejected, little)) == {1: "", 2: "reject", 3: "", 4: ""}


def test_what_was_rejected_stays_rejected_when_the_network_speaks_again(three_lesions):
    rejected, labels = judge(open_verdicts(three_lesions), three_lesions, 1, "reject")
    again = three_lesions.copy()
    again[4:8, 4:8, 8:10] = 2  # more of the same false lesion
    verdicts, labels = follow_network(rejected, again)
    assert (labels[4:8, 4:8, 4:10] == 1).all()
    assert by_number(verdicts) == {1: "reject", 2: "", 3: ""}
    assert verdicts.lesion(1).region.voxels == 96
    joined = three_lesions.copy()
    joined[8:10, 8:10, 8:10] = 2  # joined with a lesion that stands
    verdicts, labels = follow_network(rejected, joined)
    assert np.array_equal(labels, joined)
    assert by_number(verdicts) == {2: "", 3: ""}


@settings(max_examples=25, deadline=None)
@given(seeds, seeds, st.lists(st.integers(0, 50), max_size=5))
def test_what_always_holds_when_the_network_speaks_again(seed, other, places):
    labels, again = random_labels(seed), random_labels(other)
    verdicts = open_verdicts(labels)
    for place in places if verdicts.lesions else ():
        verdicts, labels = judge(verdicts, labels, 1 + place % len(verdicts.lesions), "reject")
    before = again.copy()
    followed, shown = follow_network(verdicts, again)
    assert np.array_equal(again, before)
    assert np.array_equal(shown > 0, again > 0)
    assert not ((shown == 2) & (again != 2)).any()
    covered = np.zeros(labels.shape, int)
    for lesion in followed.lesions:
        covered[lesion.region.box] += lesion.region.mask
        assert (shown[lesion.region.box][lesion.region.mask] == (1 if lesion.rejected else 2)).all()
    assert covered.max() <= 1
    assert np.array_equal(covered[shown == 2], np.ones((shown == 2).sum()))


def test_export_keeps_the_accepted_ones(three_lesions):
    verdicts, labels = judge(open_verdicts(three_lesions), three_lesions, 1, "accept")
    verdicts, labels = judge(verdicts, labels, 3, "unsure")
    kept = accepted_only(verdicts, labels)
    assert (kept == 2).sum() == 64
    assert np.array_equal(kept > 0, labels > 0)
    assert (accepted_only(verdicts, labels, also=("unsure",)) == 2).sum() == 72
    sums = totals(verdicts, (1.0, 2.0, 5.0))
    assert (sums.accepted.count, sums.all.count, sums.standing.count) == (1, 3, 3)
    assert sums.accepted.volume_ml == pytest.approx(0.64)
    assert sums.words() == "accepted 1 of 3, 0.6 of 1.0 ml; 1 unsure, 1 not looked at"


@settings(max_examples=25, deadline=None)
@given(seeds, st.lists(st.sampled_from(VERDICTS), max_size=6))
def test_verdicts_are_stored_and_come_back(seed, spoken):
    labels = random_labels(seed)
    verdicts = open_verdicts(labels)
    for lesion, verdict in zip(verdicts.lesions, spoken, strict=False):
        verdicts, labels = judge(verdicts, labels, lesion.number, verdict)
    stored = json.loads(json.dumps(stored_verdicts(verdicts)))
    assert same(restored_verdicts(stored, labels), verdicts)


def test_bad_verdicts_are_one_sentence(three_lesions):
    verdicts = open_verdicts(three_lesions)
    with pytest.raises(InputError, match="no lesion 9"):
        judge(verdicts, three_lesions, 9, "accept")
    with pytest.raises(InputError, match="no verdict"):
        judge(verdicts, three_lesions, 1, "maybe")
    stored = stored_verdicts(verdicts)
    with pytest.raises(InputError, match="another scan"):
        restored_verdicts(stored, three_lesions[:5])
    broken = [{}, {**stored, "lesions": [{**stored["lesions"][0], "mask": "!"}]}, {**stored, "lesions": None}]
    for damaged in [*broken, {**stored, "lesions": [{**stored["lesions"][0], "verdict": "x"}]}]:
        with pytest.raises(InputError, match="damaged"):
            restored_verdicts(damaged, three_lesions)


def test_the_next_one_to_look_at(three_lesions):
    verdicts, labels = judge(open_verdicts(three_lesions), three_lesions, 2, "accept")
    assert verdicts.after(1) == 3
    assert verdicts.after(3) == 1
    for number in (1, 3):
        verdicts, labels = judge(verdicts, labels, number, "unsure")
    assert verdicts.after(2) is None


def test_going_back_keeps_numbers_rejections_and_what_was_decided_since(three_lesions):
    before = open_verdicts(three_lesions)
    before, _ = judge(before, three_lesions, 2, "accept")
    before, labels = judge(before, three_lesions, 3, "reject")
    since, _ = judge(before, labels, 2, "reject")
    since, _ = judge(since, labels, 1, "unsure")
    again = undone(before, since)
    assert {lesion.number: lesion.verdict for lesion in again.lesions} == {1: "unsure", 2: "accept", 3: "reject"}
    assert again.next_number == since.next_number
