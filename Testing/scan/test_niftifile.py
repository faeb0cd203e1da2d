"""Kinds of NIfTI beside the plain one: version 2, pairs, big-endian, odd dimensions, bytes after the end."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.grid import affine_of, corner_distance_mm
from LiverTumorSegLib.scan.imageio import read_case

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def voxels():
    return np.random.default_rng(3).integers(-1000, 1000, (12, 10, 9)).astype(np.int16)


@pytest.fixture
def affine():
    turn = np.radians(20)
    axes = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, -1, 0], [np.sin(turn), 0, np.cos(turn)]])
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = axes * [1.5, 2.0, 3.0], (-40, 50, 60)
    return result


def is_the_scan(case, voxels, affine):
    seen = sitk.GetArrayViewFromImage(case.image)
    assert np.array_equal(seen, voxels.T)
    assert corner_distance_mm(affine_of(case.image), LPS @ affine, voxels.shape) < 1e-4


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        (nibabel.Nifti1Image, ".nii"),
        (nibabel.Nifti1Image, ".nii.gz"),
        (nibabel.Nifti2Image, ".nii"),
        (nibabel.Nifti2Image, ".nii.gz"),
        (nibabel.Nifti1Pair, ".img"),
        (nibabel.Nifti1Pair, ".img.gz"),
        (nibabel.Nifti2Pair, ".img"),
    ],
)
def test_versions_pairs_and_byte_orders(tmp_path, voxels, affine, kind, suffix, order):
    image = kind(voxels.astype(f"{order}i2"), affine, kind.header_class(endianness=order))
    nibabel.save(image, tmp_path / f"scan{suffix}")
    paths = list(tmp_path.iterdir())
    assert len(paths) == (2 if ".img" in suffix else 1)
    for path in paths:
        case = read_case(path)
        is_the_scan(case, voxels, affine)
        assert (case.name, case.findings) == ("scan", ())


def test_half_a_pair_and_analyze(tmp_path, voxels, affine):
    nibabel.save(nibabel.Nifti1Pair(voxels, affine), tmp_path / "a.img")
    (tmp_path / "a.hdr").rename(tmp_path / "b.hdr")
    with pytest.raises(InputError, match=r"a.img is half of a pair: a.hdr is not beside it"):
        read_case(tmp_path / "a.img")
    with pytest.raises(InputError, match=r"b.hdr is half of a pair: b.img is not beside it"):
        read_case(tmp_path / "b.hdr")
    nibabel.save(nibabel.AnalyzeImage(voxels, affine), tmp_path / "c.img")
    with pytest.raises(InputError, match=r"ANALYZE 7.5, which stores no orientation"):
        read_case(tmp_path / "c.hdr")


def test_a_pair_that_is_cut(tmp_path, voxels, affine):
    nibabel.save(nibabel.Nifti1Pair(voxels, affine), tmp_path / "a.img")
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-10])
    with pytest.raises(InputError, match=r"a.hdr declares .* but a.img holds only"):
        read_case(tmp_path / "a.hdr")


@pytest.mark.parametrize("last", [0, 1, -1])
def test_a_fourth_dimension_of_none_or_one(tmp_path, voxels, affine, last):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<h", raw, 40, 4)
    struct.pack_into("<h", raw, 48, last)
    (tmp_path / "a.nii").write_bytes(raw)
    is_the_scan(read_case(tmp_path / "a.nii"), voxels, affine)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("where", ["inside", "after"])
def test_bytes_after_the_last_voxel_are_a_warning(tmp_path, voxels, affine, suffix, where):
    path = tmp_path / f"a{suffix}"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    raw = path.read_bytes()
    packed = suffix == ".nii.gz"
    inside = gzip.compress(gzip.decompress(raw) + b"more") if packed else raw + b"more"
    path.write_bytes(inside if where == "inside" else raw + b"some text")
    case = read_case(path)
    is_the_scan(case, voxels, affine)
    assert [(f.code, f.grade) for f in case.findings] == [("trailing_bytes", "warning")]
    path.write_bytes(raw + bytes(512))
    assert read_case(path).findings == ()


@pytest.mark.parametrize("byte", [-1, -5])
def test_a_wrong_checksum_or_length_is_refused(tmp_path, voxels, affine, byte):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    raw = bytearray(path.read_bytes())
    raw[byte] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="is damaged or incomplete"):
        read_case(path)


def test_a_name_that_hides_the_compression(tmp_path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "a.nii.gz")
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "c.nii.gz").write_bytes(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    for name in ("b.nii", "c.nii.gz"):
        is_the_scan(read_case(tmp_path / name), voxels, affine)


@pytest.mark.parametrize(("unit", "millimetres"), [("meter", 1000.0), ("micron", 0.001), ("unknown", 1.0)])
def test_units(tmp_path, voxels, affine, unit, millimetres):
    scaled = affine.copy()
    scaled[:3] /= millimetres
    image = nibabel.Nifti1Image(voxels, scaled)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    is_the_scan(read_case(tmp_path / "a.nii"), voxels, affine)


@pytest.mark.parametrize("code", [1, 7, 1536, 1792])
def test_number_types_that_no_ct_has(tmp_path, voxels, affine, code):
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float64), affine), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<2h", raw, 70, code, 128)
    (tmp_path / "a.nii").write_bytes(bytes(raw) + bytes(len(raw)))
    with pytest.raises(InputError, match=r"number type that is not used for CT|2 values a voxel"):
        read_case(tmp_path / "a.nii")


def test_without_nibabel(tmp_path, voxels, affine, monkeypatch):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "a.nii")
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(UsageError, match="needs the package nibabel: install it"):
        read_case(tmp_path / "a.nii")
