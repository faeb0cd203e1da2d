"""Losses: finite on empty batches, blind to ignored voxels, the same in parts as in one."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from LiverTumorSegTraining.recipe.config import LossConfig
from LiverTumorSegTraining.training.losses import SegmentationLoss, automatic_class_weights, lesion_weights

NAMES = ["dice_ce", "cross_entropy", "focal_tversky"]


def logits_and_label(seed=0, shape=(2, 6, 7, 8)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], 3, *shape[1:], generator=generator, requires_grad=True)
    return logits, torch.randint(0, 3, shape, generator=generator).to(torch.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 1, 255, 254])
@pytest.mark.parametrize("weights", [None, [0.1, 1.0, 10.0]])
def test_finite_when_a_batch_holds_one_thing_only(name, value, weights):
    logits, label = logits_and_label()
    loss = SegmentationLoss(LossConfig(name=name, class_weights=weights))(logits * 50, torch.full_like(label, value))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_costs_nothing_and_has_a_finite_slope(name):
    _, label = logits_and_label()
    logits = (F.one_hot(label.long(), 3).movedim(-1, 1).float() * 100).requires_grad_()
    loss = SegmentationLoss(LossConfig(name=name))(logits, label)
    loss.backward()
    assert loss < 1e-3
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_ignored_voxels_have_no_influence(name):
    logits, label = logits_and_label()
    label[:, :3] = 255
    loss = SegmentationLoss(LossConfig(name=name))
    first = loss(logits, label)
    first.backward()
    assert logits.grad[:, :, :3].abs().max() == 0
    changed = logits.detach().clone()
    changed[:, :, :3] = 9.0
    assert torch.isclose(loss(changed, label), first)


def test_cross_entropy_is_that_of_torch():
    logits, label = logits_and_label()
    weights = [0.5, 2.0, 3.0]
    ours = SegmentationLoss(LossConfig(name="cross_entropy", class_weights=weights))(logits, label)
    assert torch.isclose(ours, F.cross_entropy(logits, label.long(), torch.tensor(weights)))


def test_any_foreground_accepts_liver_and_tumor():
    loss = SegmentationLoss(LossConfig(name="cross_entropy"))
    label = torch.full((1, 4, 4, 4), 254, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 4, 4, 4)
    costs = []
    for value in range(3):
        sure = logits.clone()
        sure[:, value] = 20.0
        costs.append(float(loss(sure, label)))
    assert costs[0] > 10
    assert max(costs[1:]) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_deep_supervision_weighs_coarse_outputs_less(name):
    logits, label = logits_and_label(shape=(2, 8, 8, 8))
    loss = SegmentationLoss(LossConfig(name=name))
    coarse = F.avg_pool3d(logits, 2)
    small = label[:, ::2, ::2, ::2]
    expected = (loss(logits, label) + 0.5 * loss(coarse, small)) / 1.5
    assert torch.isclose(loss([logits, coarse], label), expected)


def test_automatic_weights():
    label = np.zeros((10, 10, 10), np.uint8)
    label[:2], label[0, 0] = 1, 2
    label[9] = 255
    weights = automatic_class_weights([label, label], 4)
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == 1.0
    assert min(weights) >= 0.1
    assert max(weights) <= 10
    assert automatic_class_weights([np.full((2, 2, 2), 255, np.uint8)], 3) == [1.0, 1.0, 1.0]


def two_lesions():
    """Return a label (1, 40, 40, 40) of liver with tumours of 4 and 20 voxels across, and their masks."""
    grid = np.indices((40, 40, 40))
    small, large = (
        sum((axis - centre) ** 2 for axis in grid) <= radius**2 for centre, radius in ((5, 2.0), (25, 10.0))
    )
    label = np.ones((1, 40, 40, 40), np.uint8)
    label[0][small | large] = 2
    return torch.from_numpy(label), torch.from_numpy(small)[None], torch.from_numpy(large)[None]


def test_a_small_lesion_and_its_surroundings_weigh_more_the_others_as_before():
    label, small, large = two_lesions()
    label[0, :, :, -3:] = 255
    weights = lesion_weights(label, 3, heaviest=3.0)
    surroundings = F.max_pool3d(small[:, None].float(), 7, 1, 3)[:, 0] > 0
    assert (weights[surroundings] == 3).all()
    assert (weights[~surroundings] == 1).all()
    assert not (large & surroundings).any()
    assert weights.dtype == torch.float32
    diameter = (6 / np.pi * int(small.sum())) ** (1 / 3)
    assert torch.allclose(lesion_weights(label, 3, heaviest=20.0)[small], torch.tensor(16 / diameter).float())


@pytest.mark.parametrize(("across", "weight"), [(8, 2.0), (12, 4 / 3), (17, 1.0), (40, 1.0)])
def test_the_diameter_of_a_lesion_in_a_slice_is_that_of_a_disc(across, weight):
    y, x = np.indices((64, 64)) - 31.5
    label = np.where(y**2 + x**2 <= (across / 2) ** 2, 2, 1).astype(np.uint8)[None]
    weights = lesion_weights(torch.from_numpy(label), 3, heaviest=10.0)
    assert float(weights[0, 32, 32]) == pytest.approx(weight, rel=0.03)
    assert float(weights[0, 0, 0]) == 1


def test_pieces_of_the_first_class_are_the_organ_and_weigh_the_same():
    label, _, _ = two_lesions()
    assert (lesion_weights((label == 2).to(torch.uint8), 2, heaviest=3.0) == 1).all()


def test_missing_a_small_lesion_costs_more_with_its_weight():
    label, small, _ = two_lesions()
    right = F.one_hot(label.long(), 3).movedim(-1, 1).float() * 10
    missed = torch.where(small[:, None], torch.tensor([0.0, 10.0, 0.0]).view(1, 3, 1, 1, 1), right)
    plain, weighted = (
        SegmentationLoss(LossConfig(name="cross_entropy", small_lesions=weight))(missed, label) for weight in (1, 3)
    )
    assert 2.7 < weighted / plain < 3
    same = SegmentationLoss(LossConfig(name="cross_entropy", small_lesions=3))(right, label)
    assert torch.isclose(same, SegmentationLoss(LossConfig(name="cross_entropy"))(right, label), atol=1e-6)
