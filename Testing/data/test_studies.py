"""DICOM studies with RTSTRUCT or SEG: read onto the CT's own grid, or refused in words."""

import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.imageio import read_case
from study_files import contours_of, write_rtstruct, write_study

from LiverTumorSegTraining.data.dataset import find_cases, list_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.data.reading import read_channels, read_label
from LiverTumorSegTraining.data.studies.contours import contour_masks
from LiverTumorSegTraining.data.verify import main as verify
from LiverTumorSegTraining.data.verify import verify_cases
from LiverTumorSegTraining.recipe.config import DataConfig

pytest.importorskip("highdicom", reason="DICOM SEG is read with highdicom")


@pytest.fixture(scope="module")
def studies(make, tmp_path_factory):
    """Three studies of two patients: RTSTRUCT, SEG, and one without labels."""
    root = tmp_path_factory.mktemp("studies")
    write_study(root / "p1", *make["scan"](0), "rtstruct", PatientID="one")
    write_study(root / "p2_early", *make["scan"](1), "seg", {1: "Liver", 2: "Tumour"}, PatientID="two")
    write_study(root / "p2_late", *make["scan"](2), "seg", PatientID="two")
    (root / "p2_late" / "labels.dcm").unlink()
    return root


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
@pytest.mark.parametrize("turn", [0.0, 7.0])
def test_what_was_drawn_comes_back_voxel_for_voxel(kind, turn, make, make_ct, tmp_path):
    angle = np.radians(turn)
    direction = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    image = make_ct(size=(56, 48, 24), spacing=(3.9, 4.1, 3), direction=direction)
    label = sitk.GetImageFromArray(sitk.GetArrayFromImage(make["scan"](3)[1]))
    label.CopyInformation(image)
    write_study(tmp_path / "p1", image, label, kind)
    (case,) = find_cases(tmp_path, DataConfig())
    scan = read_channels(case, ["CT"])[0]
    found = sitk.GetArrayFromImage(read_label(case, DataConfig(), scan))
    assert np.array_equal(found, sitk.GetArrayFromImage(label))
    assert np.array_equal(sitk.GetArrayFromImage(read_label(case, DataConfig())), found)


def test_studies_are_recognised_and_patients_kept_together(studies, tiny):
    cases = list_cases(studies, DataConfig())
    assert [(case.name, case.patient, case.label is not None) for case in cases] == [
        ("p1", "p1", True),
        ("p2_early", "p2_early", True),
        ("p2_late", "p2_early", False),
    ]
    config = in_agreement(tiny(), studies)
    prepared = prepare(cases[0], config)
    assert set(np.unique(prepared.label)) >= {0, 1, 2}
    assert prepared.slice_mm == pytest.approx(3.0)


