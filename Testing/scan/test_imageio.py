"""Reading a case: formats, names, checksums, paths, damaged and hostile files; the sentence of every refusal."""

import gzip
import hashlib
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError, readable
from LiverTumorSegLib.findings import Finding
from LiverTumorSegLib.scan.checks import check_image
from LiverTumorSegLib.scan.headers import read_header
from LiverTumorSegLib.scan.imageio import case_name, case_names, read_case


def nifti_header(size, bits=16, datatype=4, magic=b"n+1\0"):
    """Return the 352 bytes before the voxels of a NIfTI-1 file with identity sform."""
    raw = bytearray(352)
    struct.pack_into("<i", raw, 0, 348)
    struct.pack_into("<8h", raw, 40, len(size), *size, *([1] * (7 - len(size))))
    struct.pack_into("<2h", raw, 70, datatype, bits)
    struct.pack_into("<8f", raw, 76, *([1.0] * 8))
    struct.pack_into("<2f", raw, 108, 352.0, 1.0)
    struct.pack_into("<2h", raw, 252, 0, 1)
    struct.pack_into("<12f", raw, 280, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0)
    raw[344:348] = magic
    return raw


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_format_gives_the_same_voxels_and_grid(ct, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(ct, str(path))
    case = read_case(path)
    assert (case.name, case.path, case.modality, case.dicom_files) == ("scan", path, None, ())
    assert np.array_equal(sitk.GetArrayViewFromImage(case.image), sitk.GetArrayViewFromImage(ct))
    assert case.image.GetPixelID() == sitk.sitkInt16
    assert np.allclose(case.image.GetOrigin(), ct.GetOrigin(), atol=1e-4)
    assert np.allclose(case.image.GetSpacing(), ct.GetSpacing(), atol=1e-6)
    assert np.allclose(case.image.GetDirection(), ct.GetDirection(), atol=1e-6)
    assert case.findings == ()
    assert check_image(case.image) == []
    assert case.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_fourth_axis_of_length_one_is_dropped(ct, tmp_path):
    joined = sitk.JoinSeries([ct])
    for suffix in (".nii.gz", ".nrrd"):
        sitk.WriteImage(joined, str(tmp_path / f"a{suffix}"))
        assert read_case(tmp_path / f"a{suffix}").image.GetSize() == ct.GetSize()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.nii.gz", "a"),
        ("a.seg.nrrd", "a"),
        ("A.NII", "A"),
        ("1.2.840.113.nii.gz", "1.2.840.113"),
        ("a.nii.nii.gz", "a"),
        ("folder", "folder"),
        ("肝 é.mha", "肝 é"),
        (".nii", ".nii"),
    ],
)
def test_name_of_a_case(file, name):
    assert case_name(f"/some/where/{file}") == name


def test_name_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert case_name(".") == tmp_path.name


def test_cases_called_alike_are_named_after_their_folders():
    assert case_names(["/d/pat1/CT", "/d/pat2/ct", "/d/pat3/other"]) == ("pat1_CT", "pat2_ct", "other")
    assert case_names(["/1/x/CT", "/2/x/CT", "/1/y/CT"]) == ("1_x_CT", "2_x_CT", "y_CT")
    assert case_names(["/d/p1/DICOMDIR", "/d/p2/DICOMDIR"]) == ("p1", "p2")
    assert case_names(["/d/a.nii.gz", "/d/a.nrrd"]) == ("a", "a")
    assert case_names(["/d/a/x.nii", "/d/a/x.nii"]) == ("x", "x")
    assert case_names(["/d/p/CT", "/d/q/CT", "/d/r/p_CT"]) == ("p_p_CT", "q_CT", "r_p_CT")


