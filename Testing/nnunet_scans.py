"""Two small sets of made-up scans and the networks trained on them: for the test, and for nnU-Net in its own place."""

import numpy as np
import SimpleITK as sitk

CASE = 77
"""Seed of the scan that is predicted; no network was trained on it."""
LATTICE = (slice(None), slice(None, None, 2), slice(None, None, 3), slice(None, None, 3))
"""Places whose probabilities are kept."""
_ARCHITECTURE = {
    "n_stages": 3,
    "features_per_stage": [6, 12, 16],
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
}
KINDS = {
    # A CT that is resampled along all axes and cut into several tiles.
    "plain": {
        "channels": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "schemes": ["CTNormalization"],
        "masked": [False],
        "network": "PlainConvUNet",
        "arch": {**_ARCHITECTURE, "n_conv_per_stage": [2, 2, 2], "n_conv_per_stage_decoder": [2, 1]},
        "patch_size": [24, 32, 32],
        "spacing": [2.0, 1.5, 1.5],
        "transpose": [0, 1, 2],
    },
    # Thick sagittal slices of two channels: turned axes, uninterpolated slices, a brain cut out, padding.
    "residual": {
        "channels": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "brain": 1, "lesion": 2, "vessel": 3},
        "schemes": ["ZScoreNormalization", "ZScoreNormalization"],
        "masked": [True, True],
        "network": "ResidualEncoderUNet",
        "arch": {**_ARCHITECTURE, "n_blocks_per_stage": [1, 2, 1], "n_conv_per_stage_decoder": [1, 1]},
        "patch_size": [16, 32, 32],
        "spacing": [5.5, 1.0, 1.0],
        "transpose": [2, 0, 1],
    },
}


def scan(kind: str, seed: int) -> tuple[list[sitk.Image], sitk.Image]:
    """Return the channels and the label of a made-up case."""
    rng = np.random.default_rng(seed)
    size, spacing = ((30, 40, 44), (1.7, 1.3, 2.6)) if kind == "plain" else ((48, 44, 11), (7.0, 1.1, 0.9))
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij"), -1)

    def ball(centre, radius):
        return (((place - centre) / np.array(radius)) ** 2).sum(-1) < 1

    middle = rng.uniform(-0.12, 0.12, 3)
    organ = ball(middle, (0.6, 0.7, 0.65))
    lesion = ball(middle + rng.uniform(-0.2, 0.2, 3), (0.3, 0.28, 0.3)) & organ
    label = organ.astype(np.uint8)
    label[lesion] = 2
    noise = rng.normal(0, 1, (2, *size))
    if kind == "plain":
        body = ball((0, 0, 0), (1.2, 0.95, 0.95))
        arrays = [np.where(body, 30, -1000) + 70 * organ - 60 * lesion + 18 * noise[0]]
    else:
        label[ball(middle + np.array([0.1, -0.25, 0.1]), (0.5, 0.1, 0.2)) & organ] = 3
        head = ball((0, 0, 0), (0.85, 0.85, 0.9))
        first = head * (300 + 120 * organ - 90 * lesion + 160 * (label == 3) + 25 * noise[0])
        second = head * (500 - 150 * organ + 260 * lesion + 30 * noise[1])
        arrays = [np.clip(values, 0, None) for values in (first, second)]

    def image_of(array):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing)
        image.SetOrigin((-30.0, 12.0, 5.0))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        return image

    return [image_of(array.astype(np.int16)) for array in arrays], image_of(label)
