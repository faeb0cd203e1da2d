"""Bad input through the command line, one for each image row of the promises: exit code 3, one sentence, no file left.

Images that only deserve a warning are segmented, and the warning is in the report.
"""

import gzip
import json
import os
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main
from LiverTumorSegLib.output.segfile import read_segmentation


@pytest.fixture(scope="module")
def phantom(make_phantom):
    """Return a phantom that segments well, and its labels."""
    image, labels, _ = make_phantom(spacing=(3.0, 3.0, 3.5))
    return image, labels


@pytest.fixture
def segment(models, monkeypatch, capfd, tmp_path):
    """Return a function that runs the command line: (exit code, events, words on stderr, result files)."""
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))
    output = tmp_path / "results"

    def run(path, *options):
        capfd.readouterr()
        arguments = [str(path), "--output", str(output), "--device", "cpu", "--quality", "quick", "--json-progress"]
        code = main([*arguments, *options])
        told = capfd.readouterr()
        events = [json.loads(line) for line in told.out.splitlines()]
        return code, events, told.err, sorted(p.name for p in output.iterdir()) if output.is_dir() else []

    return run


@pytest.fixture
def refused(segment):
    """Return a function that expects a refusal and gives its sentence."""

    def run(path, *options):
        code, events, words, files = segment(path, *options)
        assert (code, files) == (3, []), events
        assert (events[-1]["event"], events[-1]["exit_code"]) == ("error", 3)
        assert "\n" not in events[-1]["message"]
        assert "Traceback" not in words
        assert "WARNING" not in words
        return events[-1]["message"]

    return run


@pytest.fixture
def findings(segment, tmp_path):
    """Return a function that segments and gives the findings of the report, code to grade."""

    def run(path, *options):
        code, events, _, _ = segment(path, *options)
        assert code == 0, events[-1]
        (report,) = (tmp_path / "results").glob("*.report.json")
        return {f["code"]: f["grade"] for f in json.loads(report.read_text(encoding="utf-8"))["findings"]}

    return run


def write(image, path):
    sitk.WriteImage(image, str(path))
    return path


def with_values(image, array):
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result


def values_of(image):
    return sitk.GetArrayFromImage(image)


def test_nothing_there(refused, tmp_path):
    assert "does not exist" in refused(tmp_path / "no.nii.gz")
    (tmp_path / "empty").mkdir()
    assert "holds no DICOM image series" in refused(tmp_path / "empty")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" * 100)
    assert "is not an image this program reads" in refused(tmp_path / "a.jpg")


def test_nonfinite_voxels(refused, findings, phantom, tmp_path):
    array = values_of(phantom[0]).astype(np.float32)
    array[0, 5:40, 5:95] = np.nan
    assert "are not numbers (NaN or infinite)" in refused(write(with_values(phantom[0], array), tmp_path / "a.nii.gz"))
    assert "are not numbers" in refused(tmp_path / "a.nii.gz", "--force")
    array = values_of(phantom[0]).astype(np.float32)
    array[20, 30, 30:33] = np.inf, -np.inf, np.nan
    array[:, :6] = np.nan
    found = findings(write(with_values(phantom[0], array), tmp_path / "b.nrrd"))
    assert found == {"nonfinite_replaced": "warning", "padding_replaced": "warning"}


def test_images_that_are_not_one_volume(refused, phantom, tmp_path):
    image = phantom[0]
    shape = " x ".join(str(n) for n in image.GetSize())
    assert f"has 4 dimensions ({shape} x 2)" in refused(write(sitk.JoinSeries([image, image]), tmp_path / "a.nii.gz"))
    assert "has 2 dimensions" in refused(write(image[:, :, 3], tmp_path / "b.nii.gz"))
    colour = sitk.Compose([sitk.Cast(image, sitk.sitkUInt8)] * 3)
    assert f"has 3 values a voxel ({shape} voxels: a colour" in refused(write(colour, tmp_path / "c.nrrd"))


