"""NIfTI headers that contradict themselves or are not at right angles; sheared grids of other formats."""

import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import affine_of, corner_distance_mm, nearest_orthonormal, shear_of, superior_axis
from LiverTumorSegLib.scan.imageio import read_case
from scipy.spatial.transform import Rotation

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SIZE = (20, 22, 24)


def write_nifti(path, sform, qform=None, s_code=1, q_code=0, pixdim=None):
    """Write zeros with these RAS affines; ``pixdim`` overrides the spacing in the header."""
    image = nibabel.Nifti1Image(np.zeros(SIZE, np.int16), sform)
    image.set_qform(sform if qform is None else qform, q_code)
    image.set_sform(sform, s_code)
    if pixdim is not None:
        image.header["pixdim"][1:4] = pixdim
    nibabel.save(image, path)
    return path


def put(path, place, form, *values):
    """Write numbers into a header."""
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, place, *values)
    path.write_bytes(raw)


def sheared(amount):
    """Return an RAS affine of 2 x 2 x 3 mm whose y axis leans towards x by this cosine."""
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[0, 1] = 2.0 * amount
    return affine


@pytest.mark.parametrize("amount", [2e-4, 5e-4, 9e-4])
@pytest.mark.parametrize("codes", [(1, 0), (2, 0)])
def test_slightly_oblique_sform_is_put_right(tmp_path, amount, codes):
    case = read_case(write_nifti(tmp_path / "a.nii.gz", sheared(amount), s_code=codes[0], q_code=codes[1]))
    assert [f.code for f in case.findings] == ["orthonormalised"]
    assert shear_of(case.image.GetDirection()) < 1e-12
    assert corner_distance_mm(affine_of(case.image), LPS @ sheared(amount), SIZE) < 2e-3 * 72
    assert np.allclose(case.image.GetSpacing(), (2, 2, 3), atol=1e-5)


@pytest.mark.parametrize("amount", [2e-3, 0.1, 0.5])
def test_sheared_sform_is_refused(tmp_path, amount):
    path = write_nifti(tmp_path / "a.nii.gz", sheared(amount))
    with pytest.raises(InputError, match=r"the image axes are not at right angles \(cosine .*Resample it"):
        read_case(path)


def test_a_valid_qform_stands_in_for_a_sheared_sform_and_says_so(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", sheared(0.1), np.diag([2.0, 2.0, 3.0, 1.0]), q_code=1)
    case = read_case(path)
    assert [(f.code, f.grade) for f in case.findings] == [("orientation_contradiction", "warning")]
    assert "up to 4.2 mm apart; the qform is used" in case.findings[0].message


@pytest.mark.parametrize(("s_code", "q_code"), [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1)])
def test_two_orientations_are_reported(tmp_path, s_code, q_code):
    other = np.diag([2.0, 2.0, 3.0, 1.0])
    other[0, 3] = 10.0
    path = write_nifti(tmp_path / "a.nii.gz", np.diag([2.0, 2.0, 3.0, 1.0]), other, s_code, q_code)
    case = read_case(path)
    assert [f.code for f in case.findings] == ["orientation_contradiction"]
    used = "qform" if case.image.GetOrigin()[0] == -10 else "sform"
    assert f"10.0 mm apart; the {used} is used" in case.findings[0].message


def test_no_orientation_is_reported(tmp_path):
    case = read_case(write_nifti(tmp_path / "a.nii.gz", np.diag([2.0, 2.0, 3.0, 1.0]), s_code=0))
    assert [(f.code, f.grade) for f in case.findings] == [("orientation_unknown", "warning")]


