"""The date of the series that is read, and what is said of inputs before any of them is segmented."""

from datetime import date

import pytest
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.followup.cli import main
from LiverTumorSegLib.followup.dates import acquisition_day, require_order
from LiverTumorSegLib.followup.inputs import ScanInput, open_scan
from LiverTumorSegLib.scan.imageio import read_case

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
DAY = date(2024, 1, 5)


@pytest.fixture
def study(tmp_path, make_ct, dicom_series):
    """Write a CT of a study under a folder's name, with dates; return the folder."""

    def write(name, slices=None, **dates):
        image = make_ct()
        dicom_series(tmp_path / name, image if slices is None else image[:, :, :slices], **dates)
        return tmp_path / name

    return write


def opened(path):
    return open_scan(ScanInput(path, None, None, "scan"))


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"AcquisitionDate": "20240105", "SeriesDate": "20240106", "StudyDate": "20240107"}, DAY),
        ({"SeriesDate": "20240105", "StudyDate": "20240107"}, DAY),
        ({"StudyDate": "20240105", "ContentDate": "20240107"}, DAY),
        ({"StudyDate": None, "ContentDate": "20240105"}, DAY),
        ({"AcquisitionDate": "00000000", "StudyDate": "20240105"}, DAY),
        ({"AcquisitionDate": "20241301", "SeriesDate": "", "StudyDate": "20240105"}, DAY),
        ({"AcquisitionDate": "19000101", "StudyDate": "20240105"}, DAY),
        ({"AcquisitionDate": "ANON", "StudyDate": "2024.01.05"}, DAY),
        ({"AcquisitionDate": "20240230", "StudyDate": "00000000"}, None),
        ({"StudyDate": None}, None),
    ],
    ids=str,
)
def test_the_first_tag_that_holds_a_date_counts(study, dates, expected):
    assert opened(study("scan", **dates)).day == expected


def test_the_date_is_that_of_the_series_that_is_read(study):
    """What else lies in the folder, and sorts first, has no say."""
    folder = study("scan", StudyDate="20240105", StudyInstanceUID="1.2.3")
    study("scan/a_prior", slices=3, StudyDate="20190101", StudyInstanceUID="1.2.3")
    (folder / ".DS_Store").write_bytes(b"\0" * 200)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert opened(folder).day == DAY
    (file,) = folder.glob("0004.dcm")
    assert opened(file.rename(folder / "no_suffix")).day == DAY


def test_a_file_of_another_format_has_no_date(tmp_path, make_ct):
    import SimpleITK as sitk

    sitk.WriteImage(make_ct(), str(tmp_path / "scan.nrrd"))
    assert acquisition_day(read_case(tmp_path / "scan.nrrd").dicom_files) is None


def test_a_folder_of_two_studies_is_no_date(study, tmp_path):
    study("patient/2023", StudyDate="20230601")
    study("patient/2024", StudyDate="20240601")
    with pytest.raises(InputError, match=r"folder of scans \(2023, 2024\).*oldest first: .*2023"):
        opened(tmp_path / "patient")


@pytest.mark.parametrize("damage", ["order", "two studies", "unreadable", "absent"])
def test_what_is_wrong_is_said_before_anything_is_segmented(study, tmp_path, capsys, damage):
    first, second = study("first", StudyDate="20240601"), study("second", StudyDate="20240901")
    expected = {
        "order": "not in order of time (1: second of 2024-09-01, 2: first of 2024-06-01). Give the oldest first.",
        "two studies": "not the scan of one date",
        "unreadable": "is incomplete, damaged",
        "absent": "does not exist",
    }[damage]
    if damage == "two studies":
        study("second/other", StudyDate="20240902")
        study("second/another", StudyDate="20240903")
    if damage == "unreadable":
        file = second / "0004.dcm"
        file.write_bytes(file.read_bytes()[:900])
    if damage == "absent":
        second = tmp_path / "nowhere"
    scans = (second, first) if damage == "order" else (first, second)
    out = tmp_path / "out"
    assert main([*map(str, scans), "--output", str(out), "--device", "cpu", "--quality", "quick"]) in (2, 3)
    assert expected in capsys.readouterr().err
    assert not (out / "segmentations").exists()


def test_dates_in_order_pass_and_those_not_known_have_no_say():
    require_order([("a", DAY), ("b", None), ("c", DAY), ("d", date(2024, 1, 6))])
    with pytest.raises(UsageError, match=r"a of 2024-01-05, c of 2024-01-04"):
        require_order([("a", DAY), ("b", None), ("c", date(2024, 1, 4))])