def test_a_ct_that_was_windowed_is_segmented_with_a_warning(findings, phantom, tmp_path):
    image = with_values(phantom[0], np.clip(values_of(phantom[0]), -160, 240))
    assert findings(write(image, tmp_path / "a.nrrd")) == {"hu_clipped": "warning"}


def test_a_segmentation_given_as_ct(refused, phantom, tmp_path):
    path = write(with_values(phantom[0], phantom[1].astype(np.int16)), tmp_path / "liver.nii.gz")
    assert "it is a segmentation. Give the CT" in refused(path)
    assert "it is a segmentation. Give the CT" in refused(path, "--force")


def test_a_ct_that_lost_its_intercept(refused, phantom, tmp_path):
    noise = np.random.default_rng(0).integers(-9, 10, phantom[1].shape)
    image = with_values(phantom[0], (values_of(phantom[0]) + 1024 + noise).astype(np.int16))
    assert "the rescale intercept (-1024) was lost" in refused(write(image, tmp_path / "a.nii.gz"))


def test_an_mr_given_as_ct(refused, findings, shared_data):
    mr = shared_data / "tests" / "abdominal_mr.nii.gz"
    assert "an MR image, or a CT whose rescale slope was lost" in refused(mr)
    assert findings(mr, "--force")["not_hounsfield"] == "error"


def test_an_mr_that_says_so(refused, phantom, tmp_path, dicom_series):
    dicom_series(tmp_path / "mr", phantom[0], modality="MR")
    assert "The image modality is MR, but the network was trained on CT only" in refused(tmp_path / "mr")


def test_a_windowed_head(refused, findings, shared_data):
    assert "8-bit picture that has already been windowed" in refused(shared_data / "tests" / "head_ct.nii.gz")
    found = findings(shared_data / "tests" / "head_ct.nii.gz", "--force")
    assert found["hu_gray_values"] == "error"


@pytest.mark.parametrize("spacing", [(0.05, 0.05, 0.05), (3, 3, 40)])
def test_absurd_spacing(refused, phantom, tmp_path, spacing):
    image = sitk.Image(phantom[0])
    image.SetSpacing(spacing)
    for options in ((), ("--force",)):
        assert "a CT has 0.2 to 10 mm" in refused(write(image, tmp_path / "a.nrrd"), *options)


def test_too_few_slices(refused, phantom, tmp_path):
    assert "at least 8 slices are needed" in refused(write(phantom[0][:, :, 20:27], tmp_path / "a.nrrd"))


def test_three_slices_of_a_real_series(refused, shared_data):
    assert "512 x 512 x 3 voxels: at least 8 slices are needed" in refused(shared_data / "tests" / "dicom_ct")
    assert "no slice of a scan (found: SEG objects)" in refused(shared_data / "tests" / "dicom_ct" / "liver.dcm")


def test_more_than_a_person(refused, phantom, tmp_path):
    image = sitk.Image(phantom[0])
    image.SetSpacing((10, 10, 10))
    long = sitk.ConstantPad(image[:, :, :20], (0, 0, 0), (200, 0, 0), -1000)
    assert "more than a person" in refused(write(long, tmp_path / "a.nrrd"))


def nifti(path, affine, image):
    """Write an image's voxels under an RAS affine."""
    nibabel.save(nibabel.Nifti1Image(values_of(image).transpose(2, 1, 0), affine), path)
    return path


def test_axes_that_are_not_at_right_angles(refused, findings, phantom, tmp_path):
    affine = np.diag([3.0, 3.0, 3.5, 1.0])
    affine[0, 1] = 0.3
    assert "the image axes are not at right angles" in refused(nifti(tmp_path / "a.nii.gz", affine, phantom[0]))
    affine[0, 1] = 3 * 8e-4
    assert findings(nifti(tmp_path / "b.nii.gz", affine, phantom[0])) == {"orthonormalised": "info"}