def test_two_spacings_are_refused_unless_forced(tmp_path):
    case = read_case(write_nifti(tmp_path / "a.nii", np.diag([2.0, 2.0, 3.0, 1.0]), pixdim=(1, 1, 1)))
    assert [(f.code, f.grade, f.overridable) for f in case.findings] == [("spacing_contradiction", "error", True)]
    assert "1 x 1 x 1 mm (pixdim) and 2 x 2 x 3 mm (sform)" in case.findings[0].message


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_unusable_orientation(tmp_path, bad):
    affine = np.diag([2.0, 2.0, bad, 1.0])
    path = tmp_path / "a.nii"
    write_nifti(path, np.eye(4))
    raw = bytearray(path.read_bytes())
    raw[280:328] = affine[:3].astype("<f4").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match="the sform of its header holds no usable orientation"):
        read_case(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_sheared_grids_of_other_formats(tmp_path, ct, suffix):
    ct.SetDirection((1, 0.3, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(ct, str(tmp_path / f"a{suffix}"))
    with pytest.raises(InputError, match="the image axes are not at right angles"):
        read_case(tmp_path / f"a{suffix}")
    ct.SetDirection((1, 5e-4, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(ct, str(tmp_path / f"b{suffix}"))
    image = read_case(tmp_path / f"b{suffix}").image
    assert shear_of(image.GetDirection()) < 1e-12
    assert np.allclose(image.GetDirection(), ct.GetDirection(), atol=5e-4)


@st.composite
def directions(draw):
    """Any rotation, any order of the axes, any flips: left-handed grids too."""
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    signs = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    order = draw(st.permutations([0, 1, 2]))
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, order] * signs


@given(directions(), st.floats(0, 1e-3), st.integers(0, 8))
def test_orthonormalising_keeps_the_axes_and_their_handedness(direction, amount, place):
    bent = direction.copy()
    bent[place // 3, place % 3] += amount
    straight = nearest_orthonormal(bent)
    assert shear_of(straight) < 1e-12
    assert np.abs(straight - direction).max() <= 2.1 * amount + 1e-12
    assert np.sign(np.linalg.det(straight)) == np.sign(np.linalg.det(direction))


@given(directions())
def test_superior_axis_is_the_one_that_moves_most_along_the_patient(direction):
    moves = np.abs(direction[2])
    assert moves[superior_axis(direction)] == moves.max()


@settings(max_examples=25, deadline=None)
@given(
    directions(),
    st.tuples(*[st.floats(0.3, 8)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.sampled_from([".nii.gz", ".nrrd", ".mha"]),
)
def test_any_grid_is_read_as_it_was_written(tmp_path_factory, direction, spacing, origin, suffix):
    image = sitk.Image(12, 9, 10, sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel().tolist())
    path = tmp_path_factory.mktemp("grid") / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    case = read_case(path)
    # NIfTI stores 32-bit floats: half a unit in the last place of 500 mm is 1.5e-5 mm.
    assert corner_distance_mm(affine_of(case.image), affine_of(image), image.GetSize()) < 1e-4
    assert case.findings == ()


@pytest.mark.parametrize("depth", [-3.0, -1e-10, 0.0, np.nan])
def test_spacing_that_cannot_be(tmp_path, depth):
    for codes in ((1, 0), (0, 1), (0, 0)):
        if codes == (1, 0) and depth < 0:
            continue
        path = write_nifti(tmp_path / "a.nii", np.diag([2.0, 2.0, 3.0, 1.0]), s_code=codes[0], q_code=codes[1])
        put(path, 88, "<f", depth)
        with pytest.raises(InputError, match=rf"gives a voxel spacing of 2 x 2 x {depth:g} mm\. Export"):
            read_case(path)


@pytest.mark.parametrize("q_code", [0, 1])
@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, 1, -1), (-1, -1, -1)])
def test_negative_spacing_beside_a_good_sform(tmp_path, signs, q_code):
    affine = np.array([[0, -2.0, 0, 10], [3.0, 0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])
    path = write_nifti(tmp_path / "a.nii", affine, q_code=q_code)
    put(path, 80, "<3f", *(np.array([3.0, 2.0, 4.0]) * signs))
    case = read_case(path)
    assert corner_distance_mm(affine_of(case.image), LPS @ affine, SIZE) < 1e-4
    assert [(f.code, f.grade) for f in case.findings] == [("spacing_negative", "info")]
    put(path, 80, "<f", -1e-10)
    assert [(f.code, f.grade) for f in read_case(path).findings][-1] == ("spacing_contradiction", "error")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("place", "form"), [(280, "sform"), (256, "qform")])
def test_one_bad_of_two_orientations(tmp_path, place, form, bad):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = 10, 20, 30
    path = write_nifti(tmp_path / "a.nii", affine, q_code=1)
    put(path, place, "<f", bad)
    case = read_case(path)
    assert corner_distance_mm(affine_of(case.image), LPS @ affine, SIZE) < 1e-4
    assert [(f.code, f.grade) for f in case.findings] == [("orientation_damaged", "warning")]
    assert f"The {form} of a.nii holds no usable orientation" in case.findings[0].message
    put(path, 280, "<12f", *[0.0] * 12)
    put(path, 256, "<f", np.nan)
    with pytest.raises(InputError, match="the sform of its header holds no usable orientation"):
        read_case(path)


def test_a_rounded_quaternion_is_one(tmp_path):
    """Three decimals of a turn by 90 degrees are longer than one; ITK takes them."""
    path = write_nifti(tmp_path / "a.nii", np.eye(4), s_code=0, q_code=1)
    put(path, 256, "<3f", 0.70712, 0.70712, 0.0)
    case = read_case(path)
    axes = np.abs(np.reshape(case.image.GetDirection(), (3, 3)))
    assert np.allclose(axes, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-4)
