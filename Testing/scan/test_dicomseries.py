"""DICOM series: order, choice, tilt, uneven gaps, and what is refused."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import affine_of, corner_distance_mm, shear_of
from LiverTumorSegLib.scan.checks import check_image
from LiverTumorSegLib.scan.imageio import read_case

pydicom = pytest.importorskip("pydicom", reason="DICOM files are made with pydicom")


@pytest.fixture
def ct(make_ct):
    return make_ct(size=(40, 32, 20))


def same_volume(image, expected):
    return (
        image.GetSize() == expected.GetSize()
        and corner_distance_mm(affine_of(image), affine_of(expected), expected.GetSize()) < 1e-4
        and np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))
    )


def positions_of(image):
    return np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(image.GetSize()[2])])


def test_slices_are_ordered_by_position_not_by_name(tmp_path, ct, dicom_series):
    count = ct.GetSize()[2]
    names = [f"IM{n}" for n in np.random.default_rng(1).permutation(count)]
    uid = dicom_series(tmp_path / "scan", ct, names=names)
    case = read_case(tmp_path / "scan")
    assert same_volume(case.image, ct)
    assert case.image.GetPixelID() == sitk.sitkInt16
    assert [Path(f).name for f in case.dicom_files] == names
    assert (case.name, case.modality, case.findings) == ("scan", "CT", ())
    joined = b"".join((tmp_path / "scan" / name).read_bytes() for name in names)
    assert case.sha256 == hashlib.sha256(joined).hexdigest()
    assert read_case(tmp_path / "scan", uid).sha256 == case.sha256


def test_one_file_stands_for_its_series(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    dicom_series(tmp_path, ct[:, :, :12], names=[f"other{k}.dcm" for k in range(12)])
    case = read_case(tmp_path / "0007.dcm")
    assert same_volume(case.image, ct)
    assert case.name == "0007"
    assert same_volume(read_case(tmp_path / "other3.dcm").image, ct[:, :, :12])


@pytest.mark.parametrize(
    "turn", [(1, 0, 0, 0, -1, 0, 0, 0, -1), (0, 0, 1, 1, 0, 0, 0, -1, 0), (0, 0, -1, 0, 1, 0, 1, 0, 0)]
)
def test_prone_coronal_and_sagittal_stacks(tmp_path, make_ct, dicom_series, turn):
    image = make_ct(size=(20, 18, 12), direction=turn)
    right_handed = np.linalg.det(np.reshape(turn, (3, 3))) > 0
    dicom_series(tmp_path / "a", image)
    result = read_case(tmp_path / "a").image
    assert same_volume(result, image if right_handed else sitk.Flip(image, [False, False, True]))


def test_several_series(tmp_path, ct, dicom_series):
    scout = ct[:, :, :9]
    uid_small = dicom_series(tmp_path / "DICOM" / "ST0" / "SE0", scout, description="thin", number=1)
    uid_big = dicom_series(tmp_path / "DICOM" / "ST0" / "SE1", ct, description="portal", number=3)
    uid_mr = dicom_series(tmp_path / "DICOM" / "SE2", sitk.Expand(ct, [1, 1, 2]), modality="MR", number=2)
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "readme.txt").write_text("no image")
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    (finding,) = case.findings
    assert (finding.code, finding.grade) == ("series_chosen", "info")
    assert (
        f"holds 3 series; taken: 3. To take another give its number or UID: 1: CT 'thin', 9 slices, UID {uid_small};"
        in finding.message
    )
    assert f"3: CT 'portal', 20 slices, UID {uid_big}" in finding.message
    assert read_case(tmp_path, "1").image.GetSize() == scout.GetSize()
    assert read_case(tmp_path, uid_small).image.GetSize() == scout.GetSize()
    other = read_case(tmp_path, uid_mr)
    assert other.modality == "MR"
    assert ("modality", True) in [(f.code, f.overridable) for f in check_image(other.image, other.modality)]
    for wrong in ("0", "4", "1.2.3"):
        with pytest.raises(InputError, match=rf"holds no series '{wrong}'. It holds 1: CT 'thin', 9 slices"):
            read_case(tmp_path, wrong)


def test_scouts_and_copies_are_left_out(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    first = pydicom.dcmread(tmp_path / "0000.dcm")
    first.save_as(tmp_path / "copy of 0000.dcm")
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    first.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    first.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    first.save_as(tmp_path / "scout.dcm")
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert [(f.code, f.message) for f in case.findings] == [
        ("localizers_left_out", "1 scouts of the series were left out.")
    ]


@pytest.mark.parametrize("degrees", [2.0, 12.0, -20.0])
def test_gantry_tilt_is_undone(tmp_path, make_ct, dicom_series, degrees):
    """A patient scanned with tilted slices: body and liver must lie where they were, to half a voxel."""
    truth = make_ct(size=(60, 70, 40), spacing=(2.0, 2.0, 3.0))
    slope = np.tan(np.radians(degrees))
    positions = positions_of(truth)
    heights = positions[:, 2] - positions[0, 2]
    positions[:, 1] += slope * heights
    # Sample the same patient on the tilted slices.
    tilted = [
        sitk.Resample(
            truth,
            [60, 70, 1],
            sitk.Transform(),
            sitk.sitkLinear,
            position.tolist(),
            truth.GetSpacing(),
            truth.GetDirection(),
            -1024.0,
        )[:, :, 0]
        for position in positions
    ]
    for plane in tilted:
        plane.SetOrigin((0.0, 0.0))
    stack = sitk.JoinSeries(tilted, 0.0, 3.0)
    dicom_series(tmp_path / "a", stack, positions=positions)
    case = read_case(tmp_path / "a")
    (finding,) = case.findings
    assert (finding.code, finding.grade) == ("gantry_tilt", "warning")
    assert f"tilted by {abs(degrees):.1f} degrees" in finding.message
    assert shear_of(case.image.GetDirection()) < 1e-12
    back = sitk.Resample(sitk.Cast(case.image, sitk.sitkFloat32), truth, sitk.Transform(), sitk.sitkLinear, -5000.0)
    seen, wanted = sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(truth).astype(float)
    inside = seen > -1015  # air of the scan is brighter than the air around it
    assert inside.mean() > 0.5
    body_seen, body_wanted = (seen > -500) & inside, (wanted > -500) & inside
    assert 2 * (body_seen & body_wanted).sum() / (body_seen.sum() + body_wanted.sum()) > 0.99
    liver_seen, liver_wanted = (seen > 5) & inside, (wanted > 5) & inside
    centre_seen, centre_wanted = (np.argwhere(m).mean(axis=0) for m in (liver_seen, liver_wanted))
    assert np.abs(centre_seen - centre_wanted).max() < 0.5


def test_uneven_slices_are_interpolated(tmp_path, make_ct, dicom_series):
    image = make_ct(size=(20, 18, 30))
    keep = [k for k in range(30) if k not in {11, 20}]
    positions = positions_of(image)[keep]
    stack = sitk.JoinSeries([image[:, :, k] for k in keep], 0.0, 3.0)
    dicom_series(tmp_path, stack, positions=positions)
    case = read_case(tmp_path)
    assert [(f.code, f.grade) for f in case.findings] == [("uneven_slices", "warning")]
    assert "3.00 to 6.00 mm apart" in case.findings[0].message
    assert "2 slices are missing, after slice 11, 19." in case.findings[0].message
    assert corner_distance_mm(affine_of(case.image), affine_of(image), image.GetSize()) < 1e-3
    seen, truth = (sitk.GetArrayFromImage(i).astype(int) for i in (case.image, image))
    assert np.abs(seen[keep] - truth[keep]).max() <= 1
    assert np.abs(seen[11] - (truth[10] + truth[12]) / 2).max() <= 1


def test_missing_slices_are_refused(tmp_path, make_ct, dicom_series):
    image = make_ct(size=(20, 18, 30))
    keep = [k for k in range(30) if not 10 <= k < 16]
    stack = sitk.JoinSeries([image[:, :, k] for k in keep], 0.0, 3.0)
    dicom_series(tmp_path, stack, positions=positions_of(image)[keep])
    with pytest.raises(InputError, match=r"lacks slices: 21.0 mm between slices 10 and 11 .* 3.0 mm elsewhere"):
        read_case(tmp_path)


def test_several_phases_in_one_series_are_refused(tmp_path, make_ct, dicom_series):
    image = make_ct(size=(20, 18, 12))
    positions = np.repeat(positions_of(image), 2, axis=0)
    stack = sitk.JoinSeries([image[:, :, k // 2] + k % 2 for k in range(24)], 0.0, 3.0)
    dicom_series(tmp_path, stack, positions=positions)
    with pytest.raises(InputError, match="images at the same place: several phases"):
        read_case(tmp_path)


def test_a_crooked_stack_is_refused(tmp_path, make_ct, dicom_series):
    image = make_ct(size=(20, 18, 12))
    positions = positions_of(image)
    positions[5, 0] += 15
    dicom_series(tmp_path, image, positions=positions)
    with pytest.raises(InputError, match="displaced sideways by up to"):
        read_case(tmp_path)


def test_other_dicom_objects_are_named(tmp_path, ct, dicom_series):
    dicom_series(tmp_path / "a", ct[:, :, :3], modality="RTSTRUCT")
    with pytest.raises(InputError, match=r"holds no DICOM image series\. It holds RTSTRUCT objects\. Give a folder"):
        read_case(tmp_path / "a")
    dicom_series(tmp_path / "b", ct[:, :, :3], ImagePositionPatient=None)
    with pytest.raises(InputError, match="It holds CT images without a position in the patient"):
        read_case(tmp_path / "b")
    dicom_series(tmp_path / "a", ct[:, :, :9], names=[f"ct{k}" for k in range(9)])
    with pytest.raises(InputError, match=r"0001.dcm is a DICOM file but no slice of a scan \(found: RTSTRUCT"):
        read_case(tmp_path / "a" / "0001.dcm")
    assert read_case(tmp_path / "a").image.GetSize()[2] == 9


def test_multi_frame_images_are_named(tmp_path, ct, dicom_series):
    array = sitk.GetArrayFromImage(ct).astype(np.uint16)
    dicom_series(
        tmp_path,
        ct[:, :, :1],
        NumberOfFrames=array.shape[0],
        PixelData=array.tobytes(),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3",
    )
    with pytest.raises(InputError, match="It holds multi-frame CT objects without positions of their frames"):
        read_case(tmp_path)


def test_a_cut_slice_is_refused(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    path = tmp_path / "0005.dcm"
    whole = path.read_bytes()
    for cut in (len(whole) - 10, len(whole) // 2, 900):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=re.escape(f"{path} is incomplete")):
            read_case(tmp_path)


def test_compressed_slices(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    for path in tmp_path.iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.compress(pydicom.uid.RLELossless)
        slice_.save_as(path)
    assert same_volume(read_case(tmp_path).image, ct)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=re.escape(f"{path} is ")):
        read_case(tmp_path)


@pytest.mark.parametrize("syntax", [pydicom.uid.ImplicitVRLittleEndian, pydicom.uid.DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes(tmp_path, ct, dicom_series, syntax):
    dicom_series(tmp_path, ct)
    for path in tmp_path.iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.file_meta.TransferSyntaxUID = syntax
        slice_.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    assert same_volume(read_case(tmp_path).image, ct)


def test_values_that_need_more_than_16_bits_become_floats(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct, RescaleSlope="0.5")
    image = read_case(tmp_path).image
    assert image.GetPixelID() == sitk.sitkFloat32
    expected = (sitk.GetArrayViewFromImage(ct).astype(float) + 1024) * 0.5 - 1024
    assert np.allclose(sitk.GetArrayViewFromImage(image), expected)


def test_fewer_than_eight_slices_are_found_by_the_checks(shared_data):
    case = read_case(shared_data / "tests" / "dicom_ct")
    assert (case.image.GetSize(), case.modality) == ((512, 512, 3), "CT")
    codes = {f.code: f.grade for f in check_image(case.image, case.modality)}
    assert codes["slices"] == "error"
    assert not any(code.startswith(("hu_", "not_")) for code in codes)
