"""Our instance normalisation is torch's, right for a single sample too, and keeps the memory order."""

import pytest
import torch
from LiverTumorSegLib.model.instance_norm import InstanceNorm3d
from torch import nn

ORDER = torch.channels_last_3d


@pytest.mark.parametrize("shape", [(2, 16, 12, 10, 9), (1, 32, 7, 5, 3), (3, 5, 2, 2, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_values_and_gradients_are_those_of_torch(shape, dtype, tolerance):
    torch.manual_seed(3)
    values, gradient = (torch.randn(shape) * 3 + 1).to(dtype), torch.randn(shape).to(dtype)
    weight, bias = torch.rand(shape[1]) + 0.5, torch.randn(shape[1])
    results = []
    # torch's own backward pass is wrong for one sample in channels-last order, so it is asked in the other order.
    for kind, order in ((nn.InstanceNorm3d, torch.contiguous_format), (InstanceNorm3d, ORDER)):
        layer = kind(shape[1], affine=True)
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        x = values.clone(memory_format=order).requires_grad_()
        y = layer(x)
        y.backward(gradient.contiguous(memory_format=order))
        results.append([y.detach(), x.grad, layer.weight.grad, layer.bias.grad])
    for expected, ours in zip(*results, strict=True):
        scale = max(float(expected.abs().max()), 1.0)
        assert float((expected.float() - ours.float()).abs().max()) < tolerance * scale


def test_the_memory_order_stays():
    x = torch.randn(2, 8, 6, 6, 6).contiguous(memory_format=ORDER).requires_grad_()
    y = InstanceNorm3d(8, affine=True)(x)
    assert y.is_contiguous(memory_format=ORDER)
    assert not nn.InstanceNorm3d(8, affine=True)(x).is_contiguous(memory_format=ORDER), "else ours is not needed"
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=ORDER)


def test_torch_is_still_wrong_for_one_sample():
    """When this fails, torch was mended, and only speed is left as a reason for ours."""
    x = torch.randn(1, 8, 6, 6, 6).contiguous(memory_format=ORDER)
    gradient = torch.randn_like(x)
    layer = nn.InstanceNorm3d(8, affine=True)
    layer(x.requires_grad_()).backward(gradient)
    assert float((layer.bias.grad - gradient.sum((0, 2, 3, 4))).abs().max()) > 1
