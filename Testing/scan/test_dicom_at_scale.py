"""Proof at scale: every DICOM file that other packages ship, and with ``--fuzz`` a series of 1,500 slices."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.scan.checks import check_image
from LiverTumorSegLib.scan.imageio import read_case

SHIPPED = Path(pydicom.__file__).parent / "data"
# An own process, because the peak of this one's memory tells of other tests.
READ = """
import resource, sys
from LiverTumorSegLib.scan.imageio import read_case
case = read_case(sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(*case.image.GetSize(), peak, [f.code for f in case.findings])
"""


def test_every_dicom_file_of_pydicom_is_read_or_refused_in_a_sentence(tmp_path):
    files = [p for p in sorted(SHIPPED.rglob("*")) if p.is_file() and p.parent.name != "charset_files"]
    files = [p for p in files if p.suffix not in {".py", ".pyc", ".txt", ".json"} and "__pycache__" not in p.parts]
    assert len(files) > 60
    read = []
    for number, path in enumerate(files):
        link = tmp_path / str(number) / path.name
        link.parent.mkdir()
        link.symlink_to(path)
        try:
            case = read_case(link)
        except LiverTumorSegError as error:
            message = str(error)
            assert "\n" not in message and message.endswith("."), path.name  # noqa: PT018
            continue
        check_image(case.image, case.modality)
        read.append(path.name)
        if len(case.dicom_files) == 1 and case.image.GetSize()[2] == 1:
            expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
            assert np.allclose(sitk.GetArrayViewFromImage(case.image), expected, atol=1e-3), path.name
    assert {"CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "693_J2KI.dcm"} <= set(read)


@pytest.mark.skipif("config.getoption('--fuzz') < 10_000", reason="takes minutes: asked for by --fuzz")
def test_1500_slices_are_read_within_two_gigabytes(tmp_path, make_ct, dicom_series):
    one = make_ct(size=(512, 512, 1), spacing=(0.8, 0.8, 0.5))
    (tmp_path / "first").mkdir()
    dicom_series(tmp_path / "first", one)
    dataset = pydicom.dcmread(next((tmp_path / "first").iterdir()))
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(1500):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.9.{number}"
        dataset.ImagePositionPatient = [0, 0, f"{0.5 * number:g}"]
        dataset.save_as(folder / f"{number}.dcm")
    run = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    columns, rows, slices, peak_gb, findings = run.stdout.split(maxsplit=4)
    print(f"{columns} x {rows} x {slices} voxels, peak {peak_gb} GiB")
    assert (columns, rows, slices, findings.strip()) == ("512", "512", "1500", "[]")
    assert float(peak_gb) < 2.0
