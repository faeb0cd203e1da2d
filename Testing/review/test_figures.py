"""Measures, places and diameter ends of a session's lesions, on grids of any orientation."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.pipeline.lesions import measure_lesions
from LiverTumorSegLib.review.figures import SessionFigures, measure_session
from LiverTumorSegLib.review.page import key_image, write_session_page
from LiverTumorSegLib.review.totals import totals
from LiverTumorSegLib.review.verdicts import follow_edit, judge, open_verdicts
from scipy.spatial.transform import Rotation

# A liver of 200 x 150 x 160 mm about the origin: centre and radii of its lesions in patient coordinates.
RIGHT_UPPER, LEFT_LOWER = ((-60.0, 10.0, 50.0), (16.0, 11.0, 11.0)), ((60.0, -20.0, -45.0), (8.0, 8.0, 8.0))
GRIDS = {
    "plain": ((1, 0, 0, 0, 1, 0, 0, 0, 1), (2.0, 2.0, 3.0)),
    "left-handed, head first": ((1, 0, 0, 0, 1, 0, 0, 0, -1), (2.0, 2.0, 3.0)),
    "sagittal slices": ((0, 0, 1, 1, 0, 0, 0, 1, 0), (2.0, 2.0, 3.0)),
    "oblique": (tuple(Rotation.from_euler("xyz", (8, -5, 6), degrees=True).as_matrix().ravel()), (2.0, 2.0, 3.0)),
}


def scene(direction, spacing):
    """Return CT and labels [z, y, x] of the liver with its two lesions."""
    matrix = np.reshape(direction, (3, 3))
    extent = np.abs(matrix.T @ np.array([260.0, 220.0, 220.0]))
    size = tuple(int(n) for n in np.ceil(extent / spacing))
    origin = -matrix @ ((np.array(size) - 1) / 2 * spacing)
    grid = Grid(size, spacing, tuple(float(v) for v in origin), tuple(float(v) for v in direction))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), -1)
    point = grid.point_mm(index).transpose(2, 1, 0, 3)

    def inside(centre, radii):
        return (((point - centre) / np.array(radii)) ** 2).sum(-1) <= 1

    labels = np.zeros(point.shape[:3], np.uint8)
    labels[inside((0, 0, 0), (100, 75, 80))] = 1
    for centre, radii in (RIGHT_UPPER, LEFT_LOWER):
        labels[inside(centre, radii)] = 2
    values = np.choose(labels, (-80, 110, 60)).astype(np.int16)
    return grid.image(values), labels, grid


@pytest.mark.parametrize("name", GRIDS)
def test_figures_and_places_on_any_grid(name):
    image, labels, grid = scene(*GRIDS[name])
    first, second = measure_session(open_verdicts(labels), labels, image)
    plain = measure_lesions(grid.image(labels), image)
    assert (first.lesion, second.lesion) == plain, "the measures are the report's"
    assert (first.place.lobe, first.place.height) == ("right lobe", "superior")
    assert (second.place.lobe, second.place.height) == ("left lobe", "inferior")
    for row, (centre, radii) in ((first, RIGHT_UPPER), (second, LEFT_LOWER)):
        for ends, length in (
            (row.longest_lps_mm, row.lesion.diameter_mm),
            (row.perpendicular_lps_mm, row.lesion.perpendicular_mm),
        ):
            assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(length)
            assert np.linalg.norm(ends.mean(0) - centre) < 9
        across = (
            row.longest_lps_mm[1] - row.longest_lps_mm[0],
            row.perpendicular_lps_mm[1] - row.perpendicular_lps_mm[0],
        )
        assert across[0] @ across[1] == pytest.approx(0, abs=1e-6)
        assert row.lesion.diameter_mm == pytest.approx(2 * max(radii), abs=3)
        assert row.place.words().endswith(f"of {row.place.slices} from the top")
    assert first.place.slice_number < second.place.slice_number, "the upper one comes first from the top"
    assert 1 <= first.place.slice_number <= first.place.slices


def test_rejected_lesions_keep_their_figures():
    image, labels, _ = scene(*GRIDS["plain"])
    verdicts = open_verdicts(labels)
    before = measure_session(verdicts, labels, image)
    verdicts, labels = judge(verdicts, labels, 1, "reject")
    after = measure_session(verdicts, labels, image)
    assert [(row.number, row.verdict) for row in after] == [(1, "reject"), (2, "")]
    assert [row.lesion for row in after] == [row.lesion for row in before]
    assert measure_session(open_verdicts(np.zeros_like(labels)), np.zeros_like(labels), image) == ()
    with pytest.raises(InputError, match="its own scan"):
        measure_session(verdicts, labels[1:], image)


def same(one, other):
    """Whether two rows of a session's table agree in everything."""
    plain = (one.number, one.verdict, one.place) == (other.number, other.verdict, other.place)
    ends = np.array_equal(one.longest_lps_mm, other.longest_lps_mm)
    return plain and ends and np.array_equal(one.perpendicular_lps_mm, other.perpendicular_lps_mm)


