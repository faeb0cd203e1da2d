"""Statistics are fixed and folded into convolutions: what was learnt stays, a new network starts well scaled."""

import pytest
import torch
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.network import UNet
from torch import nn

from LiverTumorSegTraining.export.export_model import export_model
from LiverTumorSegTraining.training.fold import calibrate, folded, with_batch_norm
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.model import bundle_of, network_of
from LiverTumorSegTraining.training.warm_start import start

SMALL = {"features": (8, 12, 16), "blocks": (1, 2, 1), "norm": "none"}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("residual", "stem", "detail"),
    [(True, "half", "subvoxel"), (False, "full", "branch"), (True, "half", "branch")],
)
def test_the_folded_network_computes_the_same(dims, residual, stem, detail):
    torch.manual_seed(0)
    network = UNet(dims=dims, residual=residual, stem=stem, detail=detail, **SMALL).eval()
    normalised = with_batch_norm(network)
    x = torch.rand(3, 1, *[24] * dims)
    for module in normalised.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    calibrate(normalised, x)
    network.load_state_dict(folded(normalised))
    torch.testing.assert_close(network(x), normalised.eval()(x), atol=1e-4, rtol=1e-4)


def test_a_new_network_starts_with_activations_of_unit_variance(tiny):
    network = network_of(tiny(network__norm="none"))
    torch.manual_seed(0)
    # Input of a scale for which the initialisation was not made.
    images = 0.1 * torch.rand(4, 1, 32, 32, 32)
    before = [seen.std() for seen in _before_activations(network, images)]
    start(network, None, lambda: images)
    after = torch.stack([seen.std() for seen in _before_activations(network, images)])
    assert torch.stack(before).min() < 0.2
    # After the sum with a projection the variance is that of two.
    assert (after > 0.7).all()
    assert (after < 2.0).all()


def _before_activations(network, images):
    seen = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        for module in network.modules()
        if isinstance(module, nn.LeakyReLU)
    ]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return seen


def test_a_recipe_without_norm_starts_from_a_normalised_model_and_trains(pairs, tiny, tmp_path):
    old = tiny("fine_tune", network__norm="instance")
    torch.manual_seed(1)
    weights = network_of(old).state_dict()
    bundle = bundle_of(old, weights)
    asked = []
    images = torch.rand(3, 1, 32, 32, 32)
    network = network_of(tiny("fine_tune", network__norm="none"))
    started = start(network, bundle, lambda: asked.append(1) or images)
    assert asked
    assert not started.left, "statistics of normalisation are no weights of this network"
    # One bundle without norm is the start of the next as it is.
    again = network_of(tiny("fine_tune", network__norm="none"))
    start(again, bundle_of(tiny("fine_tune", network__norm="none"), network.state_dict()), pytest.fail)
    stored = {name: tensor.half().float() for name, tensor in network.state_dict().items()}
    assert all(torch.equal(tensor, stored[name]) for name, tensor in again.state_dict().items())
    run = tmp_path / "run"
    Trainer(tiny("shipped_liver_tumor"), pairs, run).train()
    export_model(run, tmp_path / "model")
    assert load_bundle(tmp_path / "model").network["detail"] == "subvoxel"