def test_verify_says_what_it_found_and_what_is_missing(studies, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    assert verify([str(studies), "--json", str(tmp_path / "found.json")]) == 3
    told = capsys.readouterr().out
    assert "p2_late │ no_annotation │ there is no label file" in told
    assert "liver: 'Liver' (2)" in told
    assert "tumor: 'GTV 1' (1), 'Tumour' (1)" in told
    assert [p["code"] for p in json.loads((tmp_path / "found.json").read_text())["problems"]] == ["no_annotation"]


def test_folders_of_the_cancer_imaging_archive(make, tmp_path):
    for patient in ("A", "B"):
        folder = write_study(tmp_path / patient / "abdomen", *make["scan"](ord(patient)), "seg", PatientID=patient)
        (folder / "seg").mkdir()
        (folder / "labels.dcm").rename(folder / "seg" / "1-1.dcm")
    cases = find_cases(tmp_path, DataConfig())
    assert [case.name for case in cases] == ["A_abdomen", "B_abdomen"]
    assert verify_cases(cases, DataConfig()) == []


def test_a_hole_in_a_contour_and_contours_in_any_order(make, tmp_path):
    image, label = make["scan"](0)
    drawn = sitk.GetArrayFromImage(label) > 0
    drawn[8:16, 20:28, 14:22] = False
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    scan = read_case(study / "ct").image
    for seed in range(3):
        write_rtstruct(study / "labels.dcm", scan, [("liver", drawn)], study / "ct", seed)
        ((name, mask),) = contour_masks(study / "labels.dcm", grid_of(scan))
        assert name == "liver"
        assert np.array_equal(mask, drawn)


def grid_of(image):
    from LiverTumorSegLib.grid import Grid

    return Grid.of(image)


def test_two_structures_of_one_name_are_united(make, tmp_path):
    image, label = make["scan"](0)
    array = sitk.GetArrayFromImage(label)
    left, right = array > 0, array > 0
    left[..., 20:], right[..., :18] = False, False
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    structures = [("Liver", left), ("Liver", right), ("Lesion_1", array == 2)]
    write_rtstruct(study / "labels.dcm", image, structures, study / "ct")
    (case,) = find_cases(tmp_path, DataConfig())
    assert np.array_equal(sitk.GetArrayFromImage(read_label(case, DataConfig())), array)


def test_a_seg_with_fewer_frames_than_slices(make, tmp_path):
    image, label = make["scan"](0)
    study = write_study(tmp_path / "p1", image, label, "seg")
    slices = np.flatnonzero(sitk.GetArrayFromImage(label).any(axis=(1, 2)))
    assert len(slices) < image.GetSize()[2]
    frames = pydicom.dcmread(study / "labels.dcm").NumberOfFrames
    assert frames < 2 * image.GetSize()[2]
    (case,) = find_cases(tmp_path, DataConfig())
    assert np.array_equal(sitk.GetArrayFromImage(read_label(case, DataConfig())), sitk.GetArrayFromImage(label))


def test_a_seg_of_one_slice(make, tmp_path):
    image, label = make["scan"](0)
    array = sitk.GetArrayFromImage(label)
    array[:12], array[13:] = 0, 0
    label = make["image"](array)
    write_study(tmp_path / "p1", image, label, "seg")
    (case,) = find_cases(tmp_path, DataConfig())
    assert np.array_equal(sitk.GetArrayFromImage(read_label(case, DataConfig())), array)


def refused(make, tmp_path, **changes):
    image, label = make["scan"](0)
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    array = sitk.GetArrayFromImage(label)
    write_rtstruct(study / "labels.dcm", image, [("liver", array > 0)], study / "ct", **changes)
    (case,) = find_cases(tmp_path, DataConfig())
    problems = verify_cases([case], DataConfig())
    assert len(problems) == 1
    assert problems[0].code in ("unreadable_label", "unreadable_image")
    return problems[0].message


def test_labels_that_do_not_belong_to_the_ct_are_refused_in_words(make, tmp_path):
    message = refused(make, tmp_path / "a", frame="1.2.3")
    assert message.startswith("labels.dcm was drawn in other coordinates (frame of reference)")
    message = refused(make, tmp_path / "b", series_uid="1.2.3.4")
    assert "was drawn on the series 1.2.3.4, which the folder does not hold" in message
    message = refused(make, tmp_path / "c", contour=lambda points: points + np.array([0, 0, 1.4]))
    assert "has a contour between the slices of the CT" in message
    message = refused(make, tmp_path / "d", contour=lambda points: points + np.array([0, 0, 90]))
    assert "reaches beyond the CT" in message


def test_contours_on_every_second_slice_are_refused(make, tmp_path):
    image, label = make["scan"](0)
    array = sitk.GetArrayFromImage(label) > 0
    array[1::2] = False
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    write_rtstruct(study / "labels.dcm", image, [("liver", array)], study / "ct")
    (problem,) = verify_cases(find_cases(tmp_path, DataConfig()), DataConfig())
    assert "contours on one slice in 2 only" in problem.message


def test_unknown_structures_are_listed_mapped_or_left_out(make, tmp_path, tiny):
    image, label = make["scan"](0)
    array = sitk.GetArrayFromImage(label)
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    body = sitk.GetArrayFromImage(image) > -500
    structures = [("Hepar 1", array > 0), ("Herd", array == 2), ("BODY", body)]
    write_rtstruct(study / "labels.dcm", image, structures, study / "ct")
    cases = find_cases(tmp_path, DataConfig())
    (problem,) = verify_cases(cases, DataConfig())
    assert problem.code == "label_values"
    assert problem.message.startswith("the structures Herd, BODY are none of the labels liver, tumor")
    with pytest.raises(InputError, match=r"holds the structures Herd \(1\), BODY \(1\), which are none of the labels"):
        in_agreement(tiny(), tmp_path)
    (tmp_path / "structures.json").write_text('{"herd": "Tumour", "*": null}')
    assert verify_cases(cases, DataConfig()) == []
    in_agreement(tiny(), tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(read_label(cases[0], DataConfig())), array)
    # A label of that name is a label, whatever * says.
    three = DataConfig(labels=["liver", "tumor", "body"])
    assert set(np.unique(sitk.GetArrayFromImage(read_label(cases[0], three)))) == {0, 1, 2, 3}


def test_a_wrong_structures_file_and_a_damaged_object_are_sentences(make, tmp_path):
    study = write_study(tmp_path / "p1", *make["scan"](0), "rtstruct")
    (case,) = find_cases(tmp_path, DataConfig())
    (tmp_path / "structures.json").write_text('{"Liver": 1}')
    with pytest.raises(InputError, match=r"structures\.json cannot be used: it must be an object"):
        read_label(case, DataConfig())
    (tmp_path / "structures.json").unlink()
    raw = (study / "labels.dcm").read_bytes()
    (study / "labels.dcm").write_bytes(raw[: len(raw) // 2])
    (problem,) = verify_cases([case], DataConfig())
    assert "labels.dcm" in problem.message


def test_two_versions_of_a_label_are_doubted(make, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    image, label = make["scan"](0)
    study = write_study(tmp_path / "p1", image, label, "rtstruct")
    write_rtstruct(study / "older.dcm", image, [("liver", sitk.GetArrayFromImage(label) > 0)], study / "ct")
    assert verify([str(tmp_path)]) == 0
    assert "p1 holds liver in 2 objects (labels.dcm, older.dcm), whose union is taken" in capsys.readouterr().out


def test_outlines_are_where_the_mask_is(make):
    image, label = make["scan"](0)
    points = np.concatenate(contours_of(sitk.GetArrayFromImage(label) > 0, grid_of(image)))
    index = grid_of(image).index(points)
    inside, half = np.argwhere(sitk.GetArrayFromImage(label) > 0)[:, ::-1], np.array([0.5, 0.5, 0])
    assert np.allclose(index.min(0) + half, inside.min(0))
    assert np.allclose(index.max(0) - half, inside.max(0))
