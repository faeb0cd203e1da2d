"""Kinds of DICOM beside one file a slice in one series: frames, no preamble, DICOMDIR, acquisitions, copies, text."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_checks import codes, edit, same_volume
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import affine_of
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.dicomseg import write_dicom_seg
from LiverTumorSegLib.scan.imageio import read_case
from pydicom.uid import RLELossless, generate_uid


@pytest.fixture
def ct(make_ct):
    return make_ct(size=(40, 32, 20))


def sequence(**values):
    item = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return pydicom.Sequence([item])


def to_enhanced(folder, order, per_frame_rescale=False):
    """Put the slices of a series into one Enhanced CT object, frames in a given order; return its file."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    slices = [slices[index] for index in order]
    whole = slices[0]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.NumberOfFrames = len(slices)
    rescale = {"RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU"}
    shared = {
        "PlaneOrientationSequence": sequence(ImageOrientationPatient=whole.ImageOrientationPatient),
        "PixelMeasuresSequence": sequence(PixelSpacing=whole.PixelSpacing, SliceThickness="3"),
    }
    transformation = {} if per_frame_rescale else {"PixelValueTransformationSequence": sequence(**rescale)}
    whole.SharedFunctionalGroupsSequence = sequence(**shared, **transformation)
    groups, planes = [], []
    for number, item in enumerate(slices):
        own = {"PlanePositionSequence": sequence(ImagePositionPatient=item.ImagePositionPatient)}
        stored = np.frombuffer(item.PixelData, np.uint16)
        if per_frame_rescale:
            intercept = -1024 - number
            stored = stored + np.uint16(number)
            changed = rescale | {"RescaleIntercept": str(intercept)}
            own["PixelValueTransformationSequence"] = sequence(**changed)
        groups.append(sequence(**own)[0])
        planes.append(stored.tobytes())
    whole.PerFrameFunctionalGroupsSequence = pydicom.Sequence(groups)
    whole.PixelData = b"".join(planes)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept"):
        delattr(whole, keyword)
    del whole.RescaleSlope, whole.RescaleType, whole.SliceThickness
    shutil.rmtree(folder)
    folder.mkdir()
    whole.save_as(folder / "enhanced.dcm")
    return folder / "enhanced.dcm"


@pytest.mark.parametrize("per_frame_rescale", [False, True])
@pytest.mark.parametrize("order", ["forwards", "backwards", "mixed"])
def test_enhanced_ct_with_frames_in_any_order(tmp_path, ct, dicom_series, order, per_frame_rescale):
    dicom_series(tmp_path / "a", ct)
    places = {"forwards": range(20), "backwards": range(19, -1, -1), "mixed": np.random.default_rng(0).permutation(20)}
    file = to_enhanced(tmp_path / "a", list(places[order]), per_frame_rescale)
    for path in (tmp_path / "a", file):
        case = read_case(path)
        assert same_volume(case.image, ct)
        assert (case.modality, case.dicom_files, codes(case)) == ("CT", (str(file),), [])
    dataset = pydicom.dcmread(file)
    dataset.compress(RLELossless)
    dataset.save_as(file)
    assert same_volume(read_case(file).image, ct)


def test_a_dicom_seg_refers_to_the_frames_of_an_enhanced_ct(tmp_path, ct, dicom_series):
    highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    dicom_series(tmp_path / "a", ct)
    file = to_enhanced(tmp_path / "a", list(np.random.default_rng(0).permutation(20)))
    case = read_case(file)
    array = np.zeros(case.image.GetSize()[::-1], np.uint8)
    array[3:9, 5:20, 8:30], array[4:6, 8:12, 10:15] = 1, 2
    labelmap = sitk.GetImageFromArray(array)
    labelmap.CopyInformation(case.image)
    write_dicom_seg(tmp_path / "a.dcm", labelmap, LIVER_TUMOR, case.dicom_files, "m", "1")
    volume = highdicom.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    assert [int((volume.array == value).sum()) for value in (1, 2)] == [int((array == v).sum()) for v in (1, 2)]
    places = [np.append(np.argwhere(a == 2).mean(0), 1) for a in (volume.array, array)]
    assert np.allclose((volume.affine @ places[0])[:3], (affine_of(case.image) @ places[1][[2, 1, 0, 3]])[:3])


