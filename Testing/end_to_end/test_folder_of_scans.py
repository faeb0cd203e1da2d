"""A folder of scans: images, case folders, DICOM studies; finished ones are skipped, one table and page over all."""

import csv
import json
import shutil

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main
from LiverTumorSegLib.scan.collection import scans_in


@pytest.fixture(scope="module")
def run(models):
    def run_here(folder, output, *options):
        fixed = ["--device", "cpu", "--quality", "quick", "--workers", "1"]
        with pytest.MonkeyPatch.context() as during:
            during.setenv("LIVERTUMORSEG_MODELS", str(models))
            code = main([str(folder), "--output", str(output), *fixed, *options])
        with (output / "summary.csv").open(newline="") as stream:
            rows = {row["case"]: row for row in csv.DictReader(stream)}
        return code, rows

    return run_here


@pytest.fixture(scope="module")
def done(make_phantom, run, tmp_path_factory):
    """Return a folder of scans that were segmented into ``out`` beside it, and what that returned."""
    folder = tmp_path_factory.mktemp("done") / "scans"
    folder.mkdir()
    image, labels, grid = make_phantom(spacing=(4.0, 4.0, 4.0))
    sitk.WriteImage(image, str(folder / "anna.nii.gz"))
    sitk.WriteImage(image, str(folder / "ben.nrrd"))
    sitk.WriteImage(grid.image(labels), str(folder / "anna_label.nii.gz"))
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    return folder, run(folder, folder.parent / "out")


@pytest.fixture
def scans(done, tmp_path):
    """Return a copy of the folder, its results beside it as if they had been made there."""
    copy = tmp_path / "copy"
    shutil.copytree(done[0].parent, copy)
    for report in (copy / "out").glob("*.report.json"):
        content = report.read_text(encoding="utf-8").replace(str(done[0].parent), str(copy))
        report.write_text(content, encoding="utf-8")
    return copy / "scans"


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.seg.nrrd")}


def test_every_scan_once_and_a_table(run, done, scans):
    output = scans.parent / "out"
    code, rows = done[1]
    assert code == 3
    label = "scans/anna_label.nii.gz"
    assert {name: row["status"] for name, row in rows.items()} == {
        "anna": "done", "ben": "done", "broken": "failed", label: "left out",
    }  # fmt: skip
    assert rows[label]["reason"] == (
        "Left out as labels, by their names. To segment a file all the same, name it by itself."
    )
    assert "broken" in rows["broken"]["reason"]
    report = json.loads((output / "anna.report.json").read_text())
    assert float(rows["anna"]["tumor_ml"]) == pytest.approx(report["volumes_ml"]["tumor"], abs=0.01)
    assert int(rows["anna"]["lesions"]) == len(report["lesions"]) == 2
    page = (output / "summary.html").read_text()
    assert "anna" in page
    assert rows["broken"]["reason"] in page
    before = times(output)
    _, rows = run(scans, output)
    assert {name: row["status"] for name, row in rows.items()} == {
        "anna": "finished before", "ben": "finished before", "broken": "failed", label: "left out",
    }  # fmt: skip
    assert times(output) == before


@pytest.mark.parametrize("changed", ["input", "option", "file"])
def test_what_changed_is_done_again(run, scans, changed):
    output = scans.parent / "out"
    (scans / "broken.nii.gz").unlink()
    (scans / "anna_label.nii.gz").unlink()
    before, options = times(output), []
    if changed == "input":
        image = sitk.ReadImage(str(scans / "ben.nrrd"))
        sitk.WriteImage(image + 1, str(scans / "ben.nrrd"))
    elif changed == "file":
        (output / "ben.seg.nrrd").unlink()
    else:
        options = ["--smallest-lesion-mm3", "1"]
    _, rows = run(scans, output, *options)
    expected = "done" if changed == "option" else "finished before"
    assert {name: row["status"] for name, row in rows.items()} == {"anna": expected, "ben": "done"}
    assert (times(output)["anna.seg.nrrd"] == before["anna.seg.nrrd"]) == (expected == "finished before")


