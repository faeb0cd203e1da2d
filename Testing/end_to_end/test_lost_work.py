"""No hour of work is lost: what can be refused is refused before the network runs, and an extra costs no result."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main
from LiverTumorSegLib.pipeline.inference import Segmenter

posix = pytest.mark.skipif(os.name == "nt", reason="limits and names of POSIX")


@pytest.fixture(scope="module")
def scan(make_phantom, tmp_path_factory):
    path = tmp_path_factory.mktemp("scans") / "patient.nii.gz"
    sitk.WriteImage(make_phantom(spacing=(4.0, 4.0, 4.0))[0], str(path))
    return path


@pytest.fixture
def told(models, monkeypatch, capsys, tmp_path):
    """Return a function that runs the command line into ``out``: exit code, events."""
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))

    def run(*arguments):
        options = ["--output", tmp_path / "out", "--device", "cpu", "--quality", "quick", "--json-progress"]
        code = main([*map(str, options), *map(str, arguments)])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def refused(told, monkeypatch):
    """Return a function that expects a refusal before any network runs, and gives code and sentence."""

    def run(*arguments):
        def too_late(*args, **options):
            raise AssertionError("the network ran")

        with monkeypatch.context() as during:
            during.setattr(Segmenter, "segment", too_late)
            code, events = told(*arguments)
        assert events[-1]["event"] == "error"
        return code, events[-1]["message"]

    return run


@pytest.mark.parametrize("option", ["--opening-mm", "--closing-mm", "--smallest-lesion-mm3", "--threshold"])
@pytest.mark.parametrize("value", ["nan", "-3", "inf"])
def test_numbers_that_are_none(refused, scan, option, value):
    code, sentence = refused(scan, f"{option}={value}")
    assert code == 2
    assert option in sentence


@pytest.mark.parametrize(("arguments", "words"), [(["", "--debug"], "path of a scan is empty"), ([" "], "is empty")])
def test_an_empty_path(refused, arguments, words):
    assert words in refused(*arguments)[1]


def test_an_empty_output(refused, scan):
    assert "--output is empty" in refused(scan, "--output", "")[1]


def test_one_scan_twice(refused, scan, tmp_path):
    (tmp_path / "PATIENT.nii.gz").write_bytes(scan.read_bytes())
    assert "Two inputs are called" in refused(scan, scan)[1]


def test_a_result_that_would_overwrite_the_scan(refused, scan, tmp_path):
    shutil.copy(scan, tmp_path / "a.nii.gz")
    code, sentence = refused(tmp_path / "a.nii.gz", "--output", tmp_path, "--format", "nii.gz")
    assert (code, "would overwrite the scan" in sentence) == (2, True)


def test_results_of_another_scan_of_the_same_name(told, refused, scan, tmp_path):
    """Hospitals export every patient's scan under one name; here the second patient is asked about, not replaced."""
    scans = [tmp_path / patient / "CT.nii.gz" for patient in ("pat1", "pat2")]
    for number, path in enumerate(scans):
        path.parent.mkdir()
        sitk.WriteImage(sitk.ReadImage(str(scan)) + number, str(path))
    assert told(scans[0])[0] == 0
    results = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for option in ((), ("--force",)):
        code, sentence = refused(scans[1], *option)
        assert (code, f"another scan called CT ({scans[0]})" in sentence, "--output" in sentence) == (2, True, True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == results


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("seg.nrrd", ()), ("report.json", ()), ("lesions.csv", ()), ("png", ()), ("nii.gz", ("--format", "nii.gz")),
        ("tumor-probability.nrrd", ("--probabilities",)), ("attention.nrrd", ("--maps",)),
    ],
)  # fmt: skip
def test_a_file_that_no_run_wrote(refused, scan, tmp_path, ending, options):
    """A reader's own segmentation of the scan is called as the result would be; no report lies beside it."""
    drawn = tmp_path / "out" / f"patient.{ending}"
    drawn.parent.mkdir()
    drawn.write_bytes(b"drawn by hand")
    for option in ((), ("--force",)):
        code, sentence = refused(scan, *options, *option)
        assert code == 2
        assert sentence == (
            f"A run would replace {drawn.name} (no report has its checksum) in {drawn.parent}: move what is to be "
            "kept to another folder, or name another one with --output."
        )
    assert {path: path.read_bytes() for path in drawn.parent.iterdir()} == {drawn: b"drawn by hand"}


