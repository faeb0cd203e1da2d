"""Samples a second of this package against MONAI's stock way, both with the same network, on the same cases."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from LiverTumorSegTraining.recipe.config import Config, parse_config
from LiverTumorSegTraining.samples.prefetch import Prefetch
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.model import network_of

CASES, SEED = 4, 7


def run(quick: bool = False) -> dict[str, Any]:
    """Return the throughput of both, measured in turns in the same process.

    Both load the same cases, draw patches of 64^3 (half of them centred in a tumour), augment them with rotation,
    scaling, flips, noise, contrast and shift, and take AdamW steps on Dice + cross entropy with the network of the
    shipped model. Ours is what `Trainer` does by default, MONAI's is CacheDataset, RandCropByPosNegLabeld and
    DataLoader as in its tutorials, float32.

    Parameters
    ----------
    quick : bool
        Few steps and a smaller network.

    Returns
    -------
    dict
        "samples_per_second" {"ours", "monai"}, "ratios" {"monai": ours / monai}, "seconds_per_step", "settings".
    """
    steps, rounds = (3, 1) if quick else (10, 3)
    config = benchmark_config(quick)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        write_cases(root)
        trainer = Trainer(config, root, Path(folder) / "run")
        seconds: dict[str, list[float]] = {"ours": [], "monai": []}
        # Prefetch runs ahead while the peer is timed, so each turn makes its own.
        for turn in range(rounds):
            seconds["ours"].append(_seconds_per_step(_our_steps(trainer, turn * (steps + 2), steps + 2), steps))
            seconds["monai"].append(_seconds_per_step(_monai_steps(root, config, trainer.device), steps))
    best = {name: min(values) for name, values in seconds.items()}
    size = config.sampling.batch_size
    return {
        "samples_per_second": {name: round(size / value, 3) for name, value in best.items()},
        "ratios": {"monai": round(best["monai"] / best["ours"], 3)},
        "seconds_per_step": {name: [round(v, 4) for v in values] for name, values in seconds.items()},
        "settings": {
            "device": str(trainer.device),
            "threads": torch.get_num_threads(),
            "patch_size": list(config.sampling.patch_size),
            "batch_size": size,
            "parameters": sum(parameter.numel() for parameter in trainer.network.parameters()),
            "steps": steps,
            "rounds": rounds,
        },
    }


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


def write_cases(root: Path) -> None:
    """Write scans of the size of a liver box at 2 mm, with a tumour in each."""
    root.mkdir(parents=True)
    axes = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in (80, 110, 120)], indexing="ij")
    for number in range(CASES):
        rng = np.random.default_rng(number)
        radius = np.sqrt(sum(axis**2 for axis in axes))
        shift = rng.uniform(-0.3, 0.3, 3)
        lesion = np.sqrt(sum((axis - s) ** 2 for axis, s in zip(axes, shift, strict=True))) < 0.15
        label = (radius < 0.8).astype(np.uint8)
        label[lesion] = 2
        values = rng.normal(0, 15, radius.shape) + label * 60.0
        for name, array in ((f"p{number}", values.astype(np.int16)), (f"p{number}_label", label)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((2.0, 2.0, 2.0))
            sitk.WriteImage(image, str(root / f"{name}.nii.gz"))


def _seconds_per_step(steps: Iterator[None], count: int) -> float:
    # The first step allocates and chooses algorithms; the second still waits for what was not made ahead.
    next(steps)
    next(steps)
    started = time.perf_counter()
    for _ in range(count):
        next(steps)
    elapsed = time.perf_counter() - started
    steps.close()  # type: ignore[attr-defined]
    return elapsed / count


def _our_steps(trainer: Trainer, first: int, count: int) -> Iterator[None]:
    with Prefetch(trainer._sample, first, first + count, trainer.config.run.workers) as batches:
        while True:
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
    unit = 1 / (high - low)
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
        mt.RandGaussianSmoothd("image", *[(0.3, change.blur_voxels)] * 3, prob=0.2),
        mt.RandScaleIntensityd("image", 0.2, prob=1.0),
        mt.RandShiftIntensityd("image", change.shift_hu * unit, prob=1.0),
    ]  # fmt: skip
    data = CacheDataset(files, mt.Compose(steps), cache_rate=1.0, progress=False)
    return DataLoader(data, batch_size=config.sampling.batch_size, shuffle=True)
