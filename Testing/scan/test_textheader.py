"""NRRD and MetaImage: headers that leave something out, detached data, segmentations given as scans."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import write_segmentation
from LiverTumorSegLib.scan.imageio import read_case

SIZE = (12, 10, 9)
VOXELS = np.arange(12 * 10 * 9, dtype="<i2")
UNKNOWN, UNSPACED = ("orientation_unknown", "warning"), ("spacing_unknown", "error")


def nrrd(path, *lines, encoding="gzip"):
    header = ["NRRD0004", "# a comment: with a colon", "type: short", "dimension: 3", "sizes: 12 10 9"]
    header += ["endian: little", f"encoding: {encoding}", *lines]
    path.write_bytes("\n".join([*header, "", ""]).encode() + gzip.compress(VOXELS.tobytes()))
    return path


def mha(path, *lines, data="LOCAL"):
    header = ["ObjectType = Image", "NDims = 3", "BinaryData = True", *lines, "DimSize = 12 10 9"]
    header += ["ElementType = MET_SHORT", f"ElementDataFile = {data}", ""]
    path.write_bytes("\n".join(header).encode() + (VOXELS.tobytes() if data == "LOCAL" else b""))
    return path


def codes(path):
    case = read_case(path)
    assert case.image.GetSize() == SIZE
    return [(f.code, f.grade) for f in case.findings]


def test_nrrd_that_does_not_say_how_the_patient_lies(tmp_path):
    path = tmp_path / "a.nrrd"
    directions = "space directions: (2,0,0) (0,2,0) (0,0,3)"
    assert codes(nrrd(path, "space: left-posterior-superior", directions)) == []
    assert codes(nrrd(path, "space: RAS", directions)) == []
    assert codes(nrrd(path, "space dimension: 3", directions)) == [UNKNOWN]
    assert codes(nrrd(path, "spacings: 2 2 3")) == [UNKNOWN]
    assert codes(nrrd(path)) == [UNKNOWN, UNSPACED]


def test_metaimage_that_does_not_say_how_the_patient_lies(tmp_path):
    path = tmp_path / "a.mha"
    assert codes(mha(path, "TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSpacing = 2 2 3")) == []
    assert codes(mha(path, "ElementSpacing = 2 2 3")) == [UNKNOWN]
    assert codes(mha(path, "TransformMatrix = 1 0 0 0 1 0 0 0 1")) == [UNSPACED]


@pytest.mark.parametrize("axes", ["(nan,0,0) (0,2,0) (0,0,3)", "(0,0,0) (0,2,0) (0,0,3)"])
def test_nrrd_axes_that_are_none(tmp_path, axes):
    with pytest.raises(InputError, match=r"a.nrrd"):
        read_case(nrrd(tmp_path / "a.nrrd", "space: RAS", f"space directions: {axes}"))


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_missing_data_file_is_named(tmp_path, ct, suffix):
    sitk.WriteImage(ct, str(tmp_path / f"a{suffix}"))
    (data,) = (item for item in tmp_path.iterdir() if item.suffix != suffix)
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(InputError, match=rf"declares 80 x 64 x 40 voxels .* but {data.name} holds only 20 bytes"):
        read_case(tmp_path / f"a{suffix}")
    data.unlink()
    with pytest.raises(InputError, match=rf"keeps its voxels in another file, and .*{data.name} is not there"):
        read_case(tmp_path / f"a{suffix}")


def test_slices_in_files_of_their_own(tmp_path):
    planes = VOXELS.reshape(9, -1)
    for number, plane in enumerate(planes, start=1):
        (tmp_path / f"s{number}.raw").write_bytes(plane.tobytes())
    lines = ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSpacing = 2 2 3")
    case = read_case(mha(tmp_path / "a.mhd", *lines, data="s%d.raw 1 9 1"))
    assert np.array_equal(sitk.GetArrayViewFromImage(case.image).ravel(), VOXELS)


def test_bzip2_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a.nrrd is compressed with bzip2, which is not read\. Save it with gzip"):
        read_case(nrrd(tmp_path / "a.nrrd", encoding="bzip2"))


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.nrrd"])
def test_a_segmentation_is_no_scan(tmp_path, ct, name):
    write_segmentation(tmp_path / "a.seg.nrrd", sitk.Cast(ct > 0, sitk.sitkUInt8), LIVER_TUMOR)
    (tmp_path / "a.seg.nrrd").rename(tmp_path / name)
    with pytest.raises(InputError, match=r"is a segmentation, not a scan. Give the CT"):
        read_case(tmp_path / name)