@pytest.mark.parametrize("options", [(), ("--format", "nii.gz"), ("--threshold", "0.3")])
def test_a_result_that_was_corrected_and_saved_over(told, refused, scan, tmp_path, options):
    """Whether a new run would replace it, or remove it as that of an earlier run."""
    result = tmp_path / "out" / "patient.seg.nrrd"
    assert told(scan)[0] == 0
    sitk.WriteImage(sitk.ReadImage(str(result)) * 0, str(result), useCompression=True)
    corrected = result.read_bytes()
    code, sentence = refused(scan, *options)
    assert (code, "would replace patient.seg.nrrd (changed since a run wrote it) in" in sentence) == (2, True)
    assert result.read_bytes() == corrected
    result.rename(tmp_path / "corrected.seg.nrrd")
    assert told(scan, *options)[0] == 0, "the sentence says what to do"


def test_results_of_a_version_that_listed_no_files(told, refused, scan, tmp_path):
    """Nobody can say who made them: all of them are named at once."""
    assert told(scan)[0] == 0
    _report_of_an_earlier_version(tmp_path, None)
    names = ("patient.lesions.csv", "patient.png", "patient.seg.nrrd")
    assert ", ".join(f"{name} (no report has its checksum)" for name in names) in refused(scan)[1]


def test_results_of_a_version_that_listed_files_without_checksums(told, refused, scan, tmp_path):
    """The report was written last, so what is newer was saved over by a reader, and the rest may be replaced."""
    assert told(scan)[0] == 0
    report = _report_of_an_earlier_version(
        tmp_path, {"files": ["patient.lesions.csv", "patient.png", "patient.seg.nrrd"]}
    )
    newer = report.stat().st_mtime + 5
    os.utime(tmp_path / "out" / "patient.seg.nrrd", (newer, newer))
    assert "would replace patient.seg.nrrd (changed since a run wrote it) in" in refused(scan)[1]
    os.utime(tmp_path / "out" / "patient.seg.nrrd", (newer - 10, newer - 10))
    assert told(scan)[0] == 0


def _report_of_an_earlier_version(folder, asked):
    report = folder / "out" / "patient.report.json"
    report.write_text(json.dumps(json.loads(report.read_text(encoding="utf-8")) | {"asked": asked}), encoding="utf-8")
    return report


def test_files_that_a_run_does_not_write_are_not_in_its_way(told, scan, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for ending in ("nii.gz", "uncertainty.nrrd", "reviewed.seg.nrrd", "seg.dcm"):
        (out / f"patient.{ending}").write_bytes(b"a reader's")
    assert told(scan)[0] == 0
    assert sorted(path.name for path in out.iterdir() if path.read_bytes() == b"a reader's") == [
        "patient.nii.gz", "patient.reviewed.seg.nrrd", "patient.seg.dcm", "patient.uncertainty.nrrd",
    ]  # fmt: skip


def test_a_file_that_came_while_the_network_ran(told, scan, tmp_path, monkeypatch):
    segment, drawn = Segmenter.segment, tmp_path / "out" / "patient.seg.nrrd"

    def meanwhile(*arguments, **options):
        drawn.write_bytes(b"drawn by hand")
        return segment(*arguments, **options)

    monkeypatch.setattr(Segmenter, "segment", meanwhile)
    code, events = told(scan)
    assert (code, "would replace patient.seg.nrrd (no report" in events[-1]["message"]) == (2, True)
    assert {path: path.read_bytes() for path in drawn.parent.iterdir()} == {drawn: b"drawn by hand"}


def test_results_of_another_scan_that_had_the_same_relative_path(told, refused, scan, tmp_path, monkeypatch):
    for number, patient in enumerate(("pat1", "pat2")):
        (tmp_path / patient).mkdir()
        sitk.WriteImage(sitk.ReadImage(str(scan)) + number, str(tmp_path / patient / "CT.nii.gz"))
    monkeypatch.chdir(tmp_path / "pat1")
    assert told("CT.nii.gz")[0] == 0
    monkeypatch.chdir(tmp_path / "pat2")
    assert "another scan called CT" in refused("CT.nii.gz")[1]


def test_the_same_scan_replaces_its_results(told, scan, tmp_path):
    """Also when it was moved, or is another version at the same place."""
    moved = tmp_path / "moved" / scan.name
    moved.parent.mkdir()
    shutil.copy(scan, moved)
    reports = []
    for step in (scan, moved, None):
        if step is None:
            sitk.WriteImage(sitk.ReadImage(str(scan)) + 1, str(moved))
        assert told(step or moved)[0] == 0
        reports.append(json.loads((tmp_path / "out" / "patient.report.json").read_text(encoding="utf-8"))["input"])
    assert [report["path"] for report in reports] == [str(scan), str(moved), str(moved)]
    assert reports[0]["sha256"] == reports[1]["sha256"] != reports[2]["sha256"]


def test_results_of_another_series_of_the_same_study(told, refused, make_phantom, dicom_series, tmp_path):
    image = make_phantom(spacing=(8.0, 8.0, 8.0))[0]
    uids = [dicom_series(tmp_path / "study" / kind, image, StudyInstanceUID="1.2.3") for kind in ("a", "b")]
    assert told(tmp_path / "study", "--series", uids[0])[0] == 0
    assert told(tmp_path / "study", "--series", uids[0])[0] == 0
    assert (
        f"another scan called study ({tmp_path / 'study'}, series {uids[0]})"
        in refused(tmp_path / "study", "--series", uids[1])[1]
    )


def test_dicom_seg_without_dicom(refused, scan):
    code, sentence = refused(scan, "--dicom-seg")
    assert (code, "is not DICOM" in sentence) == (3, True)


def test_dicom_seg_without_its_library(refused, scan, monkeypatch):
    monkeypatch.setattr("LiverTumorSegLib.output.dicomseg.find_spec", lambda name: None)
    code, sentence = refused(scan, "--dicom-seg")
    assert (code, "pip install highdicom" in sentence) == (2, True)


@posix
@pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="needs a folder that nobody can write")  # noqa: PTH112
def test_an_output_that_takes_no_files(refused, scan):
    code, sentence = refused(scan, "--output", "/proc/1")
    assert (code, "cannot be written" in sentence) == (2, True)


