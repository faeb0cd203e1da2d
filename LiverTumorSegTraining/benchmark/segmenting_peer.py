"""The peer: MONAI's AttentionUnet and sliding window over the whole scan, as the common recipe runs it.

Run as a child process: ``python -m LiverTumorSegTraining.benchmark.segmenting_peer SCAN OUTPUT.nii.gz [--bf16]``.
The weights are random: this measures cost, not accuracy. Everything that is not the peer's own (reading, resampling,
writing) uses the fastest way known to us, so that the comparison is about the method.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import AttentionUnet

SPACING_MM = (1.0, 1.0, 1.0)
WINDOW_HU = (-200.0, 250.0)
CHANNELS, STRIDES = (16, 32, 64, 128, 256), (2, 2, 2, 2)
CLASSES = 3
PATCH, OVERLAP = (128, 128, 128), 0.25


def main(arguments: Sequence[str]) -> int:
    """Segment one scan with an untrained network and write the labels; print the seconds of each stage."""
    scan, output = (Path(argument) for argument in arguments[:2])
    bf16 = "--bf16" in arguments
    clock = [time.perf_counter()]

    image = sitk.ReadImage(str(scan))
    clock.append(time.perf_counter())

    size = [round(n * s / t) for n, s, t in zip(image.GetSize(), image.GetSpacing(), SPACING_MM, strict=True)]
    fine = sitk.Resample(
        image,
        size,
        sitk.Transform(),
        sitk.sitkLinear,
        image.GetOrigin(),
        SPACING_MM,
        image.GetDirection(),
        WINDOW_HU[0],
        sitk.sitkFloat32,
    )
    low, high = WINDOW_HU
    voxels = (np.clip(sitk.GetArrayViewFromImage(fine), low, high) - low) / (high - low)
    batch = torch.from_numpy(voxels[np.newaxis, np.newaxis])
    clock.append(time.perf_counter())

    torch.manual_seed(0)
    network = AttentionUnet(3, 1, CLASSES, CHANNELS, STRIDES).eval()
    if bf16:
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = sliding_window_inference(batch, PATCH, 1, network, OVERLAP)
    clock.append(time.perf_counter())

    labels = sitk.GetImageFromArray(logits[0].argmax(0).to(torch.uint8).numpy())
    labels.CopyInformation(fine)
    native = sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    clock.append(time.perf_counter())
    sitk.WriteImage(native, str(output), True)
    clock.append(time.perf_counter())

    stages = ("read", "preprocess", "network", "postprocess", "write")
    seconds = dict(zip(stages, np.diff(clock).tolist(), strict=True))
    seconds["total"] = clock[-1] - clock[0]
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
