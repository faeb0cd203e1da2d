"""The one U-Net family: every network of this project is an instance of `UNet`.

Plain U-Net (Ronneberger et al., MICCAI 2015; Çiçek et al., MICCAI 2016), residual encoder (Zhang et al., IEEE GRSL
2018), additive attention gates (Oktay et al., MIDL 2018), spatial attention (Woo et al., ECCV 2018), channel-wise
dropout (Tompson et al., CVPR 2015), sub-voxel head (Shi et al., CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own abbreviation

from .instance_norm import InstanceNorm3d

Attention = Literal["none", "gate", "spatial"]
Norm = Literal["instance", "batch", "none"]
Stem = Literal["full", "half"]
Detail = Literal["branch", "subvoxel"]

_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_DROPOUT: dict[int, type[nn.Module]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
_NORM: dict[str, dict[int, type[nn.Module]]] = {
    "instance": {2: nn.InstanceNorm2d, 3: InstanceNorm3d},
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
}
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}
DETAIL_FEATURES = 16
"""Channels of the thin full-resolution branch beside a half-resolution stem."""


def _conv(dims: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Module:
    padding = (kernel - stride) // 2 if kernel > stride else 0
    if kernel % 2:
        padding = kernel // 2
    return _CONV[dims](inputs, outputs, kernel, stride, padding, bias=bias)


def _norm(dims: int, norm: Norm, features: int) -> nn.Module:
    return nn.Identity() if norm == "none" else _NORM[norm][dims](features, affine=True)


def _upsample(x: Tensor, like: Tensor) -> Tensor:
    size = like.shape[2:]
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=size, mode=_INTERPOLATION[len(size)], align_corners=False)


def _shuffle(x: Tensor, classes: int) -> Tensor:
    """Return (N, classes, 2 * spatial) of (N, classes * 2 ** dims, spatial): the channels of a voxel become its parts.

    A channel's number is class, then the part's place (z, y, x), the last fastest.
    """
    n, dims, size = x.shape[0], x.ndim - 2, x.shape[2:]
    x = x.reshape(n, classes, *[2] * dims, *size)
    order = [axis for place in range(dims) for axis in (2 + dims + place, 2 + place)]
    return x.permute(0, 1, *order).reshape(n, classes, *[2 * length for length in size])


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation (a bias, where there is none), leaky ReLU."""

    def __init__(self, dims: int, inputs: int, outputs: int, norm: Norm, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            _conv(dims, inputs, outputs, kernel, stride, bias=norm == "none"),
            _norm(dims, norm, outputs),
            nn.LeakyReLU(0.01, inplace=True),
        )


