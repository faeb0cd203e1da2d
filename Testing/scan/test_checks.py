"""Every doubt about an image: the finding, its grade and its sentence; good scans raise none."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.findings import Finding, refuse
from LiverTumorSegLib.scan.checks import check_image
from LiverTumorSegLib.scan.padding import replace_missing


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
    clean = replace_missing(image)
    assert np.all(values_of(clean).ravel()[places] == -1024)
    assert np.array_equal(np.delete(values_of(clean).ravel(), places), np.delete(array.ravel(), places))
    assert clean.GetOrigin() == image.GetOrigin()
    assert check_image(clean) == []


def test_many_nonfinite_voxels_are_refused(ct):
    array = values_of(ct).astype(np.float64)
    array[5, 20:50, 2:78] = np.nan
    image = with_values(ct, array)
    assert codes(image) == {"nonfinite": "error"}
    with pytest.raises(InputError, match=r"voxels \(1.1 %\) are not numbers \(NaN or infinite\)\. Export the image"):
        refuse(check_image(image), force=True)


def test_an_image_that_needs_no_cleaning_is_not_copied(ct):
    assert replace_missing(ct) is ct
    floats = sitk.Cast(ct, sitk.sitkFloat32)
    assert replace_missing(floats) is floats


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
    loss = {"hu_gray_values", "hu_normalised", "hu_shifted"}
    assert finding.grade == ("error" if code in {*loss, "not_hounsfield"} else "warning")
    assert finding.overridable == (finding.grade == "error")
    assert finding.message.startswith("Values run from ")
    # A DICOM header that says CT turns the refusal of a possible MR into a warning, but not that of a known loss.
    assert codes(image, "CT")[code] == ("error" if code in loss else "warning")


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


def test_a_windowed_picture_of_a_head_is_refused_unless_forced(shared_data):
    image = sitk.ReadImage(str(shared_data / "tests" / "head_ct.nii.gz"))
    assert codes(image)["hu_gray_values"] == "error"
    with pytest.raises(InputError, match=r"already been windowed.*Use --force"):
        refuse(check_image(image))
    refuse(check_image(image), force=True)


def test_real_scans_warn_when_clipped_and_only_then(shared_data):
    images = [p for p in sorted((shared_data / "liver").glob("*/*.nii.gz")) if not p.stem.endswith("_label.nii")]
    assert len(images) > 40
    for path in images:
        found = {c for c in codes(sitk.ReadImage(str(path))) if c.startswith(("hu_", "not_"))}
        assert found == ({"hu_clipped"} if path.parent.name == "1mm" else set()), path.name
    for name in ("abdomen_3mm_ct", "abdomen_pelvis_3mm_ct"):
        assert codes(sitk.ReadImage(str(shared_data / "tests" / f"{name}.nii.gz"))) == {}


def edge_of(array, value):
    """Fill what a round field of view leaves out of each slice."""
    _, y, x = np.ogrid[tuple(slice(0, n) for n in array.shape)]
    outside = ((y - array.shape[1] / 2) / 31) ** 2 + ((x - array.shape[2] / 2) / 39) ** 2 > 1
    return np.where(np.broadcast_to(outside, array.shape), value, array)


@pytest.mark.parametrize("value", [np.nan, np.inf, 32767, -32768])
def test_what_fills_the_outside_of_the_view_is_air(ct, value):
    array = edge_of(values_of(ct).astype(np.float32), value)
    image = with_values(ct, array if not np.isfinite(value) else array.astype(np.int16))
    assert codes(image) == {"padding_replaced": "warning"}
    clean = values_of(replace_missing(image))
    filled = ~np.isfinite(array) | (array == value)
    assert filled.mean() > 0.1
    assert (clean[filled] == -1024).all()
    assert np.array_equal(clean[~filled], values_of(ct)[~filled])


def test_the_largest_value_inside_the_body_is_metal(ct):
    array = values_of(ct).copy()
    array[20, 30:33, 30:33] = 32767
    image = with_values(ct, array)
    assert check_image(image) == []
    assert replace_missing(image) is image


@pytest.mark.parametrize("values", [(0, 1), (0, 1, 2), (0, 255), tuple(range(25))])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_labelmap_is_no_scan(ct, values, kind):
    z, y, x = np.indices(values_of(ct).shape)
    organs = np.asarray(values)[((x // 12) + 3 * (y // 12) + 5 * (z // 12)) % len(values)]
    image = with_values(ct, organs.astype(kind))
    assert codes(image)["labelmap"] == "error"
    with pytest.raises(InputError, match=r"holds labels .* it is a segmentation\. Give the CT"):
        refuse(check_image(image), force=True)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spoil", [lambda s: s + 1024, lambda s: s - 1024, lambda s: (s + 1024) * 2 - 1024])
def test_one_slice_with_another_rescale_is_named(make_ct, axis, spoil):
    direction = [(1, 0, 0, 0, 1, 0, 0, 0, 1), (1, 0, 0, 0, 0, -1, 0, 1, 0)][axis]
    image = make_ct(size=(80, 64, 90), direction=direction)
    array = values_of(image).copy()
    part = np.s_[17] if axis == 0 else np.s_[:, 17]
    array[part] = spoil(array[part])
    assert codes(with_values(image, array))["slice_rescale"] == "warning"
    assert "Slice 18 differs" in message(with_values(image, array), "slice_rescale")


def test_real_labelmaps_are_refused(shared_data):
    labels = [*sorted((shared_data / "liver" / "3mm_whole").glob("*_label.nii.gz"))[:6]]
    labels.append(shared_data / "tests" / "abdomen_3mm_label.nii.gz")
    for path in labels:
        assert "labelmap" in codes(sitk.ReadImage(str(path))), path.name