def test_an_enhanced_ct_that_is_cut_is_refused(tmp_path, ct, dicom_series):
    dicom_series(tmp_path / "a", ct)
    file = to_enhanced(tmp_path / "a", range(20))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"enhanced.dcm is incomplete, damaged"):
        read_case(tmp_path / "a")


def test_files_without_preamble(tmp_path, ct, dicom_series):
    dicom_series(tmp_path / "a", ct)
    for number, path in enumerate(sorted((tmp_path / "a").iterdir())):
        dataset = pydicom.dcmread(path)
        bare = pydicom.Dataset()
        bare.update({element.tag: element for element in dataset})
        bare.save_as(tmp_path / "a" / f"I{number:07d}", implicit_vr=True, little_endian=True)
        path.unlink()
    (tmp_path / "a" / "notes").write_bytes(b"\x08\0 this is no DICOM" * 20)
    assert same_volume(read_case(tmp_path / "a").image, ct)
    assert same_volume(read_case(tmp_path / "a" / "I0000003").image, ct)


@pytest.mark.parametrize("suffix", [".IMA", ".ima", ""])
def test_files_called_otherwise(tmp_path, ct, dicom_series, suffix):
    dicom_series(tmp_path, ct, names=[f"CT.1.{k}{suffix}" for k in range(20)])
    assert same_volume(read_case(tmp_path).image, ct)
    assert same_volume(read_case(tmp_path / f"CT.1.7{suffix}").image, ct)


