"""Synthetic tumours lie in the liver, look as drawn, and leave the rest alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from LiverTumorSegTraining.samples.distractors import SHARES, add_distractors
from LiverTumorSegTraining.samples.surroundings import gallbladder
from LiverTumorSegTraining.samples.synthetic import _pushed_outward, add_tumors, random_appearance
from LiverTumorSegTraining.training.cli import main

SPACING = np.array([2.0, 2.0, 2.0])


def test_tumors_grow_in_the_liver_and_change_it(liver):
    image, label = liver
    contrast, bulging = [], 0
    for seed in range(40):
        new_image, new_label = add_tumors(image, label, SPACING, np.random.default_rng(seed))
        tumor = new_label == 2
        assert np.isfinite(new_image).all()
        far = ndimage.binary_dilation(tumor, iterations=8)
        assert np.abs((new_image - image)[(label == 0) & ~far]).max() < 2
        outside = tumor & (label == 0)
        bulging += outside.any()
        # What lies beyond the surface belongs to a tumour inside.
        pieces, count = ndimage.label(tumor, np.ones((3, 3, 3)))
        assert all(((pieces == piece) & (label == 1)).any() for piece in range(1, count + 1))
        assert outside.sum() <= tumor.sum()
        if tumor.any():
            contrast.append(float(new_image[tumor & (label == 1)].mean() - image[tumor & (label == 1)].mean()))
    assert len(contrast) >= 36
    assert np.mean(np.array(contrast) < 0) > 0.6
    assert np.abs(contrast).max() > 20
    assert 1 <= bulging <= 34


def test_the_same_seed_makes_the_same_tumor(liver):
    first, second = (add_tumors(*liver, SPACING, np.random.default_rng(5)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_sizes_are_those_of_lits():
    radii = np.array([random_appearance(np.random.default_rng(seed)).radius_mm for seed in range(1000)])
    assert np.mean(radii < 10) > 0.6
    assert radii.min() >= 2
    assert radii.max() <= 40


def test_some_livers_hold_many_tumors_small_or_large_with_liver_between_them():
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, 96)] * 3, indexing="ij")
    label = (x**2 + y**2 + z**2 < 0.8).astype(np.uint8)
    image = np.where(label, 110, -60).astype(np.float32)
    counts, largest_mm = [], []
    for seed in range(40):
        _, new = add_tumors(image, label, SPACING, np.random.default_rng(seed))
        pieces, count = ndimage.label(new == 2)
        sizes = np.bincount(pieces.ravel())[1:] * SPACING.prod()
        counts.append(count)
        largest_mm.append(np.cbrt(6 / np.pi * sizes.max()) if count else 0)
    many, largest_mm = np.array(counts) >= 5, np.array(largest_mm)
    assert 0.25 < many.mean() < 0.65
    assert (largest_mm[many] < 14).any()
    assert (largest_mm[many] > 16).any()


def test_contrast_follows_the_phase():
    def mean_contrast(liver_hu):
        return np.mean([random_appearance(np.random.default_rng(seed), liver_hu).contrast_hu for seed in range(500)])

    assert mean_contrast(120) < mean_contrast(60) - 10
    bright = np.mean([random_appearance(np.random.default_rng(seed), 60.0).contrast_hu > 10 for seed in range(500)])
    assert 0.35 < bright < 0.5, "hyperdense tumours of the arterial phase"


def test_thick_slices_average_what_they_cut(liver):
    image, label = np.full((48, 48, 48), 110.0, np.float32), liver[1]
    thin, same = (add_tumors(image, label, SPACING, np.random.default_rng(2), slice_mm=s)[0] for s in (1.0, 2.0))
    thick = add_tumors(image, label, SPACING, np.random.default_rng(2), slice_mm=8.0)[0]
    assert (thin == same).all()
    inside = label == 1
    assert np.abs(np.diff(thick, axis=0))[inside[1:]].max() < 0.7 * np.abs(np.diff(thin, axis=0))[inside[1:]].max()


def test_a_small_tumor_leaves_a_vessel_alone(liver):
    image, label = liver[0].copy(), liver[1]
    vessel = np.zeros(label.shape, bool)
    vessel[20:26, 20:26, :] = True
    vessel &= label == 1
    image[vessel] = 220
    for seed in range(40):
        new_image, new_label = add_tumors(image, label, SPACING, np.random.default_rng(seed))
        tumor = new_label == 2
        if 0 < tumor.sum() * 8 < 1500:  # mm3: all of its lesions are small
            assert (new_image[vessel] > 150).mean() > 0.9


def test_a_large_tumor_pushes_its_surroundings_away():
    y = np.linspace(-1, 1, 48)
    stripes = np.broadcast_to(np.where(np.abs(y[None, :, None] - 0.25) < 0.05, 125.0, 110.0), (48, 48, 48))
    look = replace(random_appearance(np.random.default_rng(0)), radius_mm=12.0, mass_effect=0.6)
    pushed = _pushed_outward(stripes.astype(np.float32), np.array([24, 24, 24]), look, SPACING)
    before, after = (
        np.abs(column - 24).max()
        for column in (np.flatnonzero(stripes[24, :, 24] > 120), np.flatnonzero(pushed[24, :, 24] > 120))
    )
    assert after > before
    assert (pushed[0] == stripes[0]).all(), "beyond twice the radius nothing moves"


def test_distractors_are_never_tumor(liver):
    image, label = liver
    label = label.copy()
    label[20:24, 20:24, 20:24] = 2
    changed = [add_distractors(image, label, SPACING, np.random.default_rng(seed)) for seed in range(40)]
    assert sum((new != image).any() for new, _ in changed) >= 36
    assert all(np.isfinite(new).all() for new, _ in changed)
    for _, new_label in changed:
        assert ((new_label == 2) == (label == 2)).all()
        assert (new_label[label == 0] == 0).all()
    lost = [((label == 1) & (new_label == 0)).sum() for _, new_label in changed]
    assert 5 <= np.count_nonzero(lost) <= 30, "a gallbladder takes its place from the liver, nothing else does"


@pytest.mark.parametrize("draw", list(SHARES))
def test_what_each_distractor_changes(liver, draw):
    """Outside, only background; in the liver, only it; a gallbladder alone moves the border."""
    image, label = np.where(liver[1], 110, 40).astype(np.float32), liver[1]
    image[:, :6], image[:, -8:] = -90, -700
    image[40:, 30:] = np.where(label[40:, 30:], 110, -700)
    changed = 0
    for seed in range(6):
        new_image, new_label = image.copy(), label.copy()
        draw(new_image, new_label, SPACING, np.random.default_rng(seed))
        moved = (new_label != label).any()
        assert not moved or draw is gallbladder
        touched = np.abs(new_image - image) > 3
        changed += touched.any()
        if draw.__module__.endswith("surroundings") and draw is not gallbladder:
            assert not touched[label == 1].any()
        elif draw is not gallbladder:
            assert not touched[label == 0].any()
    assert changed >= 3


def pictures(presets, data, run, *options):
    recipe = str(presets / "tiny" / "attention_unet_3d.yaml")
    arguments = ["--config", recipe, "--data", str(data), "--output", str(run), "--synthetic-pictures", "4"]
    return main([*arguments, *options])


def test_pictures_honour_what_a_data_set_says_of_its_labels(make, presets, tmp_path):
    """Here cancer is 1, liver 2, two organs follow, and 5 is to be ignored."""
    data = make["organs"](tmp_path / "data", 2)
    labels = ("--data.labels", "[liver, tumor, spleen, left kidney]", "--preparation.spacing_mm", "[3, 3, 3]")
    assert pictures(presets, data, tmp_path / "run", *labels) == 0
    assert (tmp_path / "run" / "synthetic_tumors.png").stat().st_size > 10000


def test_pictures_of_livers_that_are_too_small_end_in_a_sentence(pairs, presets, tmp_path, capsys):
    assert pictures(presets, pairs, tmp_path / "run", "--preparation.spacing_mm", "[20, 20, 20]") == 3
    assert "enough healthy liver (label 1)" in capsys.readouterr().err


def test_pictures_to_look_at(pairs, presets, tmp_path):
    recipe = str(presets / "tiny" / "attention_unet_3d.yaml")
    arguments = ["--config", recipe, "--data", str(pairs), "--output", str(tmp_path / "run")]
    assert main([*arguments, "--synthetic-pictures", "6", "--preparation.spacing_mm", "[3, 3, 3]"]) == 0
    assert (tmp_path / "run" / "synthetic_tumors.png").stat().st_size > 10000