def test_a_reader_s_own_files_stay_and_the_other_scans_are_done(run, scans):
    """Two scans whose results a reader drew or corrected are told in the table; nothing of them is lost."""
    (scans / "broken.nii.gz").unlink()
    (scans / "anna_label.nii.gz").unlink()
    shutil.copy(scans / "ben.nrrd", scans / "cara.nrrd")
    shutil.copy(scans / "ben.nrrd", scans / "dora.nrrd")
    output = scans.parent / "out"
    own = {output / "anna.seg.nrrd": b"corrected", output / "cara.seg.nrrd": b"drawn by hand"}
    for path, content in own.items():
        path.write_bytes(content)
    code, rows = run(scans, output, "--threshold", "0.3")
    assert code == 2
    assert {name: row["status"] for name, row in rows.items()} == {
        "anna": "failed", "ben": "done", "cara": "failed", "dora": "done",
    }  # fmt: skip
    assert "anna.seg.nrrd (changed since a run wrote it)" in rows["anna"]["reason"]
    assert "cara.seg.nrrd (no report has its checksum)" in rows["cara"]["reason"]
    assert {path: path.read_bytes() for path in own} == own
    # Of the same models and options anna is finished, and stays as it was corrected.
    assert run(scans, output)[1]["anna"]["status"] == "finished before"
    assert {path: path.read_bytes() for path in own} == own


@pytest.mark.parametrize(("name", "content"), [("summary.csv", "patient,reader\n"), ("summary.html", "<p>Mine.</p>")])
def test_a_table_or_page_of_the_reader_s_own_is_not_replaced(run, scans, capsys, name, content):
    output = scans.parent / "out"
    before = times(output)
    (output / name).write_text(content)
    assert run(scans, output, "--threshold", "0.3")[0] == 2
    assert f"{output / name} was not written by this program" in capsys.readouterr().err
    assert ((output / name).read_text(), times(output)) == (content, before)


def test_dicom_studies_side_by_side(make_ct, dicom_series, tmp_path):
    image, studies = make_ct((20, 20, 10)), tmp_path / "studies"
    for patient in ("p1", "p2"):
        for series in ("a", "b"):
            dicom_series(studies / patient / series, image, StudyInstanceUID=f"1.2.{patient[1]}")
    assert scans_in(studies, ("CT",)).scans == [studies / "p1", studies / "p2"]
    # The series of one study are a choice, not a collection.
    for one in (studies / "p1", studies / "p1" / "a"):
        assert scans_in(one, ("CT",)).scans == [one]


def test_case_folders_of_several_channels(make, tmp_path):
    data = make["brats"](tmp_path / "brats", 2)
    channels = ("FLAIR", "T1", "T1CE")
    assert [path.name for path in scans_in(data, channels).scans] == ["BraTS20_Training_000", "BraTS20_Training_001"]
    for one in (data / "BraTS20_Training_000", tmp_path / "absent.nii.gz"):
        assert scans_in(one, channels).scans == [one]


def test_a_batch_whose_results_lie_among_the_scans_is_resumed(run, make_phantom, dicom_series, tmp_path):
    image = make_phantom(spacing=(8.0, 8.0, 8.0))[0]
    for patient in ("anna", "ben"):
        dicom_series(tmp_path / "studies" / patient, image, StudyInstanceUID=f"1.2.{len(patient)}")
    results = tmp_path / "studies" / "results"
    for state in ("done", "finished before"):
        code, rows = run(tmp_path / "studies", results, "--probabilities", "--maps", "--format", "nii.gz")
        assert (code, {name: row["status"] for name, row in rows.items()}) == (0, {"anna": state, "ben": state})
    code, rows = run(tmp_path / "studies", tmp_path / "studies" / "other", "--threshold", "0.3")
    assert (code, {name: row["status"] for name, row in rows.items()}) == (0, {"anna": "done", "ben": "done"})