def test_a_dicomdir_stands_for_its_folder(tmp_path, ct, dicom_series):
    disc = tmp_path / "disc of Lékař"
    dicom_series(disc / "DICOM" / "S1", ct)
    (disc / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    case = read_case(disc / "DICOMDIR")
    assert same_volume(case.image, ct)
    assert case.name == "disc of Lékař"


def test_acquisitions_in_one_series_are_listed_and_chosen(tmp_path, ct, dicom_series):
    uid = dicom_series(tmp_path, ct, AcquisitionNumber=3)
    dicom_series(tmp_path, ct[:, :, :15] + 40, names=[f"p{k}" for k in range(15)], AcquisitionNumber=1)
    edit(tmp_path, lambda _, dataset: setattr(dataset, "SeriesInstanceUID", uid))
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert codes(case) == [("series_chosen", "info")]
    assert f"1: CT 'portal venous', 15 slices, acquisition 1, UID {uid}; 2: CT" in case.findings[0].message
    assert [(r.number, r.acquisition, r.slices, r.taken) for r in case.series] == [(1, 1, 15, False), (2, 3, 20, True)]
    assert same_volume(read_case(tmp_path, "1").image, ct[:, :, :15] + 40)
    assert same_volume(read_case(tmp_path / "p3").image, ct[:, :, :15] + 40)
    assert same_volume(read_case(tmp_path, uid).image, ct)


def test_acquisitions_that_follow_each_other_are_one_scan(tmp_path, ct, dicom_series):
    uid = dicom_series(tmp_path, ct[:, :, :11], AcquisitionNumber=1)
    dicom_series(tmp_path, ct[:, :, 10:] + 0, names=[f"p{k:02d}" for k in range(10)], AcquisitionNumber=2)
    edit(tmp_path, lambda _, dataset: setattr(dataset, "SeriesInstanceUID", uid))
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert codes(case) == [("series_copies", "warning")]
    shared = pydicom.dcmread(tmp_path / "p00")
    shared.PixelData = bytes(len(shared.PixelData))
    shared.save_as(tmp_path / "p00")
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert codes(case) == [("series_left_out", "warning")]
    assert "1 images of the series have another orientation, size or acquisition" in case.findings[0].message
    assert "number 1." in case.findings[0].message


def test_copies_sent_again_under_new_names_are_one(tmp_path, ct, dicom_series):
    uid = dicom_series(tmp_path, ct)
    dicom_series(tmp_path, ct, names=[f"again{k}" for k in range(20)])
    edit(tmp_path, lambda _, dataset: setattr(dataset, "SeriesInstanceUID", uid))
    case = read_case(tmp_path)
    assert same_volume(case.image, ct)
    assert codes(case) == [("series_copies", "warning")]
    assert "20 images of the series were there twice" in case.findings[0].message


def test_one_uid_for_all_images_is_no_copy(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    edit(tmp_path, lambda _, dataset: setattr(dataset, "SOPInstanceUID", "1.2.3"))
    assert same_volume(read_case(tmp_path).image, ct)


def test_images_at_one_place_are_no_volume(tmp_path, ct, dicom_series):
    spot = sitk.JoinSeries([ct[:, :, 5] + k for k in range(30)], 0.0, 1.0)
    positions = np.repeat([[0.0, 0.0, 50.0]], 30, axis=0)
    names = [f"m{k}" for k in range(30)]
    dicom_series(tmp_path, spot, positions=positions, names=names, description="Monitoring", number=1)
    edit(tmp_path, lambda number, dataset: setattr(dataset, "AcquisitionNumber", number))
    with pytest.raises(InputError, match="30 or more images at the same place"):
        read_case(tmp_path)
    dicom_series(tmp_path, ct[:, :, :9], number=2)
    case = read_case(tmp_path)
    assert same_volume(case.image, ct[:, :, :9])
    assert "1: CT 'Monitoring', 30 slices, UID" in case.findings[0].message


@pytest.mark.parametrize(
    "worse",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "IODINE"]},
        {"description": "Iodine map"},
        {"description": "cor MPR"},
        {"RescaleType": "MGML"},
        {"modality": "PT"},
    ],
)
def test_the_scan_goes_before_what_was_computed_from_it(tmp_path, ct, dicom_series, worse):
    dicom_series(tmp_path / "a", ct[:, :, :10], number=2)
    dicom_series(tmp_path / "b", ct, number=1, **worse)
    assert read_case(tmp_path).image.GetSize()[2] == 10
    shutil.rmtree(tmp_path / "a")
    assert read_case(tmp_path).image.GetSize()[2] == 20


def test_a_word_inside_a_word_is_no_reformat(tmp_path, ct, dicom_series):
    dicom_series(tmp_path / "a", ct[:, :, :10], number=1, description="pelvis")
    dicom_series(tmp_path / "b", ct, number=2, description="hemipelvis")
    assert read_case(tmp_path).image.GetSize()[2] == 20


def test_two_patients_in_a_folder_are_named(tmp_path, ct, dicom_series):
    dicom_series(tmp_path / "a", ct, number=1)
    uid = dicom_series(tmp_path / "b", ct[:, :, :9], PatientName="Other^Person", PatientID="2")
    case = read_case(tmp_path)
    assert codes(case) == [("series_chosen", "info"), ("several_patients", "warning")]
    assert "scans of 2 patients (Phantom^A (1), Other^Person (2)); the one of Phantom^A" in case.findings[1].message
    assert codes(read_case(tmp_path, uid)) == []


def test_every_file_with_a_series_of_its_own(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)
    edit(tmp_path, lambda _, dataset: setattr(dataset, "SeriesInstanceUID", generate_uid()))
    for path in (tmp_path, tmp_path / "0003.dcm"):
        with pytest.raises(InputError, match="each of its 20 images has a series UID of its own"):
            read_case(path)


