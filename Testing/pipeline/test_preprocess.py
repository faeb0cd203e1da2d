import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.grid import Grid, bounding_box, canonical_grid
from LiverTumorSegLib.model.normalisation import Intensity, normalise
from LiverTumorSegLib.pipeline.preprocess import resample
from scipy.spatial.transform import Rotation

angles = st.integers(-180, 180)
spacings = st.tuples(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 10))


def random_grid(rotation, spacing, flips, size=(20, 24, 18)) -> Grid:
    direction = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix() * np.array(
        [-1 if f else 1 for f in flips]
    )
    return Grid(size, spacing, (10.0, -20.0, 5.0), tuple(direction.ravel()))


@settings(max_examples=60, deadline=None)
@given(st.tuples(angles, angles, angles), spacings, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_canonical_grid_covers_the_same_box_nearest_to_lps(rotation, spacing, flips):
    grid = random_grid(rotation, spacing, flips)
    canonical = canonical_grid(grid, (2.0, 2.0, 2.0))
    axes = np.reshape(canonical.direction, (3, 3))
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert (np.diag(axes) > -1e-9).all()
    middle = (np.asarray(grid.size) - 1) / 2
    assert np.allclose(grid.point_mm(middle), canonical.point_mm((np.asarray(canonical.size) - 1) / 2), atol=1e-6)
    volume = np.prod(grid.size) * np.prod(grid.spacing_mm)
    assert np.prod(canonical.size) * 8 == pytest.approx(volume, rel=0.25)


@settings(max_examples=30, deadline=None)
@given(st.tuples(angles, angles, angles), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_a_linear_field_survives_resampling_on_any_grid(rotation, flips):
    grid = random_grid(rotation, (1.0, 1.2, 2.5), flips)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), -1)
    field = (grid.point_mm(index) @ np.array([3.0, -2.0, 1.0])).transpose(2, 1, 0)
    image = grid.image(field.astype(np.float32))
    canonical = canonical_grid(grid, (2.0, 2.0, 2.0))
    sampled = sitk.GetArrayFromImage(resample(image, canonical))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in canonical.size], indexing="ij"), -1)
    expected = (canonical.point_mm(index) @ np.array([3.0, -2.0, 1.0])).transpose(2, 1, 0)
    inner = (slice(3, -3),) * 3
    assert np.allclose(sampled[inner], expected[inner], atol=1e-2)


def test_index_and_point_are_inverse():
    grid = random_grid((10, 20, 30), (0.7, 0.8, 3.0), (True, False, False))
    index = np.array([[0.0, 0, 0], [3, 4.5, 6]])
    assert np.allclose(grid.index(grid.point_mm(index)), index)


def test_crop_keeps_physical_places():
    grid = random_grid((0, 0, 30), (0.7, 0.8, 3.0), (False, True, False))
    part = grid.crop(np.array([2, 3, 4]), np.array([10, 12, 9]))
    assert part.size == (8, 9, 5)
    assert np.allclose(part.point_mm(np.zeros(3)), grid.point_mm(np.array([2, 3, 4])))


def test_bounding_box_of_a_part_is_the_part():
    grid = random_grid((90, 0, 0), (0.7, 0.8, 3.0), (False, True, True))
    start, stop = np.array([2, 3, 4]), np.array([10, 12, 9])
    found = bounding_box(canonical_grid(grid.crop(start, stop), (0.7, 3.0, 0.8)), grid)
    assert np.array_equal(found[0], start)
    assert np.array_equal(found[1], stop)


def test_averaging_down_reduces_the_noise_of_thin_slices():
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.normal(50, 30, (60, 60, 60)).astype(np.float32))
    image.SetSpacing((0.5, 0.5, 0.5))
    sampled = sitk.GetArrayFromImage(resample(image, canonical_grid(Grid.of(image), (2.0, 2.0, 2.0))))
    assert sampled.std() < 30 / 6
    assert sampled.mean() == pytest.approx(50, abs=1)


def test_beyond_the_image_is_air_and_the_border_voxel_is_whole():
    image = sitk.Image(10, 10, 10, sitk.sitkInt16) + 40
    grid = Grid.of(image)
    wide = Grid((16, 10, 10), (1.0, 1.0, 1.0), (-3.0, 0.0, 0.0), grid.direction)
    row = sitk.GetArrayFromImage(resample(image, wide))[5, 5]
    assert row.tolist() == [-1024] * 3 + [40] * 10 + [-1024] * 3


def test_window_maps_to_unit_range():
    values = normalise(np.array([[-1000.0, -150, 50, 250, 3000]]), Intensity())
    assert values.tolist() == [[0.0, 0.0, 0.5, 1.0, 1.0]]


def test_zscore_of_the_image_and_of_fixed_figures():
    array = np.random.default_rng(0).normal(40, 10, (8, 8, 8))
    own = normalise(array, Intensity(normalisation="zscore"))
    assert own.mean() == pytest.approx(0, abs=1e-5)
    assert own.std() == pytest.approx(1, abs=1e-4)
    fixed = normalise(array, Intensity(normalisation="zscore", mean=40, sd=10))
    assert np.allclose(fixed, (array - 40) / 10, atol=1e-5)


def test_percentiles_clip_outliers_of_mr():
    array = np.zeros((10, 10, 10))
    array[2:] = np.linspace(1, 100, 800).reshape(8, 10, 10)
    array[9, 9, 9] = 1e6
    values = normalise(array, Intensity(window_hu=None, clip_percentiles=(1, 99)))
    assert values.max() == 1.0
    assert values[9, 9, 8] > 0.99


@pytest.mark.parametrize("denoise", ["median", "gaussian"])
def test_denoising_reduces_noise(denoise):
    array = np.random.default_rng(0).normal(50, 20, (12, 12, 12))
    assert normalise(array, Intensity(denoise=denoise)).std() < 0.6 * normalise(array, Intensity()).std()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"denoise": "magic"}, "denoise"),
        ({"normalisation": "x"}, "normalisation"),
        ({"window_hu": (5, 5)}, "window_hu"),
    ],
)
def test_an_intensity_option_out_of_range_is_named(options, word):
    with pytest.raises(ValueError, match=word):
        Intensity(**options)


def test_a_scan_is_brought_to_one_density_of_the_liver():
    values = np.array([[-40.0, 20.0, 60.0, 110.0, 400.0]])
    steps = Intensity(liver_hu=100.0)
    assert normalise(values, steps.at(60.0)).tolist() == normalise(values + 40, Intensity()).tolist()
    # Its own density known, nothing is left to do; without a level the scan stays as it is.
    assert steps.at(60.0).at(90.0) == steps.at(60.0)
    assert Intensity().at(60.0) == Intensity()
    with pytest.raises(ValueError, match="needs a window_hu"):
        Intensity(window_hu=None, liver_hu=100.0)