@pytest.mark.timeout(10)
def test_folders_that_differ_in_case_only_tell_no_cases_apart():
    """On many disks they are one folder; that two names are left is for the command line to say."""
    assert case_names(["/d/Pat1/CT.nii.gz", "/d/pat1/CT.nii.gz"]) == ("CT", "CT")
    assert case_names(["/1/A/CT", "/2/a/CT"]) == ("1_CT", "2_CT")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(empty):
    assert refused(empty) == "The path of the scan is empty. Give a file or a folder."


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="file names are bytes on Linux only")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
def test_a_file_name_that_is_no_text(ct, tmp_path, suffix):
    """Names written on an old Windows disk: Latin-1 letters, which neither ITK nor a terminal takes."""
    for folder, name in ((b"plain", b"Bauch_M\xfcller"), (b"Lek\xe1r", b"scan")):
        parent = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + folder))
        parent.mkdir()
        sitk.WriteImage(ct, str(tmp_path / f"a{suffix}"))
        path = parent / (os.fsdecode(name) + suffix)
        (tmp_path / f"a{suffix}").rename(path)
        if suffix == ".mhd":
            data = next(item for item in tmp_path.iterdir() if item.suffix in {".raw", ".zraw"})
            data.rename(parent / data.name)
        if suffix == ".mhd" and folder == b"plain":
            assert "Bauch_Müller.mhd is no text that ITK can read. Rename it" in refused(path)
            continue
        case = read_case(path)
        assert case.name == name.decode("latin-1")
        assert np.array_equal(sitk.GetArrayViewFromImage(case.image), sitk.GetArrayViewFromImage(ct))
    path.write_bytes(b"no image")
    assert "Lekár/scan" in refused(path)


@pytest.mark.parametrize("name", ["; rm -rf x.nii.gz", "Ťest 肝 é $(touch y) `z`.nii.gz", "-rf.nrrd"])
def test_a_file_name_is_only_a_name(ct, tmp_path, name):
    (tmp_path / "x.nii.gz").write_text("still here")
    sitk.WriteImage(ct, str(tmp_path / "plain.nii.gz"))
    sitk.WriteImage(ct, str(tmp_path / "plain.nrrd"))
    suffix = ".nrrd" if name.endswith("nrrd") else ".nii.gz"
    (tmp_path / f"plain{suffix}").rename(tmp_path / name)
    assert read_case(tmp_path / name).name == name.removesuffix(suffix)
    assert (tmp_path / "x.nii.gz").read_text() == "still here"


def test_a_long_path_with_letters_of_many_scripts(ct, tmp_path, dicom_series):
    folder = tmp_path / "Ťest 肝 é" / ("ü" * 80) / ("ж" * 80)
    folder.mkdir(parents=True)
    path = folder / "Lékař.nii.gz"
    sitk.WriteImage(ct, str(path))
    assert len(str(path)) > 200
    assert read_case(path).image.GetSize() == ct.GetSize()
    dicom_series(folder / "série", ct)
    assert read_case(folder / "série").image.GetSize() == ct.GetSize()


def refused(path, **options):
    with pytest.raises(InputError) as error:
        read_case(path, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_missing_empty_unreadable_and_foreign_files(tmp_path, ct):
    assert refused(tmp_path / "no.nii.gz") == f"{tmp_path / 'no.nii.gz'} does not exist."
    (tmp_path / "empty.nii.gz").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.nii.gz")
    (tmp_path / "folder").mkdir()
    assert "holds no DICOM image series" in refused(tmp_path / "folder")
    (tmp_path / "scan.png").write_bytes(b"\x89PNG" + b"0" * 300)
    assert "is not an image this program reads. Give NIfTI" in refused(tmp_path / "scan.png")
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha", ".dcm"):
        path = tmp_path / f"text{suffix}"
        path.write_text("this is no image at all " * 50)
        message = refused(path)
        assert str(path if suffix != ".dcm" else tmp_path) in message
    sitk.WriteImage(ct, str(tmp_path / "a.nrrd"))
    assert "is not DICOM, so it has no series to choose" in refused(tmp_path / "a.nrrd", series="1")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_without_permission(tmp_path, ct):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(ct, str(path))
    path.chmod(0)
    assert refused(path) == f"{path} cannot be read: Permission denied."


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path, ct, suffix, share):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(ct, str(path), useCompression=suffix != ".nii")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    message = refused(path)
    assert str(path) in message
    assert "incomplete" in message or "cut short" in message
    assert "No such file" not in message