@pytest.mark.parametrize("decimals", [1, 2])
@pytest.mark.parametrize("step", [0.625, 1.25, 3.3])
def test_rounded_positions_keep_every_slice(tmp_path, make_ct, dicom_series, step, decimals):
    image = make_ct(size=(20, 18, 73), spacing=(4, 4, step))
    positions = np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(73)]).round(decimals)
    dicom_series(tmp_path, image, positions=positions)
    case = read_case(tmp_path)
    assert same_volume(case.image, image, 0.1)
    assert codes(case) == []


def test_whole_millimetres_keep_the_slices_of_a_thin_scan(tmp_path, make_ct, dicom_series):
    """Gaps of 2 and 3 mm stand for 2.5 mm: near their mean, so the slices stay where they are."""
    image = make_ct(size=(20, 18, 30), spacing=(4, 4, 2.5))
    positions = np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(30)]).round(0)
    dicom_series(tmp_path, image, positions=positions)
    assert same_volume(read_case(tmp_path).image, image, 0.6)


def test_orientations_that_differ_in_the_last_digits_are_one_stack(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)

    def turn(number, dataset):
        sine = 0.000499 if number % 2 else 0.000501
        dataset.ImageOrientationPatient = [1, f"{sine}", 0, f"{-sine}", 1, 0]

    edit(tmp_path, turn)
    case = read_case(tmp_path)
    assert np.array_equal(sitk.GetArrayViewFromImage(case.image), sitk.GetArrayViewFromImage(ct))
    assert codes(case) == []


def test_images_of_another_plane_are_left_out_by_number(tmp_path, ct, dicom_series):
    dicom_series(tmp_path, ct)

    def turn(number, dataset):
        if number in {4, 9}:
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    edit(tmp_path, turn)
    case = read_case(tmp_path)
    assert codes(case) == [("series_left_out", "warning"), ("uneven_slices", "warning")]
    assert case.findings[0].message.endswith("were left out: number 5, 10.")


def test_unevenness_is_not_called_a_loss(tmp_path, ct, dicom_series):
    heights = np.array([0, 3, 6, 9, 12, 15, 18, 26.0, 29, 32, 35, 38, 41, 44, 47, 50, 53, 56, 59, 62])
    dicom_series(tmp_path, ct, positions=np.column_stack([0 * heights, 0 * heights, heights]))
    with pytest.raises(InputError, match=r"lie unevenly, 3.0 to 8.0 mm apart"):
        read_case(tmp_path)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (None, "Leber portalvenös".encode("latin-1"), "Leber portalvenös"),
        ("ISO_IR 100", "portalvenös".encode("latin-1"), "portalvenös"),
        ("ISO_IR 192", "肝 portální".encode(), "肝 portální"),
        ("ISO_IR 144", "печень".encode("iso8859-5"), "печень"),
        ("ISO_IR 192", b"portalven\xf6s", "portalven\ufffds"),
        ("no such set", b"a \x1b[31m b", "a [31m b"),
    ],
)
def test_text_of_any_encoding(tmp_path, ct, dicom_series, charset, raw, text):
    raw += b" " * (len(raw) % 2)
    dicom_series(tmp_path / "a", ct, description="x" * len(raw), SpecificCharacterSet=charset or "")
    dicom_series(tmp_path / "b", ct[:, :, :9])
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    case = read_case(tmp_path)
    assert [r.description for r in case.series if r.taken] == [text]
    assert f"'{text}'" in case.findings[0].message
    case.findings[0].message.encode()


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="file names are bytes on Linux only")
def test_a_folder_whose_name_is_no_text(tmp_path, ct, dicom_series):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Lek\xe1r"))
    dicom_series(folder / "a", ct)
    dicom_series(folder / "b", ct[:, :, :9])
    edit(folder / "a", lambda _, dataset: dataset.compress(RLELossless))
    case = read_case(folder)
    assert same_volume(case.image, ct)
    assert (case.name, "Lekár holds 2 series" in case.findings[0].message) == ("Lekár", True)
