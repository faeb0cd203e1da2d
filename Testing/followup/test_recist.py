"""RECIST 1.1 as published (Eisenhauer et al., Eur J Cancer 2009), and what labelmaps come to under it."""

import dataclasses
import re

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.followup.changes import choose_targets, measure_changes
from LiverTumorSegLib.followup.cli import compare
from LiverTumorSegLib.followup.recist import response_at, target_response
from LiverTumorSegLib.followup.registration import IDENTITY
from LiverTumorSegLib.followup.report import write_report
from LiverTumorSegLib.followup.response import assess
from LiverTumorSegLib.followup.timepoints import TimePoint
from LiverTumorSegLib.followup.tracking import follow
from LiverTumorSegLib.labels import IGNORE

CR, PR, SD, PD = "complete response", "partial response", "stable disease", "progressive disease"
PERSISTS, NE = "non-CR/non-PD", "not evaluable"
ANY = (None, CR, PERSISTS, NE, PD)

TABLE_1 = [
    # target, non-target (each of them), new (each of them), overall
    (CR, (None, CR), (False,), CR),
    (CR, (PERSISTS,), (False,), PR),
    (CR, (NE,), (False,), PR),
    (PR, (None, CR, PERSISTS, NE), (False,), PR),
    (SD, (None, CR, PERSISTS, NE), (False,), SD),
    (NE, (None, CR, PERSISTS, NE), (False,), NE),
    (PD, ANY, (False, True), PD),
    *((target, (PD,), (False, True), PD) for target in (CR, PR, SD, NE)),
    *((target, ANY, (True,), PD) for target in (CR, PR, SD, NE)),
]
TABLE_2 = [
    (None, (CR,), (False,), CR),
    (None, (PERSISTS,), (False,), PERSISTS),
    (None, (NE,), (False,), NE),
    (None, (PD,), (False, True), PD),
    (None, ANY, (True,), PD),
]


@pytest.mark.parametrize(("target", "nontargets", "news", "overall"), [*TABLE_1, *TABLE_2])
def test_the_published_tables(target, nontargets, news, overall):
    assert {response_at(target, nontarget, new) for nontarget in nontargets for new in news} == {overall}


def test_no_disease_has_no_response():
    assert response_at(None, None, new=False) == NE


@pytest.mark.parametrize(
    ("baseline", "smallest", "now", "evaluated", "expected"),
    [
        (50.0, 50.0, 0.0, True, CR),
        (50.0, 0.0, 0.0, True, CR),
        # At least 30 % less than the baseline.
        (50.0, 50.0, 35.0, True, PR),
        (50.0, 50.0, 35.1, True, SD),
        (50.0, 30.0, 34.9, True, PR),
        # At least 20 % and 5 mm more than the smallest sum, which goes before any shrinkage since the baseline.
        (25.0, 25.0, 30.0, True, PD),
        (25.0, 25.0, 29.9, True, SD),
        (20.0, 20.0, 24.9, True, SD),
        (20.0, 20.0, 25.0, True, PD),
        (35.0, 35.0, 42.0, True, PD),
        (90.0, 90.0, 107.9, True, SD),
        (100.0, 40.0, 48.0, True, PD),
        (100.0, 0.0, 5.0, True, PD),
        (100.0, 0.0, 4.9, True, PR),
        # Without a target whose place is not seen: what is measured can show progression and nothing else.
        (50.0, 50.0, 0.0, False, NE),
        (50.0, 50.0, 20.0, False, NE),
        (50.0, 50.0, 50.0, False, NE),
        (50.0, 50.0, 60.0, False, PD),
    ],
)
def test_the_response_of_target_lesions(baseline, smallest, now, evaluated, expected):
    assert target_response(now, baseline, smallest, evaluated) == expected


A, B, C, D = (30.0, 40.0, 40.0), (30.0, 80.0, 80.0), (70.0, 40.0, 80.0), (70.0, 80.0, 40.0)
PLACES = {"A": A, "B": B, "C": C, "D": D, "E": (50.0, 60.0, 60.0)}


def scan(lesions, unknown="", slices=slice(None)):
    """Draw a block of liver with balls "A12 B10" (place and radius in mm), and unknown where the name says."""
    labels = np.zeros((50, 60, 60), np.uint8)
    labels[3:-3, 3:-3, 3:-3] = 1
    at = np.stack(np.meshgrid(*(np.arange(n) * 2.0 for n in labels.shape), indexing="ij"), axis=-1)
    for text, value in ((lesions, 2), (unknown, IGNORE)):
        for name in text.split():
            labels[((at - PLACES[name[0]]) ** 2).sum(axis=-1) <= float(name[1:]) ** 2] = value
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((2.0, 2.0, 2.0))
    return TimePoint(f"{lesions or 'none'} {unknown}", image[:, :, slices])


def assessed(*points):
    """Return the assessments of scans that lie on each other, and each lesion's course."""
    alignments = [IDENTITY] * len(points)
    tracks = follow(list(points), alignments)
    targets = choose_targets(points[0])
    found = assess(list(points), tracks, targets, alignments)
    return found, [change.event for change in measure_changes(list(points), tracks, targets, alignments)]


BASELINE = scan("A14 B13 C10 D9")


def test_targets_that_vanish_while_another_lesion_grows_are_no_complete_response():
    (found,), _ = assessed(BASELINE, scan("C13"))
    assert (found.target_response, found.nontarget_response) == (CR, PERSISTS)
    assert found.category == found.category_without_new == PR
    assert found.grown_nontargets == (3,)
    assert "Of 2 lesions of the baseline that are no target, 1 is still seen." in found.wording
    assert re.search(r"Lesion 3, no target, grew from 2[0-3]\.\d mm to 2[6-9]\.\d mm", found.wording)
    assert "unequivocal progression" in found.wording
    assert "By size alone this would correspond to partial response." in found.wording
    assert CR not in found.wording


