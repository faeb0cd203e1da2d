"""One candidate of the training measurement, in a process of its own.

Usage: python -m LiverTumorSegTraining.benchmark.training_worker CANDIDATE FOLDER STEPS [--quick], where FOLDER/data
holds the cases. Writes one JSON object to standard output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from LiverTumorSegTraining.recipe.config import Config, parse_config
from LiverTumorSegTraining.samples.prefetch import Prefetch
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.model import network_of

SEED = 7


def main(arguments: Sequence[str]) -> int:
    """Measure one candidate; two further steps come first, in which memory is allocated and samples are made ahead."""
    candidate, folder, steps = arguments[0], Path(arguments[1]), int(arguments[2])
    config = benchmark_config("--quick" in arguments)
    if candidate == "monai":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        work = _monai_steps(folder / "data", config, device)
        parameters = sum(parameter.numel() for parameter in network_of(config).parameters())
    else:
        trainer = Trainer(config, folder / "data", folder / "run")
        work = _our_steps(trainer, steps + 2)
        parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
    next(work)
    next(work)
    started, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(work)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    figures = {"samples_per_second": steps * config.sampling.batch_size / seconds, "parameters": parameters}
    content = {"seconds": {"total": seconds / steps}, "cpu_seconds": cpu / steps, "figures": figures}
    sys.stdout.write("\n" + json.dumps(content) + "\n")
    sys.stdout.flush()
    return 0


def benchmark_config(quick: bool) -> Config:
    """Return the recipe of both sides."""
    features = [8, 16, 32, 48] if quick else [32, 64, 128, 192]
    content = {
        "id": "throughput",
        "sampling": {"patch_size": [32] * 3 if quick else [64] * 3, "batch_size": 2, "tumor_fraction": 0.5},
        "network": {"features": features},
        "synthetic": {"probability": 0, "distractor_probability": 0},
        "augmentation": {"thick_slice_probability": 0},
        "run": {"seed": SEED, "overlays": False},
    }
    return parse_config(content, "benchmark")


def _our_steps(trainer: Trainer, count: int) -> Iterator[None]:
    with Prefetch(trainer._sample, 0, count, trainer.config.run.workers) as batches:
        for _ in range(count):
            trainer._one_step(batches.next(), 1e-4)
            trainer.step += 1
            yield


def _monai_steps(root: Path, config: Config, device: torch.device) -> Iterator[None]:
    from monai.losses import DiceCELoss

    loader = _monai_loader(root, config)
    torch.manual_seed(SEED)
    network = network_of(config).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4)
    loss_of: Callable[..., torch.Tensor] = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    while True:
        for batch in loader:
            optimiser.zero_grad()
            loss = loss_of(network(batch["image"].as_tensor().to(device)), batch["label"].as_tensor().to(device))
            loss.backward()
            optimiser.step()
            yield


def _monai_loader(root: Path, config: Config) -> Any:
    from monai import transforms as mt
    from monai.data import CacheDataset, DataLoader

    both, size, change = ["image", "label"], config.sampling.patch_size, config.augmentation
    low, high = config.preparation.window_hu or (-150.0, 250.0)
    angle, zoom = np.radians(change.rotation_degrees), (change.scale[0] - 1, change.scale[1] - 1)
    unit, blur = 1 / (high - low), (0.3, change.blur_voxels)
    files = [
        {"image": str(path.with_name(path.name.replace("_label", ""))), "label": str(path)}
        for path in sorted(root.glob("*_label.nii.gz"))
    ]
    steps = [
        mt.LoadImaged(both),
        mt.EnsureChannelFirstd(both),
        mt.Orientationd(both, axcodes="RAS"),
        mt.Spacingd(both, pixdim=config.preparation.spacing_mm, mode=("bilinear", "nearest")),
        mt.ScaleIntensityRanged("image", low, high, 0, 1, clip=True),
        mt.RandCropByPosNegLabeld(both, "label", size, pos=1, neg=1, num_samples=1, image_key="image"),
        mt.RandAffined(
            both, prob=1.0, rotate_range=(angle,) * 3, scale_range=(zoom,) * 3, mode=("bilinear", "nearest"),
            padding_mode="border",
        ),
        *[mt.RandFlipd(both, 0.5, axis) for axis in range(3)],
        mt.RandGaussianNoised("image", 0.5, std=change.noise_sd_hu * unit),
        mt.RandGaussianSmoothd("image", sigma_x=blur, sigma_y=blur, sigma_z=blur, prob=0.2),
        mt.RandScaleIntensityd("image", 0.2, prob=1.0),
        mt.RandShiftIntensityd("image", change.shift_hu * unit, prob=1.0),
    ]  # fmt: skip
    data = CacheDataset(files, mt.Compose(steps), cache_rate=1.0, progress=False)
    return DataLoader(data, batch_size=config.sampling.batch_size, shuffle=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
