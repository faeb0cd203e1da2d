"""Hard places: where a model is wrong beyond the rim of the classes, and drawn as often as the recipe says."""

import numpy as np
import pytest
import torch
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.model.normalisation import normalise
from LiverTumorSegLib.model.tile_plan import plan_tiles
from LiverTumorSegLib.model.tiles import predict_probabilities

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.samples.mining import PLACES, errors, hard_places
from LiverTumorSegTraining.samples.sampling import PatchSampler
from LiverTumorSegTraining.training.before_start import check_start
from LiverTumorSegTraining.training.model import bundle_of, network_of

LIVER_BOX, LESION, FALSE_LESION = np.s_[4:36, 4:36, 4:36], np.s_[8:14, 8:14, 8:14], np.s_[22:28, 22:28, 22:28]


def scene():
    """Return a perfect result and its label: a liver with one lesion."""
    label = np.zeros((40, 40, 40), np.uint8)
    label[LIVER_BOX] = 1
    label[LESION] = 2
    return np.stack([255 * (label == 1), 255 * (label == 2)]).astype(np.uint8), label


def test_a_perfect_result_has_no_errors():
    assert not errors(*scene()).any()


def test_a_missed_and_a_false_lesion_are_errors_and_nothing_else_is():
    found, label = scene()
    found[:, 8:14, 8:14, 8:14] = np.reshape([255, 0], (2, 1, 1, 1))
    found[:, 22:28, 22:28, 22:28] = np.reshape([0, 255], (2, 1, 1, 1))
    wrong = errors(found, label)
    expected = np.zeros_like(wrong)
    expected[LESION] = expected[FALSE_LESION] = True
    assert np.array_equal(wrong, expected)


def test_borders_and_what_is_unknown_are_no_errors():
    found, label = scene()
    found = np.roll(found, 2, axis=1)
    assert not errors(found, label).any()
    found, label = scene()
    found[1, 22:28, 22:28, 22:28], found[0, 22:28, 22:28, 22:28] = 255, 0
    label[FALSE_LESION] = 255
    assert not errors(found, label).any()


def test_a_lost_part_of_the_organ_is_an_error():
    found, label = scene()
    found[:, 30:] = 0
    assert errors(found, label)[34, 20, 20]


@pytest.fixture(scope="module")
def prepared(pairs, tiny):
    config = tiny()
    return config, [prepare(case, config) for case in find_cases(pairs, config.data)]


def test_the_places_are_where_the_network_errs(prepared):
    config, cases = prepared
    # A network that learnt nothing yet errs enough.
    bundle = bundle_of(config, network_of(config).state_dict())
    places = hard_places(bundle, cases, config, torch.device("cpu"))
    assert len(places) == len(cases)
    network = bundle.build().eval()
    for case, voxels in zip(cases, places, strict=True):
        image = normalise(case.image[0].astype(np.float32), case.intensities(config)[0])[None]
        plan = plan_tiles(network, bundle.patch_size, image.shape[1:])
        wrong = errors(predict_probabilities([network], image, plan, torch.device("cpu")), case.label)
        assert len(voxels) == min(PLACES, wrong.sum())
        assert wrong[tuple(voxels.T)].all()
    again = hard_places(bundle, cases, config, torch.device("cpu"))
    assert all(np.array_equal(one, other) for one, other in zip(places, again, strict=True))


def test_hard_places_are_drawn_as_often_as_asked(pairs, tiny):
    config = tiny(sampling__hard_fraction=0.3, sampling__tumor_fraction=0.2, sampling__liver_fraction=0.2)
    cases = [prepare(case, config) for case in find_cases(pairs, config.data)]
    hard = [np.zeros((0, 3), int) for _ in cases]
    hard[1] = np.array([[5, 6, 7]])
    sampler = PatchSampler(cases, config, hard=hard)
    drawn = [sampler._wanted_voxel(np.random.default_rng(n)) for n in range(400)]
    at_hard = [case is cases[1] and voxel is not None and list(voxel) == [5, 6, 7] for case, voxel, _ in drawn]
    assert abs(np.mean(at_hard) - 0.3) < 0.07


def test_a_recipe_without_a_model_cannot_ask_for_hard_places(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"sampling\.hard_fraction.*--init-from"):
        check_start(tiny(sampling__hard_fraction=0.2), tmp_path / "run", resume=False)
