"""Every doubt about an image: the finding, its grade and its sentence; good scans raise none."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.findings import Finding, refuse
from LiverTumorSegLib.scan.checks import check_image, replace_nonfinite


def with_values(image, array):
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result


def values_of(image):
    return sitk.GetArrayFromImage(image)


def codes(image, modality=None):
    return {f.code: f.grade for f in check_image(image, modality)}


def message(image, code, modality=None):
    return next(f.message for f in check_image(image, modality) if f.code == code)


def test_a_good_ct_raises_nothing(ct, make_ct):
    assert check_image(ct) == []
    assert check_image(ct, "CT") == []
    assert check_image(make_ct(direction=(0, 0, -1, 1, 0, 0, 0, 1, 0), size=(80, 64, 90))) == []


@pytest.mark.parametrize("share", [1e-5, 0.9e-3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_few_nonfinite_voxels_become_air(ct, share, bad):
    array = values_of(ct).astype(np.float32)
    count = max(1, int(share * array.size))
    places = np.random.default_rng(0).choice(array.size, count, replace=False)
    array.ravel()[places] = bad
    image = with_values(ct, array)
    assert codes(image) == {"nonfinite_replaced": "warning"}
    assert message(image, "nonfinite_replaced").startswith(f"{count} of {array.size} voxels are not numbers")
    clean = replace_nonfinite(image)
    assert np.all(values_of(clean).ravel()[places] == -1024)
    assert np.array_equal(np.delete(values_of(clean).ravel(), places), np.delete(array.ravel(), places))
    assert clean.GetOrigin() == image.GetOrigin()
    assert check_image(clean) == []


def test_many_nonfinite_voxels_are_refused(ct):
    array = values_of(ct).astype(np.float64)
    array[5, :30] = np.nan
    image = with_values(ct, array)
    assert codes(image) == {"nonfinite": "error"}
    with pytest.raises(InputError, match=r"voxels \(1.2 %\) are not numbers \(NaN or infinite\)\. Export the image"):
        refuse(check_image(image), force=True)


def test_an_image_that_needs_no_cleaning_is_not_copied(ct):
    assert replace_nonfinite(ct) is ct
    floats = sitk.Cast(ct, sitk.sitkFloat32)
    assert replace_nonfinite(floats) is floats


@pytest.mark.parametrize("spacing", [(0.1, 0.1, 3), (4, 4, 12), (1e-3, 1e-3, 1e-3)])
def test_absurd_spacing(ct, spacing):
    ct.SetSpacing(spacing)
    assert codes(ct)["spacing"] == "error"
    assert "a CT has 0.2 to 10 mm" in message(ct, "spacing")
    with pytest.raises(InputError):
        refuse(check_image(ct), force=True)


@pytest.mark.parametrize("spacing", [(0.2, 0.2, 0.2), (10, 10, 10), (4, 4, 5.0)])
def test_extreme_but_possible_spacing(ct, spacing):
    ct.SetSpacing(spacing)
    assert "error" not in codes(ct).values()


@pytest.mark.parametrize("count", [1, 7, 8])
def test_slice_count(ct, count):
    for image in (ct[:, :, :count], sitk.PermuteAxes(ct[:, :, :count], [2, 0, 1])):
        assert ("slices" in codes(image)) == (count < 8)
    if count < 8:
        assert "at least 8 slices are needed. Load the whole series" in message(ct[:, :, :count], "slices")


def test_thick_slices_and_small_views(ct, make_ct):
    thick = make_ct(size=(80, 64, 30), spacing=(4, 4, 8))
    assert codes(thick) == {"thick_slices": "warning"}
    assert "Slices are 8.0 mm apart" in message(thick, "thick_slices")
    assert codes(make_ct(size=(40, 64, 40))) == {"small_field_of_view": "warning"}
    assert codes(make_ct(size=(80, 64, 20))) == {"small_field_of_view": "warning"}
    assert "spans only 320 x 256 x 60 mm" in message(make_ct(size=(80, 64, 20)), "small_field_of_view")


def test_absurd_extent_may_be_forced(make_ct):
    image = make_ct(size=(600, 64, 30), spacing=(4.5, 5, 5))
    assert codes(image) == {"extent": "error"}
    with pytest.raises(InputError, match=r"spans 2700 x 320 x 150 mm, more than a person.*Use --force \(in Slicer"):
        refuse(check_image(image))
    refuse(check_image(image), force=True)


def test_lost_spacing_of_a_full_ct(make_ct):
    image = sitk.Image(512, 512, 90, sitk.sitkInt16)
    array = values_of(image)
    array[:] = -1000
    array[:, 100:400, 100:400] = 50
    assert codes(with_values(image, array)) == {"spacing_identity": "warning"}


def test_shapes(ct):
    assert codes(ct[:, :, 0]) == {"shape": "error"}
    assert "4 dimensions (80 x 64 x 40 x 2)" in message(sitk.JoinSeries([ct, ct]), "shape")
    assert "2 values a voxel (80 x 64 x 40 voxels" in message(sitk.Compose([ct, ct]), "shape")
    floats = sitk.Cast(ct, sitk.sitkFloat32)
    assert "holds complex numbers" in message(sitk.RealAndImaginaryToComplex(floats, floats), "shape")


def test_sheared_axes_are_refused(ct):
    ct.SetDirection((1, 0.01, 0, 0, 1, 0, 0, 0, 1))
    assert codes(ct) == {"sheared": "error"}
    assert "the image axes are not at right angles (cosine 0.010)" in message(ct, "sheared").replace("The", "the")


def spoilt(array):
    """Return the six ways, each with its code, in which a CT stops being in Hounsfield units."""
    hu = array.astype(np.float32)
    gray = np.clip((hu + 150) / 400, 0, 1)
    return {
        "hu_clipped": np.clip(array, -150, 250),
        "hu_gray_values": (255 * gray).astype(np.uint8),
        "hu_normalised": gray,
        "hu_shifted": (array.astype(np.int32) + 1024).astype(np.uint16),
        "hu_no_air": (array * 0.7 + np.random.default_rng(0).normal(0, 20, array.shape)).astype(np.int16),
        "not_hounsfield": np.clip(hu + 1000, 0, None) * 3.7,
    }


@pytest.mark.parametrize("code", list(spoilt(np.zeros(1))))
def test_lost_hounsfield_units_are_named(ct, code):
    image = with_values(ct, spoilt(values_of(ct))[code])
    assert code in codes(image)
    (finding,) = (f for f in check_image(image) if f.code == code)
    assert finding.grade == ("error" if code == "not_hounsfield" else "warning")
    assert finding.message.startswith("Values run from ")
    # A DICOM header that says CT turns the refusal into a warning.
    assert codes(image, "CT")[code] == "warning"


def test_wider_clipping_is_noticed_too(ct):
    for low, high in ((-100, 400), (-300, 800), (-200, 250), (-500, 500)):
        image = with_values(ct, np.clip(values_of(ct), low, high))
        assert set(codes(image)) & {"hu_clipped", "hu_no_air"}, (low, high)


def test_padding_metal_and_lost_lower_bits_are_no_reason(ct):
    array = values_of(ct)
    array[:, :5] = -2000
    array[:, :, :5] = -3024
    array[20, 30:33, 30:33] = 30000
    assert check_image(with_values(ct, array)) == []
    assert check_image(with_values(ct, (values_of(ct) // 8) * 8)) == []


def test_an_empty_image(ct):
    image = with_values(ct, np.full_like(values_of(ct), 7))
    assert codes(image) == {"constant": "error"}
    with pytest.raises(InputError, match="Every voxel has the value 7: the image is empty"):
        refuse(check_image(image), force=True)


def test_modality(ct):
    assert codes(ct, "MR") == {"modality": "error"}
    with pytest.raises(
        InputError, match=r"The image modality is MR, but .* CT only\. Choose a CT series\. Use --force"
    ):
        refuse(check_image(ct, "MR"))
    refuse(check_image(ct, "MR"), force=True)


def test_refusing_names_every_error():
    findings = [
        Finding("a", "warning", "Only a warning."),
        Finding("b", "error", "First.", overridable=True),
        Finding("c", "error", "Second."),
    ]
    with pytest.raises(InputError) as error:
        refuse(findings)
    assert str(error.value) == "First. Second."
    with pytest.raises(InputError) as error:
        refuse(findings, force=True)
    assert str(error.value) == "Second."
    refuse(findings[:1])
    refuse([])


def test_an_mr_given_as_ct_is_refused_unless_forced(shared_data):
    image = sitk.ReadImage(str(shared_data / "tests" / "abdominal_mr.nii.gz"))
    assert codes(image)["not_hounsfield"] == "error"
    with pytest.raises(InputError, match=r"an MR image, or a CT whose rescale slope was lost.*Use --force"):
        refuse(check_image(image))
    refuse(check_image(image), force=True)


def test_a_windowed_picture_of_a_head_is_a_warning(shared_data):
    image = sitk.ReadImage(str(shared_data / "tests" / "head_ct.nii.gz"))
    assert codes(image)["hu_gray_values"] == "warning"
    refuse(check_image(image))


def test_real_scans_warn_when_clipped_and_only_then(shared_data):
    images = [p for p in sorted((shared_data / "liver").glob("*/*.nii.gz")) if not p.stem.endswith("_label.nii")]
    assert len(images) > 40
    for path in images:
        found = {c for c in codes(sitk.ReadImage(str(path))) if c.startswith(("hu_", "not_"))}
        assert found == ({"hu_clipped"} if path.parent.name == "1mm" else set()), path.name
    for name in ("abdomen_3mm_ct", "abdomen_pelvis_3mm_ct"):
        assert codes(sitk.ReadImage(str(shared_data / "tests" / f"{name}.nii.gz"))) == {}
