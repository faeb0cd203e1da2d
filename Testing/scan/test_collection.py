"""A folder of many scans: everything in it is taken or named, and nothing that this program wrote is taken."""

import json
import shutil

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.scan.collection import LABELS, LOOSE_SLICES, scans_in, study_of


@pytest.fixture
def small(make_ct):
    return make_ct((8, 8, 3))


@pytest.fixture
def image(small, tmp_path):
    """Return a function that writes an image below the folder of scans."""

    def write(name):
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(small, str(path))
        return path

    return write


@pytest.fixture
def study(small, dicom_series, tmp_path):
    """Return a function that writes a DICOM series below the folder of scans, by itself a study of its own."""

    def write(name, uid=None, **options):
        folder = tmp_path / "scans" / name
        dicom_series(folder, small, **options, **({} if uid is None else {"StudyInstanceUID": uid}))
        return folder

    return write


@pytest.fixture
def held(tmp_path):
    """Return a function that gives the scans of the folder and what was left out, by their paths in it."""

    def look(folder="scans", output=None):
        root = tmp_path / "scans"
        found = scans_in(tmp_path / folder, ("CT",), output)
        told = {path.relative_to(root).as_posix(): kind for path, kind in found.left_out.items()}
        return [path.relative_to(root).as_posix() for path in found.scans], told

    return look


def test_studies_and_images_side_by_side_are_all_taken(image, study, held):
    study("pat1")
    study("pat2")
    image("pat3.nii.gz")
    image("more/pat4.nrrd")
    study("more/pat5")
    assert held() == (["more/pat4.nrrd", "more/pat5", "pat1", "pat2", "pat3.nii.gz"], {})


def test_an_image_among_the_slices_of_a_study(image, study, held, tmp_path):
    study("")
    image("old export.nrrd")
    assert held() == ([".", "old export.nrrd"], {})
    (tmp_path / "scans" / "old export.nrrd").unlink()
    assert held() == (["."], {})


def test_a_study_whose_slices_lie_at_two_levels_is_one_scan(study, image, held):
    study("", uid="1.2.3")
    study("bone", uid="1.2.3")
    assert held() == (["."], {})
    image("more.nii")
    assert held() == ([".", "more.nii"], {})


def test_slices_beside_folders_of_other_studies_are_named(study, held):
    study("")
    study("pat1")
    study("pat2")
    assert held() == (["pat1", "pat2"], {".": LOOSE_SLICES})


def test_what_is_called_a_label_is_named(image, held, tmp_path):
    for name in ("pat1_CT_segmental_resection.nii.gz", "pat2 seg 4 HCC.nii.gz", "pat3.nii.gz", "labels/pat3_mask.nii"):
        image(name)
    taken, left_out = held()
    assert taken == ["pat1_CT_segmental_resection.nii.gz", "pat3.nii.gz"]
    assert left_out == dict.fromkeys(("pat2 seg 4 HCC.nii.gz", "labels/pat3_mask.nii"), LABELS)
    (finding,) = scans_in(tmp_path / "scans", ("CT",)).findings()
    assert finding.message == (
        "Left out as labels, by their names: pat2 seg 4 HCC.nii.gz, pat3_mask.nii. "
        "To segment a file all the same, name it by itself."
    )


def test_many_labels_are_one_sentence(image, held, tmp_path):
    for number in range(12):
        image(f"pat{number:02}_label.nii")
    (finding,) = scans_in(tmp_path / "scans", ("CT",)).findings()
    assert "pat09_label.nii and 2 more." in finding.message


def test_results_inside_the_folder_are_no_scans(image, study, held, tmp_path):
    study("anna")
    study("ben")
    image("cara.nii")
    whole = (["anna", "ben", "cara.nii"], {})
    for ending in ("seg.nrrd", "tumor-probability.nrrd", "uncertainty.nrrd", "attention.nrrd", "reviewed.seg.nrrd"):
        image(f"results/anna.{ending}")
        image(f"cara.{ending}")
    assert held() == whole
    # A NIfTI segmentation is told by the report beside it, a DICOM SEG by its modality.
    image("results/anna.nii.gz")
    image("ben.nii.gz")
    for report, file in (("results/anna", "anna.nii.gz"), ("ben", "ben.nii.gz"), ("cara", "cara.seg.nrrd")):
        content = json.dumps({"asked": {"files": [file]}})
        (tmp_path / "scans" / f"{report}.report.json").write_text(content, encoding="utf-8")
    study("results/seg", modality="SEG")
    assert held() == whole
    # Whatever lies there: the folder of this run's results is not looked into.
    image("results/anything.nii.gz")
    assert held(output=tmp_path / "scans" / "results") == whole
    assert held() != whole


def test_hidden_files_are_no_scans(image, study, held, tmp_path):
    image("a.nii.gz")
    study("b", names=["1.dcm", "2.dcm", "3.dcm"])
    root = tmp_path / "scans"
    for name in ("._a.nii.gz", "b/._1.dcm"):
        (root / name).write_bytes(b"\0\5\x16\7" * 100)
    shutil.copytree(root / "b", root / ".cache")
    assert held() == (["a.nii.gz", "b"], {})


def test_a_link_to_a_scan_that_is_gone_is_still_a_scan(image, held, tmp_path):
    image("a.nii.gz")
    (tmp_path / "scans" / "b.nii.gz").symlink_to(tmp_path / "nowhere.nii.gz")
    assert held() == (["a.nii.gz", "b.nii.gz"], {})


def test_the_study_of_files_of_which_some_are_cut(study):
    """Cut anywhere, the first file never keeps the next one from telling the study."""
    folder = study("a", uid="1.2.3", names=["1.dcm", "2.dcm", "3.dcm"])
    first, second = folder / "1.dcm", folder / "2.dcm"
    content = first.read_bytes()
    for length in range(0, len(content), 5):
        first.write_bytes(content[:length])
        assert study_of([first, second]) == "1.2.3"
        assert study_of([first]) in ("", "1.2.3")
    assert study_of([folder / "DICOMDIR"]) is None


def test_two_studies_that_begin_with_a_damaged_file_are_two_scans(study, held):
    for name in ("a", "b"):
        (study(name, names=["1.dcm", "2.dcm", "3.dcm"]) / "0.dcm").write_bytes(b"<html>not found</html>" * 30)
    assert held() == (["a", "b"], {})


def test_two_series_of_one_study_of_which_one_begins_with_a_damaged_file(study, held):
    study("a", uid="1.2.3")
    (study("b", uid="1.2.3") / "0.dcm").write_bytes(b"<html>not found</html>" * 30)
    assert held() == (["."], {})


def test_a_folder_of_damaged_dicom_files_is_not_passed_over(study, held):
    study("a")
    folder = study("b")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:200])
    assert held() == (["a", "b"], {})