def test_a_flipped_bit_in_gzip_is_refused(tmp_path, ct):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(ct, str(path))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x10
    path.write_bytes(whole)
    message = refused(path)
    assert "damaged" in message or "incomplete" in message


def test_gzip_of_several_members_and_padding_is_read(tmp_path, ct):
    sitk.WriteImage(ct, str(tmp_path / "a.nii"))
    raw = (tmp_path / "a.nii").read_bytes()
    members = [gzip.compress(raw[i : i + 50_000]) for i in range(0, len(raw), 50_000)]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(members) + b"\0" * 100)
    image = read_case(tmp_path / "b.nii.gz").image
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(ct))


@pytest.mark.parametrize("packed", [False, True])
def test_header_bomb_is_refused_before_memory_is_taken(tmp_path, packed):
    raw = bytes(nifti_header((30000, 30000, 300)) + b"\0" * 48)
    path = tmp_path / ("bomb.nii.gz" if packed else "bomb.nii")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    resource = pytest.importorskip("resource", reason="peak memory is read the POSIX way")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "declares 30000 x 30000 x 300 voxels (540 GB), more than any CT" in refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000 * (
        1024 if sys.platform == "darwin" else 1
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_larger_than_its_file_is_refused(tmp_path, packed):
    raw = bytes(nifti_header((500, 500, 500)) + b"\0" * 48)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert "declares 500 x 500 x 500 voxels (0.25 GB) but holds only" in refused(path)


@pytest.mark.parametrize("kind", ["nrrd", "mha"])
def test_header_bombs_of_other_formats(tmp_path, kind):
    headers = {
        "nrrd": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 30000 30000 300\nencoding: gzip\nendian: little\n\n",
        "mha": b"ObjectType = Image\nNDims = 3\nDimSize = 30000 30000 300\nElementType = MET_SHORT\n"
        b"ElementDataFile = LOCAL\n",
    }
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(headers[kind] + b"\0" * 100)
    assert "more than any CT" in refused(path)


@pytest.mark.parametrize("dims", [(0, 5, 5), (-3, 5, 5)])
def test_impossible_dimensions(tmp_path, dims):
    (tmp_path / "a.nii").write_bytes(bytes(nifti_header(dims)) + b"\0" * 500)
    assert "damaged NIfTI header" in refused(tmp_path / "a.nii")


def test_shapes_that_are_not_one_volume(tmp_path, ct):
    def written(image, name):
        sitk.WriteImage(image, str(tmp_path / name))
        return refused(tmp_path / name)

    for suffix in (".nii.gz", ".nrrd", ".mha"):
        assert "4 dimensions (80 x 64 x 40 x 2): a series of volumes" in written(
            sitk.JoinSeries([ct, ct]), "t" + suffix
        )
        assert "2 dimensions (80 x 64): a single slice" in written(ct[:, :, 3], "s" + suffix)
    colour = sitk.Compose([sitk.Cast(ct, sitk.sitkUInt8)] * 3)
    vector = sitk.Compose([sitk.Cast(ct, sitk.sitkFloat32)] * 2)
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        message = written(colour, "c" + suffix)
        assert "3 values a voxel (80 x 64 x 40 voxels: a colour or vector image)" in message
        assert "2 values a voxel" in written(vector, "v" + suffix)
    for datatype, bits, values in ((128, 24, 3), (2304, 32, 4), (32, 64, 2)):
        (tmp_path / "rgb.nii").write_bytes(bytes(nifti_header((8, 8, 8), bits, datatype)) + b"\0" * (512 * bits // 8))
        assert f"{values} values a voxel (8 x 8 x 8 voxels" in refused(tmp_path / "rgb.nii")


def test_read_header_reads_no_voxels(tmp_path, ct):
    sitk.WriteImage(ct, str(tmp_path / "a.nii"))
    header = read_header(tmp_path / "a.nii")
    assert (header.format, header.size, header.components, header.voxel_bytes) == ("NIfTI", (80, 64, 40), 1, 2)
    sitk.WriteImage(sitk.Cast(ct, sitk.sitkFloat64), str(tmp_path / "a.nrrd"))
    assert read_header(tmp_path / "a.nrrd").voxel_bytes == 8


def test_real_scans(shared_data):
    case = read_case(shared_data / "tests" / "abdomen_pelvis_3mm_ct.nii.gz")
    assert case.image.GetSize() == (122, 101, 112)
    assert check_image(case.image) == []


@pytest.mark.parametrize("kind", [sitk.sitkFloat32, sitk.sitkFloat64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_voxels_that_are_no_numbers_stay_so(ct, tmp_path, suffix, kind):
    """ITK's NIfTI reader would make zeros of them: soft tissue."""
    array = sitk.GetArrayFromImage(sitk.Cast(ct, kind))
    array[0, 0, 0] = array[-1, -1, -1] = np.nan
    array[20, 30, 40:43] = np.inf, np.nan, -np.inf
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(ct)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    case = read_case(tmp_path / f"a{suffix}")
    seen = sitk.GetArrayFromImage(case.image)
    assert np.array_equal(np.isfinite(seen), np.isfinite(array))
    assert np.array_equal(seen[np.isfinite(seen)], array[np.isfinite(array)])
    assert [f.message[:2] for f in check_image(case.image)] == ["5 "]


@pytest.mark.parametrize("scale", [(1.0, -1024.0), (0.5, 3.0), (0.0, 7.0), (np.nan, 0.0)])
@pytest.mark.parametrize("code", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
def test_nifti_values_of_any_type_and_scale_are_those_of_simpleitk(tmp_path, code, scale):
    nibabel = pytest.importorskip("nibabel", reason="NIfTI headers are made with nibabel")
    stored = np.random.default_rng(0).integers(0, 120, (9, 10, 11)).astype(code)
    image = nibabel.Nifti1Image(stored, np.eye(4), nibabel.Nifti1Header(endianness=">" if code[0] == ">" else "<"))
    image.header.set_data_dtype(stored.dtype)
    nibabel.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into((">" if code[0] == ">" else "<") + "2f", raw, 112, *scale)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    seen = read_case(tmp_path / "a.nii.gz").image
    reference = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.allclose(sitk.GetArrayViewFromImage(seen), sitk.GetArrayViewFromImage(reference), atol=1e-4)
    assert seen.GetPixelID() == reference.GetPixelID()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".nii", ".nrrd", ".mha"]),
    st.lists(st.tuples(st.integers(0, 500), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
)
def test_a_damaged_header_is_read_or_refused_never_worse(tmp_path, make_ct, suffix, damage):
    """Random bytes in the header: either an image comes out, or an InputError; no other error, no giant memory."""
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(make_ct(size=(10, 9, 8)), str(path), useCompression=False)
    raw = bytearray(path.read_bytes())
    for place, what in damage:
        raw[place : place + len(what)] = what
    path.write_bytes(raw)
    try:
        case = read_case(path)
    except InputError:
        return
    assert case.image.GetDimension() == 3
    assert case.image.GetNumberOfPixels() < 10 * len(raw)


def test_any_text_can_be_printed():
    assert readable("肝/M\udcfcller \ud800") == "肝/Müller ?"
    assert str(InputError("M\udcfcller.")) == "Müller."
    assert Finding("a", "info", "M\udcfcller.").message == "Müller."
