"""DICOM SEG: read back by highdicom it is the same mask on the same slices, with codes and the model's name."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.dicomseg import write_dicom_seg
from LiverTumorSegLib.output.segfile import read_segmentation
from LiverTumorSegLib.scan.imageio import read_case

highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent the intended person name")


@pytest.fixture
def case(tmp_path, make_ct, dicom_series):
    dicom_series(tmp_path / "scan", make_ct(size=(40, 32, 12), spacing=(4, 4.5, 3)))
    return read_case(tmp_path / "scan")


def labelled(case):
    array = np.zeros(case.image.GetSize()[::-1], np.uint8)
    array[3:9, 5:20, 8:30] = 1
    array[4:6, 8:12, 10:15] = 2
    labelmap = sitk.GetImageFromArray(array)
    labelmap.CopyInformation(case.image)
    return labelmap


def read_back(path, case):
    """Return the segment numbers at the labelmap's voxels, found by patient position."""
    segmentation = highdicom.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=True)
    to_index = np.linalg.inv(volume.affine)
    size = case.image.GetSize()
    index = np.stack(np.meshgrid(*[np.arange(n) for n in size[::-1]], indexing="ij"), -1)[..., ::-1]
    matrix = np.reshape(case.image.GetDirection(), (3, 3)) * case.image.GetSpacing()
    points = index @ matrix.T + case.image.GetOrigin()
    places = np.rint(points @ to_index[:3, :3].T + to_index[:3, 3]).astype(int)
    inside = np.all((places >= 0) & (places < volume.spatial_shape), axis=-1)
    result = np.zeros(inside.shape, np.uint8)
    result[inside] = volume.array[tuple(places[inside].T)]
    return segmentation, result


def test_the_same_mask_comes_back(case, tmp_path):
    labelmap = labelled(case)
    write_dicom_seg(tmp_path / "a.dcm", labelmap, LIVER_TUMOR, case.dicom_files, "liver-tumor", "1.2.3")
    segmentation, array = read_back(tmp_path / "a.dcm", case)
    assert np.array_equal(array, sitk.GetArrayViewFromImage(labelmap))
    assert segmentation.number_of_segments == 2
    for number, label in enumerate(LIVER_TUMOR, start=1):
        description = segmentation.get_segment_description(number)
        assert description.segment_label == label.name
        assert description.segmented_property_category.value == label.category.value
        assert description.segmented_property_type.value == label.type.value
        assert description.segmented_property_type.scheme_designator == "SCT"
        assert description.algorithm_type.value == "AUTOMATIC"
        assert description.algorithm_identification.name == "liver-tumor"
        assert description.algorithm_identification.version == "1.2.3"
    assert segmentation.PatientName == "Phantom^A"
    assert segmentation.Modality == "SEG"
    referenced = {
        i.ReferencedSOPInstanceUID for i in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert len(referenced) == 12
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.dcm", "scan"]


def test_values_become_segment_numbers_in_the_order_of_the_labels(case, tmp_path):
    labelmap = labelled(case)
    write_dicom_seg(tmp_path / "a.dcm", labelmap, LIVER_TUMOR[::-1], case.dicom_files, "m", "1")
    _, array = read_back(tmp_path / "a.dcm", case)
    assert np.array_equal(array, np.array([0, 2, 1], np.uint8)[sitk.GetArrayViewFromImage(labelmap)])


def test_an_empty_segmentation(case, tmp_path):
    write_dicom_seg(tmp_path / "a.dcm", labelled(case) * 0, LIVER_TUMOR, case.dicom_files, "m", "1")
    assert not read_back(tmp_path / "a.dcm", case)[1].any()


def test_a_tilted_scan_gets_its_mask_on_the_original_slices(tmp_path, make_ct, dicom_series):
    image = make_ct(size=(40, 32, 12), spacing=(4, 4, 3))
    positions = np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(12)])
    positions[:, 1] += np.tan(np.radians(15)) * (positions[:, 2] - positions[0, 2])
    dicom_series(tmp_path / "scan", image, positions=positions)
    case = read_case(tmp_path / "scan")
    # The label is a half-space of the patient, y > -60 mm.
    _, height, _ = case.image.GetSize()
    array = np.zeros(case.image.GetSize()[::-1], np.uint8)
    array[:, case.image.GetOrigin()[1] + 4 * np.arange(height) > -60] = 1
    labelmap = sitk.GetImageFromArray(array)
    labelmap.CopyInformation(case.image)
    write_dicom_seg(tmp_path / "a.dcm", labelmap, LIVER_TUMOR, case.dicom_files, "m", "1")
    segmentation = highdicom.seg.segread(tmp_path / "a.dcm")
    frames = segmentation.get_pixels_by_source_instance(
        [s.ReferencedSOPInstanceUID for s in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence],
        combine_segments=True,
    )
    import pydicom

    tops = {f.SOPInstanceUID: float(f.ImagePositionPatient[1]) for f in map(pydicom.dcmread, case.dicom_files)}
    order = [
        tops[s.ReferencedSOPInstanceUID] for s in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    ]
    for top, frame in zip(order, frames, strict=True):
        edge = top + 4 * np.flatnonzero(frame[:, 20])[0]
        assert abs(edge - -58) <= 4


def test_the_dcmqi_sample(shared_data, tmp_path):
    folder = shared_data / "tests" / "dicom_ct"
    case = read_case(folder)
    reference, _ = read_segmentation(folder / "liver_seg.nrrd")
    write_dicom_seg(tmp_path / "a.dcm", reference, LIVER_TUMOR, case.dicom_files, "liver-tumor", "1")
    _, array = read_back(tmp_path / "a.dcm", case)
    assert np.array_equal(array, sitk.GetArrayViewFromImage(reference))
    # As dcmqi wrote the same mask.
    _, other = read_back(folder / "liver.dcm", case)
    assert np.array_equal(array, other)


def test_what_cannot_be_written(case, tmp_path, make_ct, dicom_series):
    with pytest.raises(InputError, match="can only be written for DICOM input"):
        write_dicom_seg(tmp_path / "a.dcm", labelled(case), LIVER_TUMOR, (), "m", "1")
    with pytest.raises(UsageError, match=r"cannot be written \(No such file"):
        write_dicom_seg(tmp_path / "no" / "a.dcm", labelled(case), LIVER_TUMOR, case.dicom_files, "m", "1")
    dicom_series(tmp_path / "b", make_ct(size=(40, 32, 12)), FrameOfReferenceUID=None)
    other = read_case(tmp_path / "b")
    with pytest.raises(
        InputError, match=r"No DICOM SEG can be made .*Frame Of Reference UID.*IOD\. Choose \.seg\.nrrd"
    ):
        write_dicom_seg(tmp_path / "a.dcm", labelled(other), LIVER_TUMOR, other.dicom_files, "m", "1")
    assert not (tmp_path / "a.dcm").exists()


def test_what_may_be_empty_may_be_absent(tmp_path, make_ct, dicom_series):
    absent = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    absent += ("AccessionNumber", "ReferringPhysicianName")
    dicom_series(tmp_path / "a", make_ct(size=(40, 32, 12)), **dict.fromkeys(absent))
    case = read_case(tmp_path / "a")
    write_dicom_seg(tmp_path / "a.dcm", labelled(case), LIVER_TUMOR, case.dicom_files, "m", "1")
    segmentation, array = read_back(tmp_path / "a.dcm", case)
    assert np.array_equal(array, sitk.GetArrayViewFromImage(labelled(case)))
    assert [segmentation[keyword].value for keyword in absent if keyword in segmentation] == [""] * len(absent)
