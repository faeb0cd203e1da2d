"""plan.py measures a data set and writes a recipe that train.py runs and that fits the memory."""

import numpy as np
import pytest
import torch

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.fingerprint import CasePrint, fingerprint, table
from LiverTumorSegTraining.data.verify import expected_data
from LiverTumorSegTraining.recipe.config import NetworkConfig, load_config
from LiverTumorSegTraining.training.cli import main as train
from LiverTumorSegTraining.training.plan import UNet, patch_for, propose, step_bytes, target_spacing
from LiverTumorSegTraining.training.plan_cli import main


def test_the_fingerprint_is_measured(pairs):
    data = expected_data(pairs)
    prints = fingerprint(find_cases(pairs, data), data)
    assert [one.size for one in prints] == [(56, 48, 24)] * 3
    assert prints[0].spacing_mm == pytest.approx((4, 4, 3))
    assert prints[0].volumes_ml["tumor"] == pytest.approx(sum(prints[0].lesions_ml))
    rows = dict(table(prints, data))
    assert rows["spacing z (mm)"] == "3.00 to 3.00, median 3.00"
    assert rows["lesions"] == "3, 0 of them below 10 mm"
    # The liver is 110 HU, the tumours in it 40.
    assert float(rows["CT under the labels"].split(", ")[1]) == pytest.approx(110, abs=3)


def of_spacing(*spacings):
    return [CasePrint(s, (100, 100, 100), (np.zeros(1, np.float32),), {}, ()) for s in spacings]


def test_the_spacing_is_the_median_and_finer_along_a_coarse_axis():
    assert target_spacing(of_spacing((1, 1, 2), (1, 1, 2), (0.5, 0.5, 1))) == (1, 1, 2)
    coarse = of_spacing(*[(0.8, 0.8, z) for z in (1, 5, 5, 5, 5, 5)])
    assert target_spacing(coarse)[2] == pytest.approx(3.0)


def test_a_step_takes_what_was_counted():
    network = NetworkConfig(features=[8, 16], blocks=[1, 1], stem="full")
    unet = UNet(in_channels=1, classes=3, **network.model_dump())
    counted = step_bytes(unet.to("meta"), 1, [32, 32, 32], 1)
    unet = UNet(in_channels=1, classes=3, **network.model_dump())
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel() * 4) or t, lambda t: t):
        unet.train()(torch.rand(1, 1, 32, 32, 32))
    # What autograd keeps is at most what the layers gave out, and not a small part of it.
    assert 0.5 * counted / 2 < sum(saved) < 2.5 * counted / 2


def test_the_patch_follows_memory_and_scans():
    network = NetworkConfig()
    sizes = [np.prod(patch_for(network, 1, 3, (160, 160, 160), 2, memory)) for memory in (1e9, 4e9, 16e9)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert patch_for(network, 1, 3, (40, 160, 160), 2, 1e12) == [32, 160, 160]


def test_from_a_data_set_to_a_trained_network(make, tmp_path, capsys):
    data = make["nnunet"](tmp_path / "data")
    recipe = tmp_path / "mine.yaml"
    assert main([str(data), "--output", str(recipe), "--memory", "0.4"]) == 0
    assert "lesion diameter (mm)" in capsys.readouterr().out
    config = load_config(recipe)
    assert config.id == "mine"
    low, high = config.preparation.window_hu
    assert low < 20
    assert high > 140
    arguments = ["--config", str(recipe), "--data", str(data), "--output", str(tmp_path / "run")]
    quick = ["--optimiser.steps", "1", "--run.validation_quality", "quick", "--run.overlays", "false"]
    assert train([*arguments, *quick]) == 0
    assert main([str(data), "--memory", "0"]) == 2


def test_brats_is_planned_as_mr(make, tmp_path):
    data = make["brats"](tmp_path / "data", 2)
    told = expected_data(data)
    config = propose(fingerprint(find_cases(data, told), told), told, False, 1.0, "brain")
    assert config.task == "other"
    assert config.preparation.window_hu is None
    assert config.data.label_map == {3: 1, 4: 3}
