import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from LiverTumorSegLib.errors import CancelledError
from LiverTumorSegLib.model.network import UNet
from LiverTumorSegLib.model.tile_plan import TilePlan, blending_weights, tile_starts
from LiverTumorSegLib.model.tiles import NonFiniteOutputError, cpu_has_bfloat16, predict_probabilities
from LiverTumorSegLib.pipeline.quality import flip_sets

CPU = torch.device("cpu")


class Voxelwise(torch.nn.Module):
    """A network without context: the probability of class 1 is the input itself."""

    def __init__(self):
        super().__init__()
        self.arguments = {"dims": 3, "classes": 2}

    def forward(self, x):
        p = x[:, :1].clamp(1e-4, 1 - 1e-4)
        return torch.cat([torch.log(1 - p), torch.log(p)], 1)


class Broken(Voxelwise):
    def forward(self, x):
        return super().forward(x) * float("nan")


@pytest.mark.parametrize("length", [1, 10, 16, 17, 31, 100])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_cover_everything(length, overlap):
    starts = tile_starts(length, 16, overlap)
    covered = np.zeros(max(length, 16), bool)
    for start in starts:
        covered[start : start + 16] = True
    assert covered[:length].all()
    assert starts == sorted(set(starts))
    assert starts[-1] + 16 <= max(length, 16)
    assert all(b - a <= 16 * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


def test_blending_weights_peak_in_the_middle_and_never_vanish():
    weights = blending_weights((9, 9, 9))
    assert weights.shape == (9, 9, 9)
    assert weights[4, 4, 4] == weights.max() == 1
    assert weights.min() >= 0.01


@pytest.mark.parametrize("shape", [(7, 9, 11), (16, 16, 16), (23, 40, 31)])
@pytest.mark.parametrize("flips", [1, 4, 8])
def test_a_voxelwise_network_comes_back_unchanged_whatever_the_tiles(shape, flips):
    array = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    plan = TilePlan((16, 16, 16), 0.5, tuple(flip_sets())[:flips])
    probability = predict_probabilities([Voxelwise()], array, plan, CPU)
    assert probability.dtype == np.uint8
    assert probability.shape == (1, *shape)
    # bfloat16 hardware keeps 8 bits.
    assert np.abs(probability[0] / 255 - array[0]).max() < 0.02


def test_two_networks_are_averaged():
    class Opposite(Voxelwise):
        def forward(self, x):
            return super().forward(1 - x)

    array = np.random.default_rng(0).random((1, 16, 16, 16), dtype=np.float32)
    probability = predict_probabilities([Voxelwise(), Opposite()], array, TilePlan((16, 16, 16)), CPU)
    assert np.abs(probability.astype(int) - 127).max() <= 2


def test_a_2d_network_runs_slice_by_slice():
    network = UNet(dims=2, features=(8, 8), blocks=(1, 1), classes=2).eval()
    array = np.random.default_rng(0).random((1, 5, 20, 24), dtype=np.float32)
    whole = predict_probabilities([network], array, TilePlan((20, 24)), CPU)
    one = predict_probabilities([network], array[:, 2:3], TilePlan((20, 24)), CPU)
    assert whole.shape == (1, 5, 20, 24)
    assert np.array_equal(whole[:, 2:3], one)


def test_only_air_needs_no_network():
    probability = predict_probabilities([Broken()], np.zeros((1, 16, 16, 16), np.float32), TilePlan((16, 16, 16)), CPU)
    assert not probability.any()


def test_non_finite_output_is_an_error():
    array = np.random.default_rng(0).random((1, 16, 16, 16), dtype=np.float32)
    with pytest.raises(NonFiniteOutputError, match="not finite"):
        predict_probabilities([Broken()], array, TilePlan((16, 16, 16)), CPU)


def test_cancel_is_asked_before_each_tile():
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) == 3

    array = np.random.default_rng(0).random((1, 16, 16, 64), dtype=np.float32)
    with pytest.raises(CancelledError):
        predict_probabilities([Voxelwise()], array, TilePlan((16, 16, 16)), CPU, cancelled=cancelled)
    assert len(asked) == 3


def test_progress_rises_from_zero():
    fractions = []
    array = np.random.default_rng(0).random((1, 16, 16, 64), dtype=np.float32)
    predict_probabilities(
        [Voxelwise()], array, TilePlan((16, 16, 16)), CPU, progress=lambda fraction, words: fractions.append(fraction)
    )
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert len(fractions) > 3


def test_the_cpu_repeats_itself_bit_for_bit():
    network = UNet(features=(8, 8), blocks=(1, 1)).eval()
    array = np.random.default_rng(0).random((1, 20, 20, 20), dtype=np.float32)
    first, second = (predict_probabilities([network], array, TilePlan((16, 16, 16)), CPU) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux lists the processor's flags in a file")
def test_bfloat16_is_used_where_the_processor_multiplies_it():
    flags = set(re.findall(r"\bavx512_bf16\b|\bamx_bf16\b|\bbf16\b", Path("/proc/cpuinfo").read_text()))
    assert cpu_has_bfloat16() == bool(flags)
