"""Reading the scan beside the start of the page: the same image, and the same refusal."""

import sys

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegReview.case_files import find_case
from LiverTumorSegReview.reading import start_reading


def test_the_scan_is_read_and_the_interpreter_left_as_it_was(tmp_path, make_ct):
    usual = sys.getswitchinterval()
    sitk.WriteImage(make_ct(), str(tmp_path / "scan.nii.gz"))
    case = start_reading(find_case(tmp_path / "scan.nii.gz", output=tmp_path)).result()
    assert case.image.GetSize() == make_ct().GetSize()
    assert case.name == "scan"
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_a_refusal_comes_to_who_asks(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    reading = start_reading(find_case(tmp_path / "scan.nii.gz", output=tmp_path))
    with pytest.raises(InputError, match="is empty"):
        reading.result()