@posix
def test_a_full_disk_is_seen_before_the_network_runs(models, scan, tmp_path):
    """The process may write files of 100 kB, less than the results of the scan need."""
    program = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from LiverTumorSegLib.pipeline.inference import Segmenter\nfrom LiverTumorSegLib.__main__ import main\n"
        "Segmenter.segment = None\nsys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(scan), "--output", str(tmp_path / "out"), "--device", "cpu"],
        env=os.environ | {"LIVERTUMORSEG_MODELS": str(models)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_modality_in_small_letters(told, scan):
    assert told(scan, "--modality", "ct")[0] == 0


def test_extras_that_fail_are_warnings_and_the_rest_is_written(told, scan, monkeypatch, tmp_path):
    def broken(*arguments):
        raise RuntimeError("no fonts were found.\nmore words")

    monkeypatch.setattr("LiverTumorSegLib.output.casefiles.write_case_picture", broken)
    code, events = told(scan)
    assert code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"patient.seg.nrrd", "patient.report.json", "patient.lesions.csv"}
    report = json.loads((tmp_path / "out" / "patient.report.json").read_text(encoding="utf-8"))
    (warning,) = (f for f in report["findings"] if f["code"] == "extra_failed")
    assert warning["grade"] == "warning"
    assert "picture could not be written: no fonts were found" in warning["message"]
    assert [e["code"] for e in events if e["event"] == "finding"][-1] == "extra_failed"
    assert events[-1]["picture"] is None


def test_a_system_error_in_one_case_lets_the_others_go_on(told, scan, tmp_path, monkeypatch):
    other = tmp_path / "other.nii.gz"
    shutil.copy(scan, other)
    replace = Path.replace

    def held(self, target):
        if target.name == "patient.seg.nrrd" and target.parent == tmp_path / "out":
            raise PermissionError(errno.EACCES, "another program has it open")
        return replace(self, target)

    with monkeypatch.context() as during:
        during.setattr(Path, "replace", held)
        code, events = told(scan, other)
    assert code == 2
    (error,) = (event for event in events if event["event"] == "error")
    assert "patient.seg.nrrd cannot be written" in error["message"]
    assert (tmp_path / "out" / "other.seg.nrrd").exists()
    assert not (tmp_path / "out" / "patient.report.json").exists()
    assert told(scan)[0] == 0, "what was moved before is known as the program's own"


@posix
def test_a_name_that_is_no_text_on_a_console_of_another_code_page(models, scan, tmp_path):
    source = tmp_path / os.fsdecode(b"Bauch_M\xfcller \xe2\x82\xac.nii.gz")
    shutil.copy(scan, source)
    done = subprocess.run(
        [sys.executable, "-m", "LiverTumorSegLib", source, "--output", tmp_path / "out", "--quality", "quick"],
        env=os.environ | {"LIVERTUMORSEG_MODELS": str(models), "PYTHONIOENCODING": "cp1252"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.seg.nrrd"))) == 1
    (report,) = (tmp_path / "out").glob("*.report.json")
    assert os.fsencode(json.loads(report.read_text(encoding="utf-8"))["input"]["path"]) == os.fsencode(source)