@pytest.mark.parametrize("name", ["plain", "oblique"])
def test_measuring_only_what_changed_gives_what_measuring_everything_gives(name):
    image, labels, grid = scene(*GRIDS[name])
    rng = np.random.default_rng(3)
    hu = sitk.GetArrayFromImage(image) + rng.integers(-20, 20, labels.shape, np.int16)
    image = grid.image(hu)
    probability = grid.image(rng.integers(0, 256, labels.shape, np.uint8))
    figures, verdicts = SessionFigures(hu, grid), open_verdicts(labels)
    organ = np.argwhere(labels == 1)
    for step in range(6):
        if step in (1, 2, 4):  # a stroke of tumour inside the organ
            z, y, x = organ[rng.integers(len(organ))]
            stroke = np.s_[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3]
            labels = labels.copy()
            labels[stroke][labels[stroke] > 0] = 2
            verdicts = follow_edit(verdicts, labels)
        elif step == 3:
            verdicts, labels = judge(verdicts, labels, 1, "reject")
        elif step == 5:  # the outline of the organ
            labels = labels.copy()
            labels[: np.argwhere(labels).min(axis=0)[0] + 6] = 0
            verdicts = follow_edit(verdicts, labels)
        quick = figures.measure(verdicts, labels, probability, gaps=False)
        expected = measure_session(verdicts, labels, image, probability)
        assert len(quick) == len(expected) >= 2
        gaps = [row.lesion.distance_to_liver_surface_mm for row in expected]
        for row, other in zip(quick, expected, strict=True):
            assert same(row, other)
            gap = row.lesion.distance_to_liver_surface_mm
            assert gap is None or gap == other.lesion.distance_to_liver_surface_mm
            centre = other.lesion.centroid_lps_mm
            assert row.lesion.centroid_lps_mm == pytest.approx(centre, abs=1e-9)
            assert replace(row.lesion, distance_to_liver_surface_mm=None, centroid_lps_mm=centre) == replace(
                other.lesion, distance_to_liver_surface_mm=None
            )
        if step in (0, 5):
            assert all(row.lesion.distance_to_liver_surface_mm is None for row in quick)
        elif step in (2, 4):
            assert any(row.lesion.distance_to_liver_surface_mm is not None for row in quick), "the others keep it"
        complete = figures.measure(verdicts, labels, probability)
        assert [row.lesion.distance_to_liver_surface_mm for row in complete] == gaps
        assert all(gap is not None for gap in gaps)


def test_what_was_known_before_is_adopted_where_the_lesion_is_the_same():
    image, labels, grid = scene(*GRIDS["plain"])
    figures, verdicts = SessionFigures(sitk.GetArrayFromImage(image), grid), open_verdicts(labels)
    first, _second = figures.measure(verdicts, labels, gaps=False)
    kept = {"distance_to_liver_surface_mm": 4.5, "mean_probability": 0.75}
    figures.adopt(verdicts, {1: {**kept, "voxels": first.lesion.voxels}, 2: {**kept, "voxels": 3}})

    def known():
        rows = [row.lesion for row in figures.measure(verdicts, labels, gaps=False)]
        return [(row.distance_to_liver_surface_mm, row.mean_probability) for row in rows]

    assert known() == [(4.5, 0.75), (None, None)]
    labels = labels.copy()
    labels[np.argwhere(labels).min(axis=0)[0]] = 0
    assert known() == [(None, 0.75), (None, None)], "the outline changed"


def test_near_the_border_no_lobe_is_named():
    image, labels, grid = scene(*GRIDS["plain"])
    labels = np.where(labels == 2, 1, labels).astype(np.uint8)
    # An ellipsoid has 35 % of its volume beyond 0.2 of its half width.
    x, y, z = (round(n) for n in grid.index(np.array([20.0, 0.0, 0.0])))
    labels[z - 1 : z + 2, y - 2 : y + 3, x - 2 : x + 3] = 2
    (row,) = measure_session(open_verdicts(labels), labels, image)
    assert (row.place.lobe, row.place.height) == ("between the lobes", "mid-height")


@pytest.mark.parametrize("name", ["plain", "oblique", "left-handed, head first"])
def test_key_images_show_the_lesion_right_side_left(name):
    import base64
    from io import BytesIO

    from matplotlib.image import imread

    image, labels, _ = scene(*GRIDS[name])
    row = measure_session(open_verdicts(labels), labels, image)[0]
    pixels = imread(BytesIO(base64.b64decode(key_image(image, labels, row).split(",")[1])))[..., :3]
    red = (pixels[..., 0] > 0.6) & (pixels[..., 1] < 0.45)
    blue = (pixels[..., 2] > 0.8) & (pixels[..., 0] < 0.6)
    rows, columns = np.nonzero(red)
    # The lesion is 32 mm across and 22 deep; the picture shows 120 mm in 320 pixels.
    assert np.ptp(columns) * 120 / 320 == pytest.approx(32, abs=5)
    assert np.ptp(rows) * 120 / 320 == pytest.approx(22, abs=5)
    assert abs(columns.mean() - 160) < 8
    assert abs(rows.mean() - 160) < 8
    assert blue.sum() > 60, "its diameters are drawn"


def test_the_page_is_whole(tmp_path):
    image, labels, grid = scene(*GRIDS["plain"])
    verdicts, labels = judge(open_verdicts(labels), labels, 2, "reject")
    rows = measure_session(verdicts, labels, image)
    model = {"model": {"id": "liver-tumor", "version": "0.3.0", "sha256": "abc"}, "threshold": 0.3}
    sums = totals(verdicts, grid.spacing_mm)
    write_session_page(tmp_path / "page.html", "a <case>", image, labels, rows, sums, model)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 2
    assert "a &lt;case&gt;" in text
    assert "accepted 0 of 2" in text
    assert 'class="reject"' in text
    assert "liver-tumor 0.3.0" in text
    assert "http" not in text.replace("http-equiv", "")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
