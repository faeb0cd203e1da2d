"""Random maps turn the patient, not the array: angles are those of space whatever the voxels measure."""

import numpy as np
import pytest

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.recipe.config import AugmentationConfig
from LiverTumorSegTraining.samples.augmentation import random_affine, sample_patch
from LiverTumorSegTraining.samples.sampling import PatchSampler

THICK = (5.0, 0.8, 0.8)
TURNED = AugmentationConfig(rotation_degrees=30, scale=(1, 1))


def angle_between(one, other):
    return np.degrees(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))


@pytest.mark.parametrize("seed", range(5))
def test_the_rotation_of_thick_slices_is_no_shear(seed):
    spacing = np.array(THICK)
    in_voxels = random_affine(np.random.default_rng(seed), TURNED, spacing_mm=THICK)
    in_mm = in_voxels * spacing[:, None] / spacing
    for first, second in ((0, 1), (0, 2), (1, 2)):
        # Rows are those of a rotation, each stretched by its own factor.
        assert angle_between(in_mm[first], in_mm[second]) == pytest.approx(90, abs=1e-6)
    assert np.allclose(np.linalg.norm(in_mm, axis=1), 1, atol=0.08)


def test_isotropic_voxels_are_sampled_as_ever():
    for seed in range(20):
        ever = random_affine(np.random.default_rng(seed), AugmentationConfig())
        for spacing in (1.2, 1.25, 4.0):
            now = random_affine(np.random.default_rng(seed), AugmentationConfig(), spacing_mm=(spacing,) * 3)
            assert now.tobytes() == ever.tobytes()
    first = random_affine(np.random.default_rng(1), AugmentationConfig())
    recorded = [
        [-0.93031976, 0.08001071, -0.01874585],
        [0.08709889, 1.03682826, 0.1028252],
        [0.02646492, 0.08995416, -0.9294617],
    ]
    assert np.allclose(first, recorded, atol=1e-8)


def test_a_slice_stays_a_slice_whatever_its_thickness():
    spacing = np.array([5.0, 0.8, 1.6])
    matrix = random_affine(np.random.default_rng(3), TURNED, in_plane=True, spacing_mm=spacing)
    assert np.abs(matrix[0]).tolist() == [1, 0, 0]
    in_mm = matrix * spacing[:, None] / spacing
    assert angle_between(in_mm[1], in_mm[2]) == pytest.approx(90, abs=1e-6)


def test_a_ball_in_thick_slices_stays_a_ball():
    spacing = np.array(THICK)
    places = (np.indices((25, 121, 121)).reshape(3, -1).T - [12, 60, 60]) * spacing
    ball = (np.linalg.norm(places, axis=1) < 30).reshape(25, 121, 121)
    matrix = random_affine(np.random.default_rng(2), TURNED, spacing_mm=THICK)
    _, label = sample_patch(ball[None], ball.astype(np.uint8), np.array([12, 60, 60]), matrix, (25, 121, 121))
    inside = (np.argwhere(label == 1) - [12, 60, 60]) * spacing
    widths = np.sqrt(np.linalg.eigvalsh(np.cov(inside.T)))
    assert widths[2] / widths[0] < 1.2


def test_samples_are_turned_at_the_spacing_they_were_prepared_at(make, tmp_path, tiny):
    plain = {
        "augmentation__scale": [1, 1], "augmentation__rotation_degrees": 30, "synthetic__probability": 0,
        "synthetic__distractor_probability": 0, "sampling__tumor_fraction": 0, "sampling__liver_fraction": 0,
    }  # fmt: skip
    config = tiny(preparation__spacing_mm=[2, 2, 6], sampling__patch_size=[16, 48, 48], **plain)
    (prepared,) = [prepare(case, config) for case in find_cases(make["pairs"](tmp_path, 1), config.data)]
    sampler = PatchSampler([prepared], config)
    for step in range(3):
        _, label, _ = sampler.patch(step, 0)
        rng = np.random.default_rng([config.run.seed, step, 0])
        _, centre, _ = sampler._centre(rng)
        matrix = random_affine(rng, config.augmentation, spacing_mm=(6.0, 2.0, 2.0))
        _, expected = sample_patch(prepared.image, prepared.label, centre, matrix, (16, 48, 48))
        assert np.array_equal(label, expected)