@pytest.mark.parametrize(
    ("later", "without_new"), [("E9", CR), ("C10 E9", PR), ("A14 B13 E9", SD)], ids=["all gone", "one left", "stable"]
)
def test_a_new_lesion_is_progression_and_the_reader_confirms_it(later, without_new):
    (found,), _ = assessed(BASELINE, scan(later))
    assert (found.category, found.category_without_new, found.new_lesions) == (PD, without_new, (5,))
    assert f"By size alone this would correspond to {without_new}. 1 lesion without a partner" in found.wording
    assert "if a reader confirms a new lesion, that alone would be progressive disease" in found.wording


def test_a_new_lesion_stays_new_and_a_speck_becomes_one_when_it_grows():
    found, _ = assessed(BASELINE, scan("A14 B13 E9"), scan("E9"))
    assert [(one.category, one.new_lesions) for one in found] == [(PD, (5,)), (PD, (5,))]
    found, _ = assessed(BASELINE, scan("A14 B13 E1"), scan("A14 B13 E9"))
    assert [(one.category, one.new_lesions) for one in found] == [(SD, ()), (PD, (5,))]


def test_all_gone_is_a_complete_response_and_what_comes_back_is_progression():
    found, events = assessed(BASELINE, scan(""), scan("D4"))
    assert [one.category for one in found] == [CR, PD]
    assert "Lesion 4 came back after a complete response" in found[1].wording
    assert events == ["vanished"] * 3 + ["came back"]
    # Without a complete response before, it is measured on and nothing more.
    found, _ = assessed(BASELINE, scan("A6"), scan("A6 D4"))
    assert [one.category for one in found] == [PR, PR]
    assert found[1].grown_nontargets == ()


@pytest.mark.parametrize(
    ("later", "hidden"),
    [(scan("", "A14"), (1,)), (scan("C10", "A8 B14"), (1, 2)), (scan("C10", slices=slice(20, None)), (1, 2))],
    ids=["unknown", "partly unknown", "outside"],
)
def test_a_target_whose_place_is_not_seen_has_not_gone(later, hidden):
    (found,), events = assessed(BASELINE, later)
    assert (found.category, found.hidden_lesions) == (NE, hidden)
    assert found.against_baseline is None
    assert "at least 0.0 mm" in found.wording
    assert "complete the segmentation and compare again" in found.wording
    assert [events[number - 1] for number in hidden] == ["place not seen"] * len(hidden)
    assert events[3] == "vanished"


@pytest.mark.parametrize(("baseline", "expected"), [("", NE), ("A14 B13", PR)], ids=["no other", "targets gone"])
def test_what_appears_where_the_baseline_is_unknown_need_not_be_new(baseline, expected):
    (found,), events = assessed(scan(baseline, "E9"), scan("E8"))
    assert (found.category, found.new_lesions, found.hidden_lesions) == (expected, (), (len(events),))
    assert "unknown in the baseline, so nothing tells whether it is new" in found.wording
    assert events[-1] == "place not seen"


def test_what_appears_outside_the_baseline_is_new():
    (found,), _ = assessed(scan("C10", slices=slice(30, None)), scan("C10 A9"))
    assert (found.category, found.category_without_new, found.new_lesions) == (PD, SD, (2,))


def test_the_page_tells_no_sum_that_lacks_a_target(tmp_path):
    pytest.importorskip("matplotlib", reason="charts are drawn by matplotlib")
    pytest.importorskip("jinja2", reason="the page is made by jinja2")
    points = [BASELINE, scan("C10", "A14"), BASELINE]
    followup = compare(points)
    write_report(tmp_path / "report.html", followup, pictured=1)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>57.2</td><td>\u2014</td><td>57.2</td>" in page
    assert "the place is marked as unknown" in page


def test_progression_is_seen_without_the_target_that_is_not():
    (found,), _ = assessed(scan("B10 A6"), scan("B22", "A6"))
    assert (found.category, found.hidden_lesions) == (PD, (2,))


def test_another_lesion_whose_place_is_not_seen_makes_no_complete_response():
    (found,), _ = assessed(BASELINE, scan("", "D9"))
    assert (found.target_response, found.nontarget_response, found.category) == (CR, NE, PR)


def test_a_sum_without_a_hidden_target_is_no_smallest_sum():
    found, _ = assessed(BASELINE, scan("B13 C10 D9", "A14"), BASELINE)
    assert [one.category for one in found] == [NE, SD]
    assert found[1].against_smallest == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("later", "expected"), [("D3", PERSISTS), ("D12", PERSISTS), ("", CR), ("D3 A6", PD)], ids=str
)
def test_a_baseline_without_targets_goes_by_the_other_lesions(later, expected):
    (found,), _ = assessed(scan("D3"), scan(later))
    assert (found.target_response, found.category) == (None, expected)
    assert "no measurable target lesion" in found.wording
    assert ("unequivocal progression" in found.wording) == (later == "D12")


def test_without_any_lesion_there_is_nothing_to_follow():
    (found,), _ = assessed(scan(""), scan(""))
    assert found.category == NE
    assert found.wording.endswith("No category can be computed: there is no lesion to follow.")


def test_livers_apart_are_not_evaluable_whatever_is_found():
    points, apart = [BASELINE, scan("E9")], dataclasses.replace(IDENTITY, liver_dice=0.3)
    tracks = follow(points, [IDENTITY, apart])
    (found,) = assess(points, tracks, choose_targets(BASELINE), [IDENTITY, apart])
    assert (found.category, found.category_without_new) == (NE, NE)
