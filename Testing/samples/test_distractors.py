"""Distractors contradict no class of the recipe; with liver and tumour alone they are drawn as ever."""

import numpy as np
import pytest
from LiverTumorSegLib.labelnames import _SYNONYMS

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.samples.distractors import LOOKS_LIKE, SHARES, _veins, add_distractors, contradicting
from LiverTumorSegTraining.samples.sampling import PatchSampler
from LiverTumorSegTraining.samples.surroundings import ascites, gallbladder, kidney, mass_beside, stomach

SPACING = np.array([2.0, 2.0, 2.0])
LIVER_TUMOR = ("liver", "tumor")
NEXT_NUMBERS = [638, 827, 493, 952, 724, 318, 62, 612, 306, 915, 388, 128]
"""What the generator gave next, for seeds 0 to 11, before classes behind liver and tumour were looked at."""


def drawn_without(image, label, seed, left_out=frozenset()):
    """Return image and label with every distractor of a seed but some, and the kinds that were drawn."""
    rng = np.random.default_rng(seed)
    image, label = image.copy(), label.copy()
    kinds = list(SHARES)
    chosen = [kinds[index] for index in rng.choice(len(kinds), int(rng.integers(1, 4)), p=list(SHARES.values()))]
    for draw in chosen:
        if draw not in left_out:
            draw(image, label, SPACING, rng)
    return image, label, chosen


def test_liver_and_tumor_alone_are_sampled_as_ever(liver):
    following = []
    for seed in range(len(NEXT_NUMBERS)):
        rng = np.random.default_rng(seed)
        found = add_distractors(*liver, SPACING, rng, LIVER_TUMOR)
        expected = drawn_without(*liver, seed)
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])
        following.append(int(rng.integers(1000)))
    assert following == NEXT_NUMBERS


def test_no_word_for_liver_or_tumor_leaves_anything_out():
    assert not contradicting([word for name in LIVER_TUMOR for word in _SYNONYMS[name]])


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("hepatic vessel", {_veins}),
        ("Vessels", {_veins}),
        ("portal_vein_and_splenic_vein", {_veins}),
        ("bile duct", {_veins}),
        ("Gallbladder", {gallbladder}),
        ("gall bladder", {gallbladder}),
        ("kidneys", {kidney}),
        ("left kidney", {kidney}),
        ("Stomach", {stomach}),
        ("Ascites", {ascites}),
        ("pancreatic pseudocyst", {mass_beside}),
        ("spleen", set()),
        ("bladder", set()),
        ("aorta", set()),
    ],
)
def test_what_looks_like_a_class_is_left_out(name, left_out):
    assert contradicting([*LIVER_TUMOR, name]) == left_out


def test_every_distractor_says_what_it_looks_like():
    assert LOOKS_LIKE.keys() == SHARES.keys()


def test_veins_are_not_drawn_beside_a_class_of_vessels_and_the_rest_is(liver):
    veins = 0
    for seed in range(30):
        image, label = add_distractors(*liver, SPACING, np.random.default_rng(seed), (*LIVER_TUMOR, "vessel"))
        expected = drawn_without(*liver, seed, {_veins})
        assert np.array_equal(image, expected[0])
        assert np.array_equal(label, expected[1])
        veins += _veins in expected[2]
    assert veins > 3


def test_samples_keep_the_labels_of_a_recipe_with_a_gallbladder(pairs, tiny):
    """A made-up gallbladder takes its place from the liver: labels change unless the recipe trains gallbladders."""

    def changed(labels):
        label = {}
        for share in (0, 1):
            changes = {"synthetic__probability": 0, "synthetic__distractor_probability": share}
            config = tiny(data__labels=labels, sampling__tumor_fraction=0, sampling__liver_fraction=1, **changes)
            sampler = PatchSampler([prepare(case, config) for case in find_cases(pairs, config.data)], config)
            label[share] = np.stack([sampler.patch(step, 0)[1] for step in range(30)])
        return (label[0] != label[1]).any((1, 2, 3)).sum()

    assert changed([*LIVER_TUMOR, "hepatic vessel", "gallbladder"]) == 0
    assert changed([*LIVER_TUMOR, "hepatic vessel", "spleen"]) > 2
