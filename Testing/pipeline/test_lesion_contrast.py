"""What the network calls tumour although it is as dense as the liver, and lies beyond a lesion that stands out."""

import numpy as np
import pytest
from LiverTumorSegLib.pipeline.lesion_contrast import give_back

SPACING = (2.0, 1.0, 1.0)
LIVER_HU, NOISE_HU = 110, 12


def made_up(lesion_hu, bridge_hu=LIVER_HU, noise=NOISE_HU):
    """Return liver, tumour, HU: two lesions of 16 mm, and tumour probability in a bridge of 40 mm between them too."""
    shape = (24, 60, 100)
    values = np.random.default_rng(0).normal(LIVER_HU, noise, shape).astype(np.int16)
    places = [np.s_[8:16, 22:38, 10:26], np.s_[8:16, 22:38, 66:82]]
    bridge = np.s_[8:16, 22:38, 26:66]
    liver, tumor = np.full(shape, 240, np.uint8), np.zeros(shape, np.uint8)
    for place in (*places, bridge):
        liver[place], tumor[place] = 30, 200
    for place in places:
        values[place] += lesion_hu - LIVER_HU
    values[bridge] += bridge_hu - LIVER_HU
    return liver, tumor, values, places, bridge


def share(tumor, place):
    return (tumor[place] >= 128).mean()


@pytest.mark.parametrize("lesion_hu", [60, 80, 160], ids=["dark", "less dark", "bright"])
def test_liver_between_lesions_becomes_liver_and_the_lesions_stay(lesion_hu):
    liver, tumor, values, places, bridge = made_up(lesion_hu)
    before = liver.astype(int) + tumor
    give_back(liver, tumor, values, SPACING, 0.3)
    assert all(share(tumor, place) == 1 for place in places)
    # A border of 3 mm on each side, and what the smoothing adds to it.
    assert share(tumor, bridge) < 0.3
    assert (liver.astype(int) + tumor == before).all(), "it is still organ"


def test_fine_voxels_are_looked_at_in_larger_steps_with_the_same_answer():
    given = [made_up(70), tuple(np.repeat(np.repeat(part, 2, 1), 2, 2) for part in made_up(70)[:3])]
    for (liver, tumor, values, *_), in_plane_mm in zip(given, (1.6, 0.8), strict=True):
        give_back(liver, tumor, values, (2.0, in_plane_mm, in_plane_mm), 0.3)
    assert np.array_equal(given[1][1][:, ::2, ::2], given[0][1])


def test_a_lesion_that_hardly_stands_out_is_left_alone():
    liver, tumor, values, places, bridge = made_up(LIVER_HU - 4, LIVER_HU - 4)
    give_back(liver, tumor, values, SPACING, 0.3)
    assert share(tumor, bridge) > 0.95
    assert all(share(tumor, place) > 0.95 for place in places)


def test_a_lesion_with_lipiodol_keeps_its_dark_part():
    liver, tumor, values, _, bridge = made_up(400, LIVER_HU - 25)
    give_back(liver, tumor, values, SPACING, 0.3)
    assert share(tumor, bridge) > 0.99, "but for the seam between bright and dark"


def test_a_faint_lesion_does_not_have_to_stand_out_like_the_cyst_beside_it():
    liver, tumor, values, places, bridge = made_up(10)
    liver[bridge], tumor[bridge] = 240, 0
    values[places[1]] += LIVER_HU - 10 - 12
    give_back(liver, tumor, values, SPACING, 0.3)
    assert all(share(tumor, place) == 1 for place in places)


def test_without_lesions_or_without_liver_nothing_happens():
    liver, tumor, values, _, _ = made_up(60)
    for one, other in ((np.zeros_like(liver), tumor), (liver, np.zeros_like(tumor))):
        given = one.copy(), other.copy()
        give_back(*given, values, SPACING, 0.3)
        assert (given[0] == one).all()
        assert (given[1] == other).all()


def test_probabilities_that_add_up_to_more_than_one_do_not_wrap_around():
    liver, tumor, values, _, bridge = made_up(60)
    liver[bridge], tumor[bridge] = 120, 140
    give_back(liver, tumor, values, SPACING, 0.3)
    assert liver[bridge].max() == 255
