"""A recipe for a data set from its fingerprint: spacing, window, patch for the given memory.

The spacing follows nnU-Net (Isensee et al., Nature Methods 2021): the median, and along a coarse axis its tenth
percentile. The memory of a patch is counted, not guessed: what the network's layers give out in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.model.network import UNet
from torch import Tensor, nn

from LiverTumorSegTraining.data.fingerprint import CasePrint
from LiverTumorSegTraining.recipe.config import Config, DataConfig, NetworkConfig, parse_config

ANISOTROPIC = 3.0
"""A voxel this many times longer along one axis than along another is coarse there."""
SMALLEST_PATCH, LARGEST_PATCH = 32, 192
COPIES = 2.0
"""An activation is kept for the backward pass, and its gradient is as large."""
BYTES = 4


def propose(prints: Sequence[CasePrint], data: DataConfig, is_ct: bool, memory_gb: float, name: str) -> Config:
    """Return a recipe for a data set.

    Parameters
    ----------
    prints : sequence of CasePrint
        Its fingerprint.
    data : DataConfig
        Channels, labels and label map.
    is_ct : bool
        Whether the grey values are HU.
    memory_gb : float
        What one training step may take, in 10^9 bytes.
    name : str
        Of the model.
    """
    spacing = target_spacing(prints)
    network = NetworkConfig(features=[32, 64, 128, 192], blocks=[1, 1, 1, 1])
    extent = np.median([np.multiply(one.size, one.spacing_mm) for one in prints], axis=0)
    shape_zyx = [int(n) for n in np.maximum(np.round(extent / spacing), 1)[::-1]]
    patch = patch_for(network, len(data.channels), len(data.labels) + 1, shape_zyx, 2, memory_gb * 1e9)
    liver_first = [canonical_name(label) for label in data.labels[:2]] == ["liver", "tumor"]
    content: dict[str, Any] = {
        "id": name,
        "task": "liver-tumor" if liver_first else "other",
        "data": {
            "channels": data.channels, "labels": data.labels, "label_map": data.label_map, "validation_fraction": 0.2,
        },
        "preparation": {"spacing_mm": spacing, **_intensity(prints, is_ct)},
        "sampling": {"patch_size": patch, "batch_size": 2},
        "network": network.model_dump(),
        "optimiser": {"steps": 1000 * max(10, min(60, 2 * len(prints)))},
    }  # fmt: skip
    if not (is_ct and liver_first and len(data.channels) == 1):
        content["synthetic"] = {"probability": 0, "distractor_probability": 0}
    return parse_config(content, "plan")


def target_spacing(prints: Sequence[CasePrint]) -> tuple[float, float, float]:
    """Return the spacing x, y, z on which to train, in mm."""
    spacings = np.array([one.spacing_mm for one in prints])
    target = np.median(spacings, axis=0)
    coarse = int(target.argmax())
    finest = np.delete(target, coarse).max()
    if target[coarse] >= ANISOTROPIC * finest:
        target[coarse] = max(np.percentile(spacings[:, coarse], 10), finest)
    x, y, z = (float(round(value, 2)) for value in target)
    return x, y, z


def patch_for(
    network: NetworkConfig, channels: int, classes: int, shape_zyx: Sequence[int], batch: int, memory: float
) -> list[int]:
    """Return the largest patch z, y, x whose training step fits the memory, no larger than the scans.

    Parameters
    ----------
    network : NetworkConfig
        The recipe's section.
    channels, classes : int
        Of input and output.
    shape_zyx : sequence of int
        A median scan on the recipe's grid.
    batch : int
        Samples of a step.
    memory : float
        Bytes.
    """
    stride = 2 ** (len(network.features) - 1 + (network.stem == "half"))
    unet = UNet(in_channels=channels, classes=classes, **network.model_dump()).to("meta")
    most = [min(max(stride * round(n / stride), SMALLEST_PATCH), LARGEST_PATCH) for n in shape_zyx]
    patch = [SMALLEST_PATCH] * 3
    growing = True
    while growing:
        growing = False
        # The shortest side grows first, so that patches are as near to cubes as scans allow.
        for axis in sorted(range(3), key=lambda a: patch[a]):
            larger = [n + stride * (a == axis) for a, n in enumerate(patch)]
            if larger[axis] <= most[axis] and step_bytes(unet, channels, larger, batch) <= memory:
                patch, growing = larger, True
                break
    return patch


def step_bytes(unet: nn.Module, channels: int, patch: Sequence[int], batch: int) -> float:
    """Return the bytes of the activations of one training step, counted on the meta device, without computing."""
    total = 0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal total
        outputs = output if isinstance(output, list | tuple) else [output]
        total += sum(one.numel() for one in outputs if isinstance(one, Tensor))

    leaves = [module for module in unet.modules() if not list(module.children())]
    handles = [module.register_forward_hook(count) for module in leaves]
    try:
        unet.train()(torch.empty(batch, channels, *patch, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return COPIES * BYTES * total


def _intensity(prints: Sequence[CasePrint], is_ct: bool) -> dict[str, Any]:
    if not is_ct:
        return {"window_hu": None, "clip_percentiles": [0.5, 99.5], "normalisation": "zscore"}
    pooled = np.concatenate([one.values[0] for one in prints])
    low, high = np.percentile(pooled, (0.5, 99.5)) if pooled.size else (-150, 250)
    # Fifty HU of room: what surrounds the labels is to be told from them.
    return {"window_hu": [float(np.floor(low / 10) * 10 - 50), float(np.ceil(high / 10) * 10 + 50)]}
