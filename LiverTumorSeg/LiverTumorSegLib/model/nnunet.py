"""The two 3D networks of nnU-Net v2 (Isensee et al., Nature Methods 2021; MICCAI 2024), for weights trained there.

Written out here, because the package that nnU-Net takes them from brings its own build of torch, and nothing but
torch may be needed in Slicer. Names of weights are nnU-Net's, so that a checkpoint's tensors are taken as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .instance_norm import InstanceNorm3d

Encoder = Literal["plain", "residual"]
NnunetNorm = Literal["instance", "batch"]
Triple = Sequence[int]

_NORM: dict[str, type[nn.Module]] = {"instance": InstanceNorm3d, "batch": nn.BatchNorm3d}


@dataclass(frozen=True)
class Layer:
    """What all convolutions of a network have in common: a bias or none, normalisation, slope of the leaky ReLU."""

    bias: bool
    norm: str
    slope: float


class ConvNorm(nn.Module):
    """Convolution, normalisation and, where it is active, leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Triple, stride: Triple, layer: Layer, active: bool = True
    ) -> None:
        super().__init__()
        padding = _three([(length - 1) // 2 for length in kernel])
        self.conv = nn.Conv3d(inputs, outputs, _three(kernel), _three(stride), padding, bias=layer.bias)
        self.norm = _NORM[layer.norm](outputs, affine=True)
        self.nonlin = nn.LeakyReLU(layer.slope, inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, z, y, x) to (N, outputs, z / stride, y / stride, x / stride)."""
        activated: Tensor = self.nonlin(self.norm(self.conv(x)))
        return activated


class Convolutions(nn.Module):
    """Several `ConvNorm`, the first with the stride."""

    def __init__(self, count: int, inputs: int, outputs: int, kernel: Triple, stride: Triple, layer: Layer) -> None:
        super().__init__()
        first = ConvNorm(inputs, outputs, kernel, stride, layer)
        rest = [ConvNorm(outputs, outputs, kernel, (1, 1, 1), layer) for _ in range(count - 1)]
        self.convs = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Apply one after the other."""
        y: Tensor = self.convs(x)
        return y


class ResidualBlock(nn.Module):
    """Two convolutions beside an averaged and, where the width changes, projected input (He et al., CVPR 2019)."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple, layer: Layer) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, kernel, stride, layer)
        self.conv2 = ConvNorm(outputs, outputs, kernel, (1, 1, 1), layer, active=False)
        self.nonlin2 = nn.LeakyReLU(layer.slope, inplace=True)
        skip: list[nn.Module] = []
        if max(stride) > 1:
            skip.append(nn.AvgPool3d(_three(stride), _three(stride)))
        if inputs != outputs:
            skip.append(
                ConvNorm(inputs, outputs, (1, 1, 1), (1, 1, 1), dataclasses.replace(layer, bias=False), active=False)
            )
        self.skip = nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, ...) to (N, outputs, .../stride)."""
        activated: Tensor = self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))
        return activated


class ResidualBlocks(nn.Module):
    """Several `ResidualBlock`, the first with the stride."""

    def __init__(self, count: int, inputs: int, outputs: int, kernel: Triple, stride: Triple, layer: Layer) -> None:
        super().__init__()
        first = ResidualBlock(inputs, outputs, kernel, stride, layer)
        rest = [ResidualBlock(outputs, outputs, kernel, (1, 1, 1), layer) for _ in range(count - 1)]
        self.blocks = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Apply one after the other."""
        y: Tensor = self.blocks(x)
        return y


class NnunetUNet(nn.Module):
    """A U-Net as nnU-Net plans it: kernels and strides for each axis, transposed convolutions on the way up.

    Parameters
    ----------
    encoder : {"plain", "residual"}
        Plain convolutions, or residual blocks after a stem.
    in_channels, classes : int
        Input channels; output classes with background.
    features : sequence of int
        Channels of each stage, finest first.
    kernel_sizes, strides : sequence of three int for each stage
        Along z, y, x; the strides of the first stage are 1.
    encoder_depth, decoder_depth : sequence of int
        Convolutions (blocks, for "residual") of each stage; convolutions of each decoder stage, coarsest first.
    bias : bool
        Whether convolutions have one beside their normalisation.
    norm : {"instance", "batch"}
        Normalisation.
    slope : float
        Of the leaky ReLU below zero.

    Raises
    ------
    ValueError
        If an option is outside its range or the lists do not fit.
    """

    def __init__(
        self,
        encoder: Encoder,
        in_channels: int,
        classes: int,
        features: Sequence[int],
        kernel_sizes: Sequence[Triple],
        strides: Sequence[Triple],
        encoder_depth: Sequence[int],
        decoder_depth: Sequence[int],
        bias: bool = True,
        norm: NnunetNorm = "instance",
        slope: float = 0.01,
        dims: int = 3,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "family": "nnunet",
            "dims": dims,
            "encoder": encoder,
            "in_channels": in_channels,
            "classes": classes,
            "features": list(features),
            "kernel_sizes": [list(kernel) for kernel in kernel_sizes],
            "strides": [list(stride) for stride in strides],
            "encoder_depth": list(encoder_depth),
            "decoder_depth": list(decoder_depth),
            "bias": bias,
            "norm": norm,
            "slope": slope,
        }
        _check(self.arguments)
        self.total_stride = math.lcm(*(math.prod(axis) for axis in zip(*strides, strict=True)))

        layer = Layer(bias, norm, slope)
        self.encoder = _Encoder(encoder, in_channels, features, kernel_sizes, strides, encoder_depth, layer)
        self.decoder = _Decoder(classes, features, kernel_sizes, strides, decoder_depth, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes, z, y, x).

        Parameters
        ----------
        x : Tensor
            (N, in_channels, z, y, x), each side a multiple of the product of its strides.
        """
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


