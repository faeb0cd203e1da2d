"""Lesion measures against phantoms whose answers are known, and their invariance to the grid."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.pipeline import lesions as lesions_room
from LiverTumorSegLib.pipeline import organ_surface, postprocess
from LiverTumorSegLib.pipeline.diameters import axial_diameters
from LiverTumorSegLib.pipeline.lesions import label_lesions, measure_lesions
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation


def as_image(array, spacing=(1, 1, 1), origin=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in origin])
    image.SetDirection(np.ravel(direction).tolist())
    return image


def ball(array, centre_mm, radius_mm, spacing, value):
    """Set voxels whose centre (index times spacing, x y z) lies in a ball."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in array.shape)]
    distance = sum((axis * s - c) ** 2 for axis, s, c in zip((x, y, z), spacing, centre_mm, strict=True))
    array[distance <= radius_mm**2] = value


def phantom(spacing, shift_mm=20.0, radius_mm=12.0):
    """Return a liver ball of 45 mm with a tumour ball off its centre, and densities 100 and 40 HU."""
    extent = 100.0
    array = np.zeros([int(extent / s) for s in spacing[::-1]], np.uint8)
    centre = np.array([n * s / 2 for n, s in zip(array.shape[::-1], spacing, strict=True)])
    ball(array, centre, 45.0, spacing, 1)
    centre[0] += shift_mm
    ball(array, centre, radius_mm, spacing, 2)
    return array, centre


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.7, 2.5), (0.8, 0.9, 5.0)])
def test_a_ball(spacing):
    array, centre = phantom(spacing)
    density = np.where(array == 2, 40, np.where(array == 1, 100, -1000)).astype(np.int16)
    origin = np.array([10.0, -20.0, 30.0])
    (lesion,) = measure_lesions(as_image(array, spacing, origin), as_image(density, spacing, origin))
    assert lesion.id == 1
    assert lesion.voxels == (array == 2).sum()
    assert lesion.volume_ml == pytest.approx(lesion.voxels * np.prod(spacing) / 1000)
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.03)
    pixel = max(spacing[:2])
    assert lesion.diameter_mm == pytest.approx(24, abs=pixel)
    assert lesion.perpendicular_mm == pytest.approx(24, abs=1.5 * pixel)
    assert np.abs(np.array(lesion.centroid_lps_mm) - (origin + centre)).max() < 0.5 * max(spacing)
    assert (lesion.mean_hu, lesion.sd_hu, lesion.mean_probability) == (40, 0, None)
    assert lesion.distance_to_liver_surface_mm == pytest.approx(45 - 12 - 20, abs=max(spacing[:2]))


@pytest.mark.parametrize("turn", [0, 20, 45, 63])
def test_an_ellipse_turned_in_the_slice(turn):
    spacing = (0.5, 0.5, 3.0)
    y, x = np.mgrid[:140, :160].astype(float)
    x, y = (x - 80) * 0.5, (y - 70) * 0.5
    angle = np.radians(turn)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    array = np.zeros((9, 140, 160), np.uint8)
    array[4] = 2 * ((u / 30) ** 2 + (v / 11) ** 2 <= 1)
    # A smaller slice of the same lesion must not count.
    array[5] = 2 * ((u / 12) ** 2 + (v / 12) ** 2 <= 1)
    (lesion,) = measure_lesions(as_image(array, spacing), as_image(array.astype(np.int16), spacing))
    assert lesion.diameter_mm == pytest.approx(60, abs=0.5)
    assert lesion.perpendicular_mm == pytest.approx(22, abs=0.6)
    assert lesion.distance_to_liver_surface_mm is None


def test_one_voxel_and_a_row_of_voxels():
    array = np.zeros((5, 5, 9), np.uint8)
    array[0, 0, 0] = 2
    array[3, 3, 2:8] = 2
    row, voxel = measure_lesions(as_image(array, (0.7, 0.9, 4)), as_image(array, (0.7, 0.9, 4)))
    assert (voxel.voxels, voxel.diameter_mm, voxel.perpendicular_mm) == (1, 0.9, 0.7)
    assert row.diameter_mm == pytest.approx(6 * 0.7)
    assert row.perpendicular_mm == pytest.approx(0.9)