class Block(nn.Module):
    """Two convolutions, the first with the stage's stride; with `residual`, added to a projection of the input."""

    def __init__(self, dims: int, inputs: int, outputs: int, norm: Norm, stride: int, residual: bool) -> None:
        super().__init__()
        self.first = ConvNormAct(dims, inputs, outputs, norm, stride=stride)
        bias = norm == "none"
        self.second = nn.Sequential(_conv(dims, outputs, outputs, bias=bias), _norm(dims, norm, outputs))
        self.act = nn.LeakyReLU(0.01, inplace=True)
        self.residual = residual
        self.project: nn.Module = nn.Identity()
        if residual and (stride != 1 or inputs != outputs):
            self.project = nn.Sequential(
                _CONV[dims](inputs, outputs, 1, stride, bias=bias), _norm(dims, norm, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, ...) to (N, outputs, .../stride)."""
        y = self.second(self.first(x))
        return self.act(y + self.project(x)) if self.residual else self.act(y)


class AttentionGate(nn.Module):
    """Additive attention gate: one coefficient in 0..1 for each coarse position multiplies the skip.

    The coefficients are computed on the gating signal's coarse grid and interpolated to the skip's grid.
    """

    def __init__(self, dims: int, skip_features: int, gate_features: int) -> None:
        super().__init__()
        inner = max(skip_features // 2, 8)
        self.theta = _CONV[dims](skip_features, inner, 2, 2, bias=False)
        self.phi = _CONV[dims](gate_features, inner, 1)
        self.psi = _CONV[dims](inner, 1, 1)

    def coefficients(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return the attention coefficients, (N, 1, ...) on the grid of `gate`."""
        return torch.sigmoid(self.psi(F.relu(self.theta(skip) + self.phi(gate))))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return `skip` times the interpolated coefficients."""
        return skip * _upsample(self.coefficients(skip, gate), skip)


class SpatialAttention(nn.Module):
    """Spatial attention: a convolution over channel mean and maximum of the skip gives a coefficient a position."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv = _conv(dims, 2, 1, kernel=7, bias=True)

    def coefficients(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return the attention coefficients, (N, 1, ...) on the grid of `skip`; `gate` is not used."""
        summary = torch.cat([skip.mean(1, keepdim=True), skip.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.conv(summary))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return `skip` times the coefficients."""
        return skip * self.coefficients(skip, gate)


class PassThrough(nn.Module):
    """No attention: the skip as it is."""

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return `skip`."""
        return skip


def _attention(kind: Attention, dims: int, skip_features: int, gate_features: int) -> nn.Module:
    if kind == "gate":
        return AttentionGate(dims, skip_features, gate_features)
    return SpatialAttention(dims) if kind == "spatial" else PassThrough()


class DecoderStage(nn.Module):
    """Interpolate to the skip's grid, join with the attended skip, convolve."""

    def __init__(
        self, dims: int, inputs: int, skip_features: int, norm: Norm, attention: Attention, convolutions: int
    ) -> None:
        super().__init__()
        self.attention = _attention(attention, dims, skip_features, inputs)
        self.reduce = _CONV[dims](inputs, skip_features, 1, bias=False)
        convs = [ConvNormAct(dims, 2 * skip_features, skip_features, norm)]
        convs += [ConvNormAct(dims, skip_features, skip_features, norm) for _ in range(convolutions - 1)]
        self.convs = nn.Sequential(*convs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map coarse `x` and fine `skip` to the features of the fine grid."""
        # The 1x1 convolution commutes with interpolation: on the coarse grid it costs an eighth.
        return self.convs(torch.cat([_upsample(self.reduce(x), skip), self.attention(skip, x)], 1))


class UNet(nn.Module):
    """U-Net with the options of this project.

    Parameters
    ----------
    dims : {2, 3}
        Axial slices or volumes.
    in_channels, classes : int
        Input channels; output classes with background.
    features : sequence of int
        Channels of each stage, finest first; the grid halves from one stage to the next.
    blocks : sequence of int
        Encoder blocks of each stage; as long as `features`.
    residual : bool
        Residual encoder blocks with projection skips.
    attention : {"none", "gate", "spatial"}
        What multiplies the skip connections.
    dropout : float
        Probability that a whole channel of an encoder stage is dropped in training.
    deep_supervision : bool
        In training, also return logits of the coarser decoder stages.
    stem : {"full", "half"}
        "half": a stride-2 stem halves the grid of the trunk.
    norm : {"instance", "batch", "none"}
        Normalisation. Without one, every convolution that it would follow has a bias, and what the network says of a
        voxel depends on its surroundings alone, not on the size of the tile.
    decoder_convolutions : int
        Convolutions of each decoder stage.
    detail : {"branch", "subvoxel"}
        What brings detail back to a half-resolution trunk: a thin full-resolution branch, or a head that tells each
        of the parts of a coarse voxel its class.

    Raises
    ------
    ValueError
        If an option is outside its range.
    """

    def __init__(
        self,
        dims: int = 3,
        in_channels: int = 1,
        classes: int = 3,
        features: Sequence[int] = (48, 96, 160, 224),
        blocks: Sequence[int] = (1, 2, 2, 1),
        residual: bool = True,
        attention: Attention = "gate",
        dropout: float = 0.0,
        deep_supervision: bool = False,
        stem: Stem = "half",
        norm: Norm = "instance",
        decoder_convolutions: int = 1,
        detail: Detail = "branch",
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "dims": dims,
            "in_channels": in_channels,
            "classes": classes,
            "features": list(features),
            "blocks": list(blocks),
            "residual": residual,
            "attention": attention,
            "dropout": dropout,
            "deep_supervision": deep_supervision,
            "stem": stem,
            "norm": norm,
            "decoder_convolutions": decoder_convolutions,
            "detail": detail,
        }
        _check_arguments(self.arguments)
        self.deep_supervision = deep_supervision
        self.total_stride = 2 ** (len(features) - 1 + (stem == "half"))

        half = stem == "half"
        self.stem = ConvNormAct(dims, in_channels, features[0], norm, *((4, 2) if half else (3, 1)))
        self.detail: nn.Module | None = None
        self.subvoxel: nn.Module | None = None
        head_features, head_classes = features[0], classes
        if half and detail == "branch":
            self.detail = ConvNormAct(dims, in_channels, DETAIL_FEATURES, norm)
            self.fuse = ConvNormAct(dims, 2 * DETAIL_FEATURES, DETAIL_FEATURES, norm)
            self.reduce = _CONV[dims](features[0], DETAIL_FEATURES, 1, bias=False)
            head_features = DETAIL_FEATURES
        elif half:
            self.subvoxel = ConvNormAct(dims, features[0], features[0], norm)
            head_classes = classes * 2**dims

        self.encoder = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(features, blocks, strict=True)):
            inputs = features[max(stage - 1, 0)]
            stride = 1 if stage == 0 else 2
            stage_blocks: list[nn.Module] = [Block(dims, inputs, width, norm, stride, residual)]
            stage_blocks += [Block(dims, width, width, norm, 1, residual) for _ in range(depth - 1)]
            if dropout:
                stage_blocks.append(_DROPOUT[dims](dropout))
            self.encoder.append(nn.Sequential(*stage_blocks))

        self.decoder = nn.ModuleList(
            DecoderStage(dims, coarse, fine, norm, attention, decoder_convolutions)
            for coarse, fine in zip(reversed(features[1:]), reversed(features[:-1]), strict=True)
        )
        self.head = _conv(dims, head_features, head_classes, kernel=1, bias=True)
        coarse_features = list(reversed(features[:-1] if half else features[1:-1]))
        self.coarse_heads = nn.ModuleList(
            _conv(dims, width, classes, kernel=1, bias=True) for width in (coarse_features if deep_supervision else [])
        )
        self.apply(_initialise)
        if self.subvoxel is not None:
            # All parts of a coarse voxel start alike, so that no pattern is there to be unlearnt.
            weight = self.head.get_parameter("weight")
            weight.data = weight.data[:: 2**dims].repeat_interleave(2**dims, 0)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return logits.

        Parameters
        ----------
        x : Tensor
            (N, in_channels, [depth,] height, width), any spatial size of at least 1.

        Returns
        -------
        Tensor or list of Tensor
            (N, classes, *spatial). In training with deep supervision a list: full size first, then coarser.
        """
        size = x.shape[2:]
        padding = [(-length) % self.total_stride for length in size]
        if all(length + pad == self.total_stride for length, pad in zip(size, padding, strict=True)):
            # The coarsest grid would be a single position, which instance normalisation cannot normalise.
            padding[-1] += self.total_stride
        if any(padding):
            x = F.pad(x, [value for pad in reversed(padding) for value in (0, pad)], mode="replicate")
        y = self.stem(x)
        skips: list[Tensor] = []
        for stage in self.encoder:
            y = stage(y)
            skips.append(y)
        coarse: list[Tensor] = []
        skips.pop()
        for stage in self.decoder:
            y = stage(y, skips.pop())
            coarse.append(y)
        if self.detail is not None:
            detail = self.detail(x)
            y = self.fuse(torch.cat([_upsample(self.reduce(y), detail), detail], 1))
        if self.subvoxel is None:
            logits = self.head(y)
        else:
            logits = _shuffle(self.head(self.subvoxel(y)), self.arguments["classes"])
        inside = (..., *(slice(0, length) for length in size))
        logits = logits[inside]
        if not (self.training and self.deep_supervision):
            return logits
        return [logits, *reversed([head(y) for head, y in zip(self.coarse_heads, coarse, strict=False)])]


def _check_arguments(arguments: dict[str, Any]) -> None:
    allowed = {
        "dims": (2, 3),
        "attention": ("none", "gate", "spatial"),
        "stem": ("full", "half"),
        "norm": ("instance", "batch", "none"),
        "detail": ("branch", "subvoxel"),
    }
    for name, values in allowed.items():
        if arguments[name] not in values:
            raise ValueError(f"UNet {name} is {arguments[name]!r}; it must be one of {values}.")
    features, blocks = arguments["features"], arguments["blocks"]
    if len(features) < 2 or len(features) != len(blocks) or min(*features, *blocks) < 1:
        raise ValueError(
            f"UNet features {features} and blocks {blocks} must be two or more positive numbers, as many."
        )
    if not 0 <= arguments["dropout"] < 1:
        raise ValueError(f"UNet dropout is {arguments['dropout']}; it must be at least 0 and below 1.")
    for name in ("in_channels", "classes", "decoder_convolutions"):
        if arguments[name] < 1:
            raise ValueError(f"UNet {name} is {arguments[name]}; it must be at least 1.")


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=0.01, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