def test_contradicting_orientations(findings, phantom, tmp_path):
    image = nibabel.Nifti1Image(values_of(phantom[0]).transpose(2, 1, 0), np.diag([3.0, 3.0, 3.5, 1.0]))
    image.set_qform(np.diag([-3.0, 3.0, 3.5, 1.0]), 1)
    image.set_sform(np.diag([3.0, 3.0, 3.5, 1.0]), 1)
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert findings(tmp_path / "a.nii.gz") == {"orientation_contradiction": "warning"}


def test_two_spacings(refused, phantom, tmp_path):
    image = nibabel.Nifti1Image(values_of(phantom[0]).transpose(2, 1, 0), np.diag([3.0, 3.0, 3.5, 1.0]))
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = 1
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert "gives two voxel spacings, 1 x 1 x 1 mm (pixdim) and 3 x 3 x 3.5 mm (sform)" in refused(
        tmp_path / "a.nii.gz"
    )


def test_header_bomb(refused, tmp_path):
    raw = bytearray(400)
    struct.pack_into("<i", raw, 0, 348)
    struct.pack_into("<8h", raw, 40, 3, 30000, 30000, 300, 1, 1, 1, 1)
    struct.pack_into("<2h", raw, 70, 4, 16)
    raw[344:348] = b"n+1\0"
    (tmp_path / "a.nii").write_bytes(raw)
    assert "declares 30000 x 30000 x 300 voxels (540 GB)" in refused(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", ["nii.gz", "nii", "nrrd", "mha"])
def test_a_file_that_was_cut_off(refused, phantom, tmp_path, suffix):
    path = write(phantom[0], tmp_path / f"a.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * len(whole) // 3])
    assert "incomplete" in refused(path)


def test_a_damaged_file(refused, phantom, tmp_path):
    path = write(phantom[0], tmp_path / "a.nii.gz")
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[40:56] = b"\xff" * 16
    path.write_bytes(gzip.compress(bytes(raw)))
    assert "damaged NIfTI header" in refused(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_a_file_without_permission(refused, phantom, tmp_path):
    path = write(phantom[0], tmp_path / "a.nii.gz")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "Permission denied" in refused(path)


def test_gantry_tilt_gives_labels_within_one_voxel(findings, make_phantom, phantom, tmp_path, dicom_series):
    """The phantom scanned on slices tilted by 15 degrees: its labels must lie where its parts are."""
    image, labels = phantom
    count = image.GetSize()[2]
    positions = np.array([image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(count)])
    positions[:, 1] += np.tan(np.radians(15)) * (positions[:, 2] - positions[count // 2, 2])
    planes = []
    for position in positions:
        plane = sitk.Resample(
            image,
            [*image.GetSize()[:2], 1],
            sitk.Transform(),
            sitk.sitkLinear,
            position.tolist(),
            image.GetSpacing(),
            image.GetDirection(),
            -1000.0,
        )[:, :, 0]
        plane.SetOrigin((0.0, 0.0))
        planes.append(plane)
    stack = sitk.JoinSeries(planes, 0.0, image.GetSpacing()[2])
    dicom_series(tmp_path / "tilted", stack, positions=positions)
    assert findings(tmp_path / "tilted")["gantry_tilt"] == "warning"
    found, names = read_segmentation(tmp_path / "results" / "tilted.seg.nrrd")
    truth = with_values(image, labels)
    back = sitk.Resample(found, truth, sitk.Transform(), sitk.sitkNearestNeighbor)
    for wanted, seen in (
        (labels > 0, values_of(back) > 0),
        (labels == 2, values_of(back) == names["tumor"]),
    ):
        assert 2 * (wanted & seen).sum() / (wanted.sum() + seen.sum()) > 0.85
        shift = np.argwhere(wanted).mean(axis=0) - np.argwhere(seen).mean(axis=0)
        assert np.abs(shift).max() < 1


def test_an_unknown_series(refused, phantom, tmp_path, dicom_series):
    dicom_series(tmp_path / "study", phantom[0][:, :, 20:32])
    assert "holds no series '9'. It holds 1: CT 'portal venous', 12 slices" in refused(
        tmp_path / "study", "--series", "9"
    )
