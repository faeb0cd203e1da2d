"""A lesion found where the reader clicked: only it changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.review.local import REACH_MM, find_lesion, kept_probability_here, plan_around
from scipy import ndimage

GRID = Grid((60, 56, 40), (1.5, 1.5, 2.0), (-10.0, 20.0, 30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SPACING = GRID.spacing_mm[::-1]


def scene():
    """Return labels of a liver and a probability with a faint spot that was missed and a sure lesion."""
    labels = np.zeros(GRID.size[::-1], np.uint8)
    labels[4:36, 6:50, 6:54] = 1
    probability = np.zeros(labels.shape, np.uint8)
    probability[18:22, 26:30, 20:24] = 40  # missed at 0.3
    probability[17:23, 25:31, 19:25] = np.maximum(probability[17:23, 25:31, 19:25], 20)
    probability[20:24, 26:32, 34:40] = 250
    labels[20:24, 26:32, 34:40] = 2
    return labels, probability


def point(z, y, x):
    return GRID.point_mm(np.array([x, y, z], float))


def search(labels, probability, plan):
    here = kept_probability_here(GRID.image(probability), GRID.image(labels), plan)
    return find_lesion(here, labels, plan, SPACING, 0.3)


def test_a_click_raises_the_sensitivity_until_something_shows():
    labels, probability = scene()
    before = labels.copy()
    plan = plan_around(GRID, point(20, 28, 21))
    found = search(labels, probability, plan)
    assert np.array_equal(labels, before)
    assert (found.labels != labels).sum() == 64 == found.region.voxels
    assert (found.labels[18:22, 26:30, 20:24] == 2).all()
    assert 20 / 255 < found.threshold <= 40 / 255
    assert not found.cut
    again = search(found.labels, probability, plan)
    assert (again.labels == 2).sum() == (labels == 2).sum() + 216, "a second click takes more"
    assert search(again.labels, probability, plan) is None


def test_a_click_beside_it_still_means_it_and_one_far_away_does_not():
    labels, probability = scene()
    assert search(labels, probability, plan_around(GRID, point(20, 28, 26))).region.voxels == 64
    assert search(labels, probability, plan_around(GRID, point(10, 12, 12))) is None


def test_a_drawn_box_bounds_the_lesion():
    labels, probability = scene()
    plan = plan_around(GRID, point(19, 27, 18), point(21, 40, 40))
    assert plan.boxed
    found = search(labels, probability, plan)
    changed = np.argwhere(found.labels != labels)
    assert changed.min(0).tolist() == [19, 27, 20]
    assert changed.max(0).tolist() == [21, 29, 23]
    assert found.cut


def test_a_box_drawn_in_one_slice_is_as_deep_as_its_shorter_side():
    plan = plan_around(GRID, point(20, 20, 15), point(20, 32, 25))
    lengths = [(side.stop - side.start - 1) * step for side, step in zip(plan.reach, SPACING, strict=True)]
    assert lengths[1:] == [18.0, 15.0]
    assert lengths[0] == pytest.approx(15.0, abs=2 * SPACING[0])
    assert (plan.reach[0].start + plan.reach[0].stop) / 2 == pytest.approx(20.5, abs=0.5)
    labels, probability = scene()
    assert search(labels, probability, plan).region.voxels == 64


def test_noise_beside_the_liver_is_no_lesion():
    labels, probability = scene()
    probability[:] = 0
    probability[0:3, 0:4, 0:4] = 200
    assert search(labels, probability, plan_around(GRID, point(1, 1, 1))) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(0, 39), st.integers(0, 55), st.integers(0, 59)))
def test_only_the_reach_changes(seed, place):
    labels, _ = scene()
    rng = np.random.default_rng(seed)
    probability = (255 * np.clip(4 * ndimage.gaussian_filter(rng.random(labels.shape), 2) - 1.8, 0, 1)).astype(
        np.uint8
    )
    plan = plan_around(GRID, point(*place))
    assert plan.centre == place
    for inner, outer, n in zip(plan.reach, plan.context, labels.shape, strict=True):
        assert 0 <= outer.start <= inner.start < inner.stop <= outer.stop <= n
    found = search(labels, probability, plan)
    if found is None:
        return
    changed = found.labels != labels
    assert (found.labels[changed] == 2).all()
    assert changed.sum() == found.region.voxels
    distance = (np.argwhere(changed) - place) * SPACING
    assert np.linalg.norm(distance, axis=1).max() <= REACH_MM
    grown = ndimage.label(found.labels == 2, np.ones((3, 3, 3)))[0]
    assert len(np.unique(grown[changed])) <= 8


def test_a_click_outside_is_one_sentence():
    with pytest.raises(InputError, match="outside of the scan"):
        plan_around(GRID, (1000.0, 0.0, 0.0))


def test_a_kept_probability_may_cover_only_a_part():
    labels, probability = scene()
    plan = plan_around(GRID, point(20, 28, 21))
    part = GRID.crop(np.array([10, 20, 15]), np.array([30, 40, 30]))
    here = kept_probability_here(part.image(probability[15:30, 20:40, 10:30].copy()), GRID.image(labels), plan)
    expected = np.zeros_like(probability)
    expected[15:30, 20:40, 10:30] = probability[15:30, 20:40, 10:30]
    assert np.array_equal(here, expected[plan.reach])
