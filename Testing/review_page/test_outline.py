"""Another sensitivity beside corrections by hand: the liver's outline stays, what it replaces is asked for, undo."""

import json

import numpy as np
import pytest
from LiverTumorSegLib.scan.imageio import read_case
from LiverTumorSegReview.case_files import find_case
from LiverTumorSegReview.storage import open_session, save


def without_a_slab(session):
    """Return what the reader drew who erased false liver, and added some that was missed."""
    drawn = session.labels.copy()
    drawn[2:18, 2:4, 2:26] = 0
    drawn[2:18, 22:23, 2:26] = 1
    return drawn


def test_another_sensitivity_keeps_the_outline_of_the_liver_that_was_drawn(session_of_three):
    session = session_of_three()
    session.slide(0.15)
    session.slide(0.3)
    drawn = without_a_slab(session)
    session.painted(drawn)
    expected = drawn.copy()
    expected[5:9, 12:16, 16:20] = 2
    assert np.array_equal(session.preview(0.15).labels, expected)
    session.slide(0.15)
    assert np.array_equal(session.labels, expected)
    session.slide(0.3)
    assert np.array_equal(session.labels, drawn)


def test_of_a_stroke_over_a_preview_only_the_stroke_is_taken(session_of_three):
    session = session_of_three()
    drawn = session.labels.copy()
    drawn[14:16, 18:20, 20:22] = 1
    session.painted(drawn)
    preview = session.preview(0.15).labels
    stroke = preview.copy()
    stroke[5:7, 6:9, 20:22] = 2
    stroke[5:9, 12:16, 16:20] = 0
    assert session.painted(stroke, preview), "the editor has to show the session again"
    expected = drawn.copy()
    expected[5:7, 6:9, 20:22] = 2
    assert np.array_equal(session.labels, expected)


def test_corrections_that_stand_again_are_asked_for_again(labels_of_three, session_of_three):
    session = session_of_three()
    session.painted(without_a_slab(session))
    session.slide(0.15)
    assert not session.edited, "the tumours are the network's"
    session.undo()
    assert session.edited
    session.undo()
    assert not session.edited
    session.slide(0.15)
    assert np.array_equal(session.labels > 0, labels_of_three() > 0)


def test_tumor_beyond_the_outline_is_none_of_the_organ_unless_it_was_drawn(labels_of_three, session_of_three):
    session = session_of_three(bulge=True)
    session.slide(0.15)
    bulge = session.beyond_organ
    assert bulge is not None
    assert bulge.voxels == (session.labels > 0).sum() - (labels_of_three() > 0).sum()
    session.painted(without_a_slab(session))
    session.slide(0.3)
    assert session.beyond_organ is None
    assert not session.labels[bulge.box].any(), "nobody drew liver there"


@pytest.mark.parametrize("edited", [True, False])
def test_a_reopened_review_goes_on_with_its_outline_and_sensitivity(labels_of_three, case, edited):
    files = find_case(case)
    image = read_case(files.scan).image
    session = open_session(files, image)
    session.slide(0.15)
    if edited:
        session.painted(without_a_slab(session))
    session.judge(1, "accept")
    save(files, session)
    again = open_session(files, image)
    assert (again.shown_threshold, again.edited) == (0.15, edited)
    for each in (session, again):
        each.slide(0.3)
    assert np.array_equal(again.labels, session.labels)
    assert np.array_equal(again.labels > 0, without_a_slab(again) > 0) is edited
    again.undo()
    again.undo()
    assert np.array_equal(again.labels, labels_of_three())
    assert (again.shown_threshold, again.edited) == (0.3, False)


def test_a_review_of_an_earlier_version_keeps_its_outline(case):
    files = find_case(case)
    image = read_case(files.scan).image
    session = open_session(files, image)
    drawn = without_a_slab(session)
    session.painted(drawn)
    save(files, session)
    review = files.of("reviewed.json")
    stored = json.loads(review.read_text(encoding="utf-8"))
    review.write_text(json.dumps({key: stored[key] for key in ("next_number", "lesions")}), encoding="utf-8")
    again = open_session(files, image)
    assert again.edited
    again.slide(0.15)
    assert np.array_equal(again.labels > 0, drawn > 0)