class _Encoder(nn.Module):
    """Stages from fine to coarse, after a stem where they are residual."""

    def __init__(
        self, kind: Encoder, inputs: int, features: Sequence[int], kernels: Sequence[Triple],
        strides: Sequence[Triple], depths: Sequence[int], layer: Layer,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stem: nn.Module = nn.Identity()
        if kind == "residual":
            self.stem = Convolutions(1, inputs, features[0], kernels[0], (1, 1, 1), layer)
            inputs = features[0]
        self.stages = nn.Sequential()
        for width, kernel, stride, depth in zip(features, kernels, strides, depths, strict=True):
            if kind == "residual":
                self.stages.append(ResidualBlocks(depth, inputs, width, kernel, stride, layer))
            else:
                self.stages.append(nn.Sequential(Convolutions(depth, inputs, width, kernel, stride, layer)))
            inputs = width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of every stage, finest first."""
        x = self.stem(x)
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    """Stages from coarse to fine: transposed convolution, join with the skip, convolutions."""

    def __init__(
        self, classes: int, features: Sequence[int], kernels: Sequence[Triple], strides: Sequence[Triple],
        depths: Sequence[int], layer: Layer,
    ) -> None:  # fmt: skip
        super().__init__()
        self.transpconvs, self.stages, self.seg_layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for place, depth in enumerate(depths, start=1):
            below, width, stride = features[-place], features[-place - 1], _three(strides[-place])
            self.transpconvs.append(nn.ConvTranspose3d(below, width, stride, stride, bias=layer.bias))
            self.stages.append(Convolutions(depth, 2 * width, width, kernels[-place - 1], (1, 1, 1), layer))
            # The coarser heads served deep supervision; kept, so that every tensor of a checkpoint has its place.
            self.seg_layers.append(nn.Conv3d(width, classes, 1))

    def forward(self, found: list[Tensor]) -> Tensor:
        """Return logits on the finest grid of the encoder's features."""
        x = found[-1]
        for up, join, skip in zip(self.transpconvs, self.stages, reversed(found[:-1]), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        logits: Tensor = self.seg_layers[-1](x)
        return logits


def _check(arguments: dict[str, Any]) -> None:
    stages = len(arguments["features"])
    lists = [len(arguments[name]) for name in ("kernel_sizes", "strides", "encoder_depth")]
    if stages < 2 or lists != [stages] * 3 or len(arguments["decoder_depth"]) != stages - 1:
        raise ValueError(f"An nnU-Net network of {stages} stages needs kernels, strides and depths for each stage.")
    triples = [*arguments["kernel_sizes"], *arguments["strides"]]
    numbers = [*arguments["features"], *arguments["encoder_depth"], *arguments["decoder_depth"]]
    numbers += [length for triple in triples for length in triple]
    if (
        any(len(triple) != 3 for triple in triples)
        or min(*numbers, *(arguments[n] for n in ("in_channels", "classes"))) < 1
    ):
        raise ValueError("An nnU-Net network is 3D, and its sizes are positive numbers.")
    if any(length % 2 == 0 for kernel in arguments["kernel_sizes"] for length in kernel):
        raise ValueError(f"nnU-Net kernel_sizes are {arguments['kernel_sizes']}; they must be odd.")
    if arguments["dims"] != 3 or arguments["encoder"] not in ("plain", "residual") or arguments["norm"] not in _NORM:
        raise ValueError("An nnU-Net network is 3D, plain or residual, with instance or batch normalisation.")


def _three(values: Triple) -> tuple[int, int, int]:
    z, y, x = values
    return z, y, x
