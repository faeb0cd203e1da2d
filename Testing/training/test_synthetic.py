"""Synthetic tumours lie in the liver, look as drawn, and leave the rest alone."""

import numpy as np
import pytest

from LiverTumorSegTraining.synthetic import add_distractors, add_tumors, random_appearance
from LiverTumorSegTraining.train_cli import main

SPACING = np.array([2.0, 2.0, 2.0])


@pytest.fixture(scope="module")
def liver():
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, 48)] * 3, indexing="ij")
    label = (x**2 + y**2 + z**2 < 0.7).astype(np.uint8)
    return (np.where(label, 110, -20) + rng.normal(0, 10, label.shape)).astype(np.float32), label


def test_tumors_stay_in_the_liver_and_change_it(liver):
    image, label = liver
    contrast = []
    for seed in range(12):
        new_image, new_label = add_tumors(image, label, SPACING, np.random.default_rng(seed))
        tumor = new_label == 2
        assert (new_label[label == 0] == 0).all()
        assert (new_image[label == 0] == image[label == 0]).all()
        assert np.isfinite(new_image).all()
        if tumor.any():
            contrast.append(float(new_image[tumor].mean() - image[tumor].mean()))
    assert len(contrast) >= 10
    assert np.mean(np.array(contrast) < 0) > 0.6
    assert np.abs(contrast).max() > 20


def test_the_same_seed_makes_the_same_tumor(liver):
    first, second = (add_tumors(*liver, SPACING, np.random.default_rng(5)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_sizes_are_those_of_lits():
    radii = np.array([random_appearance(np.random.default_rng(seed)).radius_mm for seed in range(1000)])
    assert np.mean(radii < 10) > 0.6
    assert radii.min() >= 2
    assert radii.max() <= 40


def test_distractors_change_the_image_only(liver):
    image, label = liver
    changed = [add_distractors(image, label, SPACING, np.random.default_rng(seed)) for seed in range(5)]
    assert sum((new != image).any() for new in changed) >= 3
    assert all(np.isfinite(new).all() for new in changed)


def test_pictures_to_look_at(pairs, presets, tmp_path):
    recipe = str(presets / "tiny" / "attention_unet_3d.yaml")
    arguments = ["--config", recipe, "--data", str(pairs), "--output", str(tmp_path / "run")]
    assert main([*arguments, "--synthetic_pictures", "6", "--preparation.spacing_mm", "[3, 3, 3]"]) == 0
    assert (tmp_path / "run" / "synthetic_tumors.png").stat().st_size > 10000
