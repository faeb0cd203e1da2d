"""Calibration: the map is found, taken up by the weights, and leaves the masks as they were."""

import numpy as np
import pytest
import torch
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.model.bundle import load_bundle
from scipy.special import expit, logit

from LiverTumorSegTraining.evaluation.reliability import CaseReliability, reliability_curve
from LiverTumorSegTraining.export.calibration import Calibration, calibrated, fit_calibration, held_out_reliability
from LiverTumorSegTraining.export.export_model import main
from LiverTumorSegTraining.recipe.config import load_config
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.model import bundle_of, network_of
from LiverTumorSegTraining.training.run_files import RESOLVED


def case(name: str, scale: float, shift: float, voxels: int) -> CaseReliability:
    """Return a case in which a probability p is tumour in expit(scale * logit(p) + shift) of its voxels."""
    probability = np.clip(np.arange(256), 1, 254) / 255
    tumor = np.round(voxels * expit(scale * logit(probability) + shift)).astype(int)
    return CaseReliability(name, tumor, voxels - tumor)


def test_the_map_that_made_the_counts_is_found():
    found = fit_calibration([case("a", 0.8, -1.0, 100_000)])
    assert found.scale == pytest.approx(0.8, abs=0.01)
    assert found.shift == pytest.approx(-1.0, abs=0.01)
    assert found.of(0.5) == pytest.approx(expit(-1.0), abs=0.003)


def test_a_large_case_counts_no_more_than_a_small_one():
    large = fit_calibration([case("a", 1, 0, 1_000_000), case("b", 1, -2, 10_000)])
    equal = fit_calibration([case("a", 1, 0, 10_000), case("b", 1, -2, 10_000)])
    assert large.of(0.5) == pytest.approx(equal.of(0.5), abs=0.005)
    assert expit(-2) < equal.of(0.5) < 0.5


def test_nothing_to_fit_is_said():
    nothing = CaseReliability("a", np.zeros(256, int), np.full(256, 5))
    with pytest.raises(InputError, match="hold no tumour"):
        fit_calibration([nothing])
    with pytest.raises(InputError, match="hold no tumour"):
        fit_calibration([])


@pytest.mark.parametrize("name", ["shipped_liver_tumor", "attention_unet_3d", "lits_unet_2d"])
def test_the_weights_take_it_up(tiny, name):
    config = tiny(name)
    torch.manual_seed(1)
    before = bundle_of(config, network_of(config).state_dict())
    after = calibrated(before, Calibration(0.8, -1.2, ("a",)))
    image = torch.randn(1, 1, *[32] * config.network.dims)
    with torch.inference_mode():
        old, new = before.build()(image), after.build()(image)
    shift = torch.tensor([0.0, 0.0, -1.2]).reshape(1, 3, *[1] * config.network.dims)
    torch.testing.assert_close(new, 0.8 * old + shift, atol=1e-4, rtol=1e-4)
    assert after.tumor_threshold == pytest.approx(expit(0.8 * logit(before.tumor_threshold) - 1.2), abs=1e-3)
    assert after.training["calibration"] == {"scale": 0.8, "shift": -1.2, "cases": ["a"]}


def test_an_exported_model_is_calibrated_on_what_was_held_out(tiny, pairs, tmp_path):
    config = tiny("unet_3d_128", data__validation=["case2"], optimiser__steps=1, run__overlays=False)
    Trainer(config, pairs, tmp_path / "run").train()
    assert main([str(tmp_path / "run"), "--output", str(tmp_path / "plain")]) == 0
    assert main([str(tmp_path / "run"), "--output", str(tmp_path / "model"), "--calibrate", str(pairs)]) == 0
    plain, model = load_bundle(tmp_path / "plain"), load_bundle(tmp_path / "model")
    assert [name.split("_")[0] for name in model.training["calibration"]["cases"]] == ["case2"]
    errors = {}
    for bundle in (plain, model):
        resolved = load_config(tmp_path / "run" / RESOLVED)
        curve = reliability_curve(list(held_out_reliability(bundle, resolved, pairs, ["case2"])))
        errors[bundle.sha256] = curve.calibration_error
    # A network that learnt nothing calls a third of everything tumour; a percent of it is.
    assert errors[plain.sha256] > 0.2
    assert errors[model.sha256] < 0.03


def test_a_data_set_without_the_held_out_patients_is_refused(tiny, pairs):
    config = tiny("unet_3d_128")
    bundle = bundle_of(config, network_of(config).state_dict())
    with pytest.raises(InputError, match="no case of the held-out patients nobody"):
        list(held_out_reliability(bundle, config, pairs, ["nobody"]))
