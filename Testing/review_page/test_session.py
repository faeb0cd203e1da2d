"""A reader's session without a browser: steps and their undo, saving, reopening, autosave, which files are a case."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.output.segfile import read_segmentation
from LiverTumorSegLib.review.candidate import differences
from LiverTumorSegLib.review.figures import measure_session
from LiverTumorSegLib.scan.imageio import read_case
from LiverTumorSegReview.case_files import find_case
from LiverTumorSegReview.session import ReaderSession
from LiverTumorSegReview.storage import (
    autosave,
    drop_autosave,
    open_session,
    save,
    save_dicom,
    take_autosave,
)


def state_of(session):
    """Return all that a step changes; the organ is what a preview at another threshold leaves as liver."""
    organ = session.preview(0.4).labels > 0
    return session.labels.copy(), session.verdicts, (session.shown_threshold, session.edited), organ


def assert_same_state(session, expected):
    labels, verdicts, settled, organ = state_of(session)
    assert np.array_equal(labels, expected[0])
    assert verdicts is expected[1]
    assert settled == expected[2]
    assert np.array_equal(organ, expected[3])


ACTIONS = ("accept", "reject", "unsure", "paint", "erase", "slide", "undo", "redo")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)), max_size=14))
def test_every_step_can_be_undone_and_done_again(session_of_three, actions):
    session = session_of_three(bulge=True)
    states = [state_of(session)]
    for action, n in actions:
        if action in ("undo", "redo"):
            getattr(session, action)()
            continue
        while session.can_redo:
            session.redo()
        revision = session.revision
        if action in ("accept", "reject", "unsure"):
            if session.verdicts.lesions:
                session.judge(session.verdicts.lesions[n % len(session.verdicts.lesions)].number, action)
        elif action == "slide":
            session.slide(0.1 + 0.08 * n)
        else:
            drawn = session.labels.copy()
            drawn[3 + n : 5 + n, 8:11, 14:17] = 2 if action == "paint" else 0
            session.painted(drawn)
        assert session.revision >= revision
        fresh = measure_session(session.verdicts, session.labels, session.image, session.probability)
        shown = session.rows()
        assert [(row.lesion, row.verdict, row.place) for row in shown] == [
            (x.lesion, x.verdict, x.place) for x in fresh
        ]
        if session.revision != revision:
            states.append(state_of(session))
    while session.can_redo:
        session.redo()
    for expected in reversed(states):
        assert_same_state(session, expected)
        session.undo()
    assert not session.can_undo
    for expected in states:
        assert_same_state(session, expected)
        session.redo()


def test_erased_tumor_is_liver_and_erased_liver_is_gone(labels_of_three, session_of_three):
    session = session_of_three()
    drawn = session.labels.copy()
    drawn[4:8, 4:8, 4:8] = 0
    assert session.painted(drawn), "the editor has to show the liver there"
    assert (session.labels[4:8, 4:8, 4:8] == 1).all()
    assert session.volumes_ml()["liver"] == pytest.approx((labels_of_three() > 0).sum() * 0.01)
    drawn = session.labels.copy()
    drawn[4:8, 4:8, 4:8] = 0
    assert not session.painted(drawn)
    assert (session.labels[4:8, 4:8, 4:8] == 0).all()


def test_the_slider_keeps_what_was_rejected_and_is_one_step(session_of_three):
    session = session_of_three()
    session.judge(1, "reject")
    session.slide(0.15)
    assert session.shown_threshold == 0.15
    assert [(x.number, x.verdict) for x in session.verdicts.lesions] == [(1, "reject"), (2, ""), (3, ""), (4, "")]
    assert (session.labels[5:9, 12:16, 16:20] == 2).all()
    session.undo()
    assert session.shown_threshold == 0.3
    assert (session.labels[5:9, 12:16, 16:20] == 1).all()


def test_saving_and_opening_again(labels_of_three, case):
    files = find_case(case)
    session = open_session(files, read_case(files.scan).image)
    assert session.threshold == 0.3
    session.judge(1, "accept")
    session.judge(2, "reject")
    drawn = session.labels.copy()
    drawn[5:7, 12:15, 12:15] = 2
    session.painted(drawn)
    assert not session.saved
    paths = save(files, session)
    assert session.saved
    labelmap, names = read_segmentation(paths["segmentation"])
    assert names == {"liver": 1, "tumor": 2}
    assert np.array_equal(sitk.GetArrayFromImage(labelmap), session.labels)
    accepted = sitk.GetArrayFromImage(read_segmentation(paths["accepted"])[0])
    assert (accepted == 2).sum() == 64
    with paths["lesions"].open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["number"], row["verdict"]) for row in rows] == [
        ("1", "accept"),
        ("2", "reject"),
        ("3", ""),
        ("4", ""),
    ]
    # The panel's table: as measured, not rounded.
    first = session.rows()[0]
    assert int(rows[0]["slice"]) == first.place.slice_number
    assert float(rows[0]["volume_ml"]) == first.lesion.volume_ml
    assert [float(rows[0][f"{axis}_lps_mm"]) for axis in "xyz"] == list(first.lesion.centroid_lps_mm)
    assert "accepted 1 of 4" in paths["page"].read_text(encoding="utf-8")
    original = sitk.GetArrayFromImage(read_segmentation(case / "scan.seg.nrrd")[0])
    assert np.array_equal(original, labels_of_three()), "the result of the run stays"
    again = open_session(find_case(paths["accepted"]), read_case(files.scan).image)
    assert np.array_equal(again.labels, session.labels)
    assert [(x.number, x.verdict) for x in again.verdicts.lesions] == [(1, "accept"), (2, "reject"), (3, ""), (4, "")]
    assert again.saved
    again.undo()
    assert np.array_equal(again.labels, labels_of_three()), "the network's result is one undo away"


def test_a_lesion_that_was_pointed_at_is_one_step(labels_of_three, session_of_three):
    session = session_of_three()
    found = session.look(session.probability, session.image.TransformIndexToPhysicalPoint((17, 13, 6)))
    assert session.find(found) == 4
    expected = labels_of_three()
    expected[5:9, 12:16, 16:20] = 2
    assert np.array_equal(session.labels, expected)
    assert session.edited, "the slider must ask before it replaces this"
    session.undo()
    assert np.array_equal(session.labels, labels_of_three())


def test_a_lesion_is_looked_for_from_the_threshold_that_is_shown(session_of_three):
    """At 0.95 none of the lesions, of probability 0.9, stands; one step lower the one that is pointed at shows."""
    session = session_of_three()
    session.slide(0.95)
    found = session.look(session.probability, session.image.TransformIndexToPhysicalPoint((5, 5, 5)))
    assert found.threshold == pytest.approx(0.8 * 0.95)
    session.undo()
    assert session.look(session.probability, session.image.TransformIndexToPhysicalPoint((5, 5, 5))) is None


def test_changes_of_a_second_run_are_one_step(labels_of_three, session_of_three):
    session = session_of_three()
    session.judge(1, "accept")
    candidate = labels_of_three()
    candidate[5:9, 12:16, 16:20] = 2
    candidate[14:16, 18:20, 20:22] = 1
    changes = differences(session.labels, candidate, session.original, session.verdicts)
    assert [change.kind for change in changes] == ["new", "gone"]
    session.merge(candidate, changes[:1])
    expected = labels_of_three()
    expected[5:9, 12:16, 16:20] = 2
    assert np.array_equal(session.labels, expected)
    assert [(x.number, x.verdict) for x in session.verdicts.lesions] == [(1, "accept"), (2, ""), (3, ""), (4, "")]
    session.undo()
    assert np.array_equal(session.labels, labels_of_three())


def test_of_dicom_input_the_accepted_lesions_are_saved_as_dicom_too(labels_of_three, images, tmp_path, dicom_series):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom", reason="DICOM SEG is written with highdicom")
    labels = labels_of_three()
    dicom_series(tmp_path / "dicom", images(labels)[0])
    case = read_case(tmp_path / "dicom")
    session = ReaderSession(case.image, labels, None, {"model": {"id": "liver-tumor", "version": "0.3.0"}})
    session.judge(1, "reject")
    files = find_case(tmp_path / "dicom", output=tmp_path)
    with pytest.raises(InputError, match="accept lesions first"):
        save_dicom(files, session, case.dicom_files)
    assert not list(tmp_path.glob("*.dcm"))
    session.judge(2, "accept")
    stored, report = (pydicom.dcmread(path) for path in save_dicom(files, session, case.dicom_files))
    assert (stored.Modality, report.Modality) == ("SEG", "SR")
    assert [segment.SegmentLabel for segment in stored.SegmentSequence] == ["liver", "lesion 2"]
    assert {segment.SegmentAlgorithmType for segment in stored.SegmentSequence} == {"SEMIAUTOMATIC"}
    numbers = [
        f.SegmentIdentificationSequence[0].ReferencedSegmentNumber for f in stored.PerFrameFunctionalGroupsSequence
    ]
    counts = dict.fromkeys((1, 2), 0)
    for number, plane in zip(numbers, stored.pixel_array, strict=True):
        counts[number] += int(np.count_nonzero(plane))
    assert counts == {1: (session.labels > 0).sum() - 27, 2: 27}


def test_unsaved_work_is_found_again(case):
    files = find_case(case)
    session = open_session(files, read_case(files.scan).image)
    autosave(files, session)
    assert not files.has_autosave, "nothing was done"
    session.judge(3, "reject")
    autosave(files, session)
    assert files.has_autosave
    fresh = open_session(find_case(case), read_case(files.scan).image)
    assert [x.verdict for x in fresh.verdicts.lesions] == ["", "", ""]
    take_autosave(files, fresh)
    assert [x.verdict for x in fresh.verdicts.lesions] == ["", "", "reject"]
    assert np.array_equal(fresh.labels, session.labels)
    save(files, fresh)
    assert not files.has_autosave
    drop_autosave(files)


def test_which_files_are_a_case(case, tmp_path):
    for named in (case, case / "scan.seg.nrrd", case / "scan.report.json"):
        files = find_case(named)
        assert (files.name, files.scan, files.folder) == ("scan", tmp_path / "scan.nii.gz", case)
    alone = find_case(tmp_path / "scan.nii.gz", output=tmp_path / "new")
    assert (alone.name, alone.folder, alone.has_result) == ("scan", tmp_path / "new", False)
    assert find_case(case, scan=case).scan == case
    (case / "other.seg.nrrd").write_bytes((case / "scan.seg.nrrd").read_bytes())
    with pytest.raises(InputError, match="holds 2 results"):
        find_case(case)
    with pytest.raises(InputError, match="name its CT with --scan"):
        find_case(case / "other.seg.nrrd")
    with pytest.raises(InputError, match="does not exist"):
        find_case(tmp_path / "nothing")
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(InputError, match="name it with --scan"):
        find_case(case / "scan.seg.nrrd")


def test_a_result_of_another_scan_is_refused(case):
    files = find_case(case)
    with pytest.raises(InputError, match="other labels"):
        ReaderSession(read_case(files.scan).image, np.full((20, 24, 28), 7, np.uint8))
    with pytest.raises(InputError, match="grid of the scan"):
        ReaderSession(read_case(files.scan).image, np.zeros((3, 3, 3), np.uint8))
