import itertools

import pytest
import torch
from LiverTumorSegLib.model.families import to_device
from LiverTumorSegLib.model.network import AttentionGate, SpatialAttention, UNet, _shuffle
from torch import nn

SMALL = {"features": (8, 12, 16), "blocks": (1, 2, 1)}
OPTIONS = list(
    itertools.product(
        (2, 3),
        (True, False),
        ("none", "gate", "spatial"),
        (("full", "branch"), ("half", "branch"), ("half", "subvoxel")),
        ("instance", "batch", "none"),
        (True, False),
    )
)


@pytest.mark.parametrize(("dims", "residual", "attention", "grid", "norm", "deep"), OPTIONS)
def test_every_combination_runs_forward_and_backward_on_odd_sizes(dims, residual, attention, grid, norm, deep):
    stem, detail = grid
    network = UNet(
        dims=dims,
        in_channels=2,
        classes=4,
        residual=residual,
        attention=attention,
        stem=stem,
        norm=norm,
        detail=detail,
        deep_supervision=deep,
        dropout=0.1,
        **SMALL,
    )
    size = (13, 18, 15)[:dims]
    x = torch.randn(2, 2, *size)
    outputs = network.train()(x)
    assert isinstance(outputs, list) == deep
    logits = outputs[0] if deep else outputs
    assert logits.shape == (2, 4, *size)
    if deep:
        # "half" supervises both decoder stages of the trunk; with "full" the finer one is the output itself.
        assert len(outputs) == (3 if stem == "half" else 2)
        lengths = [output.shape[-1] for output in outputs]
        assert lengths == sorted(lengths, reverse=True)
    sum(output.square().mean() for output in (outputs if deep else [outputs])).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []
    network.eval()
    assert isinstance(network(x), torch.Tensor)


def test_the_parts_of_a_coarse_voxel_take_their_places():
    parts = torch.arange(2 * 8.0).reshape(1, 16, 1, 1, 1)
    fine = _shuffle(parts, classes=2)
    assert fine.shape == (1, 2, 2, 2, 2)
    assert torch.equal(fine.flatten(), torch.arange(16.0))
    flat = torch.rand(2, 12, 5, 7)
    assert torch.equal(_shuffle(flat, classes=3), nn.functional.pixel_shuffle(flat, 2))


def test_a_subvoxel_head_starts_without_a_pattern():
    network = UNet(detail="subvoxel", **SMALL).eval()
    logits = network(torch.rand(1, 1, 16, 16, 16))
    assert torch.equal(logits[..., ::2, ::2, ::2], logits[..., 1::2, 1::2, 1::2])


@pytest.mark.parametrize("dims", [2, 3])
def test_a_closed_gate_closes_the_skip_and_an_open_one_leaves_it(dims):
    gate = AttentionGate(dims, 8, 12)
    skip, signal = torch.randn(1, 8, *[8] * dims), torch.randn(1, 12, *[4] * dims)
    torch.nn.init.zeros_(gate.psi.weight)
    torch.nn.init.constant_(gate.psi.bias, -200.0)
    assert torch.count_nonzero(gate(skip, signal)) == 0
    torch.nn.init.constant_(gate.psi.bias, 200.0)
    assert torch.equal(gate(skip, signal), skip)


def test_gate_is_evaluated_on_the_coarse_grid():
    gate = AttentionGate(3, 8, 12)
    coefficients = gate.coefficients(torch.randn(1, 8, 8, 8, 8), torch.randn(1, 12, 4, 4, 4))
    assert coefficients.shape == (1, 1, 4, 4, 4)
    assert ((coefficients > 0) & (coefficients < 1)).all()


def test_spatial_attention_multiplies_every_channel_by_the_same_map():
    attention = SpatialAttention(2)
    skip = torch.rand(1, 5, 9, 9) + 0.5
    ratio = attention(skip, skip) / skip
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio))
    assert ratio.std() > 0


def test_dropout_drops_whole_channels():
    network = UNet(dims=3, dropout=0.5, **SMALL).train()
    dropped = network.encoder[0](network.stem(torch.randn(1, 1, 16, 16, 16)))
    empty = (dropped == 0).flatten(2).all(-1)
    assert 0 < empty.sum() < empty.numel()


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 8_121_878),
        ({"features": (32, 64, 128, 192), "blocks": (1, 1, 1, 1)}, 3_897_990),
        ({"features": (32, 64, 96, 128), "blocks": (1, 1, 1, 1), "classes": 2}, 2_312_149),
    ],
)
def test_parameter_counts(arguments, count):
    assert sum(parameter.numel() for parameter in UNet(**arguments).parameters()) == count


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"dims": 4}, "dims"),
        ({"attention": "self"}, "attention"),
        ({"features": (8,), "blocks": (1,)}, "features"),
        ({"features": (8, 16), "blocks": (1,)}, "blocks"),
        ({"dropout": 1.0}, "dropout"),
        ({"classes": 0}, "classes"),
    ],
)
def test_an_option_out_of_range_is_named(arguments, word):
    with pytest.raises(ValueError, match=word):
        UNet(**arguments)


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 16), (16, 16, 16), (17, 2, 40)])
def test_any_size_comes_back_as_it_was(size):
    network = UNet(features=(8, 16, 16, 24), blocks=(1, 1, 1, 1)).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 1, *size).contiguous(memory_format=torch.channels_last_3d))
    assert logits.shape == (1, 3, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_gradients_do_not_depend_on_the_memory_order(norm, samples):
    torch.manual_seed(0)
    exact = UNet(features=(8, 16, 24), blocks=(1, 1, 1), norm=norm).double().train()
    fast = UNet(features=(8, 16, 24), blocks=(1, 1, 1), norm=norm).train()
    fast.load_state_dict(exact.state_dict())
    image, label = torch.randn(samples, 1, 24, 24, 24), torch.randint(0, 3, (samples, 24, 24, 24))
    nn.functional.cross_entropy(exact(image.double()), label).backward()
    fast = to_device(fast, torch.device("cpu"))
    nn.functional.cross_entropy(fast(image.contiguous(memory_format=torch.channels_last_3d)), label).backward()
    expected, ours = (
        torch.cat([parameter.grad.flatten().double() for parameter in network.parameters()])
        for network in (exact, fast)
    )
    assert float((ours - expected).norm() / expected.norm()) < 0.01