def test_a_box_is_measured_corner_to_corner():
    array = np.zeros((6, 40, 50), np.uint8)
    array[2:4, 5:29, 8:40] = 2
    (lesion,) = measure_lesions(as_image(array), as_image(array))
    assert lesion.diameter_mm == pytest.approx(np.hypot(24, 32), abs=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.4, 3), st.floats(0.4, 3))
def test_diameters_agree_with_all_pairs_of_contour_points(seed, row_mm, column_mm):
    """Brute force: every pair of half-way points; the chord across is bounded by the extent across."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((1, 14, 15), bool)
    for _ in range(4):
        y, x, h, w = rng.integers(0, 9), rng.integers(0, 9), rng.integers(1, 6), rng.integers(1, 6)
        mask[0, y : y + h, x : x + w] = True
    pixels = np.argwhere(mask[0]).astype(float)
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    points = (pixels[:, None] + steps).reshape(-1, 2) * (row_mm, column_mm)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    longest, across = axial_diameters(mask, (1.0, row_mm, column_mm))
    assert longest == pytest.approx(distance.max())
    widest = 0.0
    for start, end in np.argwhere(distance > distance.max() - 1e-9):
        along = (points[end] - points[start]) / distance.max()
        sideways = points @ np.array([-along[1], along[0]])
        widest = max(widest, np.ptp(sideways))
    # A chord is never longer than the extent across, and at least half of it (the hull holds both triangles).
    assert widest / 2 - 1e-9 <= across <= widest + 1e-9


@st.composite
def axes(draw):
    angles = [draw(st.floats(-25, 25)) for _ in range(3)]
    order = draw(st.permutations([0, 1, 2]))
    signs = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), list(order), np.array(signs)


def reordered(image, order, signs):
    """Return the same voxels in the same places, stored along permuted and flipped axes."""
    return sitk.Flip(sitk.PermuteAxes(image, order), [bool(s < 0) for s in signs])


@settings(max_examples=12, deadline=None)
@given(axes())
# ITK's own inverse of a grid fails on a subnormal cosine.
@example((Rotation.from_euler("xyz", [1e-310, 1.5, 0], degrees=True).as_matrix(), [1, 0, 2], np.array([-1.0, -1, -1])))
def test_measures_do_not_depend_on_how_the_grid_is_stored(stored):
    rotation, order, signs = stored
    spacing = (1.2, 1.3, 2.5)
    array, _ = phantom(spacing)
    rng = np.random.default_rng(0)
    density = rng.normal(60, 20, array.shape).astype(np.float32)
    probability = np.where(array == 2, rng.integers(128, 256, array.shape), 3).astype(np.uint8)
    images = [as_image(a, spacing, (3, -4, 5), rotation) for a in (array, density, probability)]
    (one,) = measure_lesions(*images)
    (other,) = measure_lesions(*(reordered(image, order, signs) for image in images))
    assert other.voxels == one.voxels
    assert np.allclose(other.centroid_lps_mm, one.centroid_lps_mm, atol=1e-6)
    for name in ("volume_ml", "diameter_mm", "perpendicular_mm", "mean_hu", "sd_hu", "mean_probability"):
        # Two directions of nearly the longest diameter may swap: their perpendiculars differ by less than a pixel.
        tolerance = 1.3 if name == "perpendicular_mm" else 1e-4
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=tolerance), name
    assert other.distance_to_liver_surface_mm == pytest.approx(one.distance_to_liver_surface_mm, abs=1.3)


def test_order_ids_and_connectivity():
    array = np.zeros((20, 20, 20), np.uint8)
    array[1:3, 1:3, 1:3] = 2
    array[3, 3, 3] = 2  # touches only at a corner: the same lesion
    array[10:16, 10:16, 10:16] = 2
    array[10, 2, 2] = 2
    image = as_image(array)
    lesions = measure_lesions(image, image)
    assert [(x.id, x.voxels) for x in lesions] == [(1, 216), (2, 9), (3, 1)]
    numbered = label_lesions(image)
    assert numbered.GetPixelID() == sitk.sitkUInt32
    values = sitk.GetArrayViewFromImage(numbered)
    assert [int((values == n).sum()) for n in (1, 2, 3)] == [216, 9, 1]
    assert np.array_equal(values > 0, array == 2)
    assert numbered.GetOrigin() == image.GetOrigin()


def test_no_lesion():
    array = np.ones((9, 9, 9), np.uint8)
    assert measure_lesions(as_image(array), as_image(array)) == ()
    assert not sitk.GetArrayFromImage(label_lesions(as_image(array))).any()


@pytest.mark.parametrize("side", [7, 17, 41])
def test_more_lesions_than_8_and_16_bits_can_count(side):
    array = np.zeros((2 * side,) * 3, np.uint8)
    array[::2, ::2, ::2] = 2
    image = as_image(array)
    lesions = measure_lesions(image, image)
    assert len(lesions) == side**3
    assert {x.voxels for x in lesions} == {1}
    assert sitk.GetArrayFromImage(label_lesions(image)).max() == side**3


def test_probability_of_a_part_of_the_grid():
    array = np.zeros((20, 24, 28), np.uint8)
    array[5:9, 6:10, 7:11] = 2
    array[15:17, 20:22, 24:26] = 2
    spacing, origin, turn = (0.7, 0.8, 2.0), (5, 6, 7), Rotation.from_euler("z", 30, degrees=True).as_matrix()
    image = as_image(array, spacing, origin, turn)
    probability = as_image(np.where(array == 2, 204, 0).astype(np.uint8), spacing, origin, turn)
    first, second = measure_lesions(image, image, probability[2:15, 3:14, 4:12])
    assert first.mean_probability == pytest.approx(0.8)
    assert second.mean_probability == 0
    floats = sitk.Cast(probability, sitk.sitkFloat32) / 255
    assert measure_lesions(image, image, floats)[1].mean_probability == pytest.approx(0.8)
    for wrong in (as_image(array, (1, 1, 1), origin, turn), as_image(array, spacing, (5.3, 6, 7), turn)):
        with pytest.raises(InputError, match="The probability image"):
            measure_lesions(image, image, wrong)


def test_grids_that_do_not_belong_together():
    array = np.zeros((9, 9, 9), np.uint8)
    image = as_image(array)
    with pytest.raises(InputError, match=r"The image has 9 x 9 x 8 voxels instead of 9 x 9 x 9"):
        measure_lesions(image, as_image(array[1:]))
    for name, other in {
        "spacing": as_image(array, (1, 1, 1.01)),
        "origin": as_image(array, origin=(0, 0.01, 0)),
        "axes": as_image(array, direction=np.diag([-1, -1, 1])),
    }.items():
        with pytest.raises(InputError, match=f"The image has {name} "):
            measure_lesions(image, other)


def test_distance_to_the_surface():
    array = np.zeros((40, 40, 40), np.uint8)
    array[5:35, 5:35, 5:35] = 1
    array[20:22, 20:22, 7:9] = 2  # two voxels of liver before the surface
    array[5, 30, 30] = 2  # at the surface
    array[20:30, 33:38, 20:30] = 2  # grows out of the liver
    array[15:18, 15:18, 15:18] = 0  # a hole within the organ is no surface
    array[19, 16, 16] = 2
    image = as_image(array, (1.5, 1, 1))
    distance = {x.voxels: x.distance_to_liver_surface_mm for x in measure_lesions(image, image)}
    assert distance[8] == pytest.approx(3.0)
    array[5, 30, 30] = 1
    alone = measure_lesions(as_image(array, (1.5, 1, 1)), image)
    assert distance[500] == 0
    assert [x.distance_to_liver_surface_mm for x in alone if x.voxels == 1] == [pytest.approx(11.0)]


def test_a_liver_that_fills_the_image_has_no_surface():
    array = np.ones((9, 9, 9), np.uint8)
    array[4, 4, 4] = 2
    (lesion,) = measure_lesions(as_image(array), as_image(array))
    assert lesion.distance_to_liver_surface_mm is None


class Counted:
    """A module or class whose calls are done, and the voxels of the largest array of each written down."""

    def __init__(self, real, sizes, names=None):
        self._real, self._sizes, self._names = real, sizes, names

    def __getattr__(self, name):
        real = getattr(self._real, name)
        if not callable(real) or (self._names and name not in self._names):
            return real

        def call(*arguments, **options):
            found = [a.GetNumberOfPixels() if isinstance(a, sitk.Image) else np.size(a) for a in arguments]
            self._sizes.append(max(found))
            return real(*arguments, **options)

        return call


def work_for(monkeypatch, lesions):
    """Measure so many balls in an organ; return organ box, box of each lesion, arrays worked on, points asked for."""
    rng = np.random.default_rng(0)
    array = np.zeros((90, 160, 180), np.uint8)
    organ = np.s_[30:75, 45:125, 40:140]
    array[organ] = 1
    for centre in np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)[:lesions]:
        radius, (z, y, x) = int(rng.integers(2, 4)), centre * (8, 14, 18) + (35, 53, 50)
        offsets = np.ogrid[tuple(slice(-radius, radius + 1) for _ in range(3))]
        near = tuple(slice(c - radius, c + radius + 1) for c in (z, y, x))
        array[near][sum(o**2 for o in offsets) <= radius**2] = 2
    sizes, diameters, asked = [], [], []
    with monkeypatch.context() as patch:
        for room in (lesions_room, organ_surface, postprocess):
            patch.setattr(room, "ndimage", Counted(ndimage, sizes))
        patch.setattr(organ_surface, "sitk", Counted(sitk, sizes, ("SignedMaurerDistanceMap",)))
        patch.setattr(organ_surface, "cKDTree", lambda points: Counted(cKDTree(points), asked, ("query",)))
        patch.setattr(
            lesions_room, "axial_diameters", lambda mask, *a: diameters.append(mask.size) or axial_diameters(mask, *a)
        )
        found = measure_lesions(as_image(array), as_image(array.astype(np.int16)))
    assert len(found) == lesions
    return array, array[organ].size, sizes, diameters, asked


def test_fifty_lesions_cost_no_more_passes_over_the_scan_than_five(monkeypatch):
    _array, _organ, few, _diameters, _asked = work_for(monkeypatch, 5)
    array, organ, many, diameters, asked = work_for(monkeypatch, 50)
    largest = 7**3
    assert max(many) < 1.2 * organ < array.size / 5, "nothing is done to the whole scan"
    assert sum(size > largest for size in many) == sum(size > largest for size in few)
    assert len(many) == len(few), "and the small steps are done for all lesions at once"
    assert len(diameters) == 50
    assert max(diameters) <= largest, "each within its own box"
    assert asked == [50 * 3], "one voxel of each lesion looks for the surface"


def test_real_labels(shared_data):
    folder = shared_data / "liver" / "1mm"
    image = sitk.ReadImage(str(folder / "crlm1006_portal.nii.gz"))
    labels = sitk.ReadImage(str(folder / "crlm1006_portal_label.nii.gz"))
    lesions = measure_lesions(labels, image)
    assert sum(x.volume_ml for x in lesions) == pytest.approx(30, abs=1)
    assert 20 < lesions[0].diameter_mm < 80
    assert all(x.perpendicular_mm <= x.diameter_mm + 1e-9 for x in lesions)
    assert -20 < lesions[0].mean_hu < 150
