"""A network without normalisation gives the same answer however an array is cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from LiverTumorSegLib.model.cost import LARGEST_TILE_VOXELS
from LiverTumorSegLib.model.network import UNet
from LiverTumorSegLib.model.tile_plan import MARGIN_VOXELS, TilePlan, plan_tiles
from LiverTumorSegLib.model.tiles import blend

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    """One whose reach, 45 voxels, is below the margin."""
    torch.manual_seed(0)
    return UNet(features=(8, 8, 8), blocks=(1, 1, 1), norm="none", detail="subvoxel").eval()


def probability(network, array, plan):
    def compute(tile):
        with torch.inference_mode():
            return network(tile[None]).softmax(1)[0]

    return blend(array, plan, 3, compute, CPU)


@settings(max_examples=6, deadline=None)
@given(st.integers(105, 190), st.sampled_from([104, 112, 128]), st.integers(0, 2))
def test_any_tiling_with_enough_overlap_gives_the_same_probabilities(network, length, tile, axis):
    shape = np.roll([length, 24, 21], axis)
    array = np.random.default_rng(length).random((1, *shape), dtype=np.float32)
    plan = TilePlan((tile,) * 3, margin=48, step=network.total_stride)
    assert len(plan.windows(tuple(shape))) > 1 or length <= tile
    whole = probability(network, array, TilePlan(tuple(shape)))
    assert (probability(network, array, plan) - whole).abs().max() < 1e-3


def test_tiles_without_enough_overlap_are_seen():
    # The test above would not hold for any network and any margin.
    torch.manual_seed(0)
    network = UNet(features=(8, 8, 8), blocks=(1, 1, 1), norm="instance", detail="subvoxel").eval()
    array = np.random.default_rng(0).random((1, 150, 24, 21), dtype=np.float32)
    array[:, :60] *= 0.3
    whole = probability(network, array, TilePlan(array.shape[1:]))
    cut = probability(network, array, TilePlan((104,) * 3, margin=48, step=8))
    assert (cut - whole).abs().max() > 0.01


@pytest.mark.parametrize("shape", [(30, 40, 50), (200, 250, 250), (400, 341, 341), (90, 700, 700)])
def test_every_voxel_is_in_the_core_of_exactly_one_tile_within_the_memory_plan(network, shape):
    plan = plan_tiles(network, (96, 96, 96), shape)
    seen = np.zeros(shape, np.uint8)
    for window in plan.windows(shape):
        assert all(side.start % network.total_stride == 0 for side in window)
        assert np.prod([side.stop - side.start for side in window]) <= 1.05 * LARGEST_TILE_VOXELS
        seen[window] += plan.weights(window, shape).numpy().astype(np.uint8) if plan.margin else 1
    assert (seen == 1).all()
    assert (len(plan.windows(shape)) == 1) == (np.prod(shape) <= LARGEST_TILE_VOXELS)


def test_instance_normalisation_keeps_the_tiles_of_its_training():
    network = UNet(features=(8, 8, 8), blocks=(1, 1, 1), norm="instance")
    assert plan_tiles(network, (96, 96, 96), (200, 200, 200), 0.25) == TilePlan((96, 96, 96), 0.25)


def test_a_tile_must_be_larger_than_its_margins():
    with pytest.raises(ValueError, match="leave nothing between margins"):
        TilePlan((2 * MARGIN_VOXELS,) * 3, margin=MARGIN_VOXELS, step=16)
