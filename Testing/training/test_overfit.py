"""Presets A and E learn two real patches and one real case by heart: minutes, so only when asked for."""

import os
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.grid import Grid, canonical_grid
from LiverTumorSegLib.pipeline.preprocess import resample

from LiverTumorSegTraining.recipe.config import load_config
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.validation import mean_figures, validate

pytestmark = pytest.mark.skipif(
    "LIVERTUMORSEG_LONG_TESTS" not in os.environ, reason="takes minutes: set LIVERTUMORSEG_LONG_TESTS=1"
)
CPU_SECONDS = 600
"""Five minutes of two cores, counted in processor time so that other jobs on the machine do not matter."""

STILL = {
    "augmentation.rotation_degrees": 0, "augmentation.scale": [1, 1], "augmentation.flip_axes": [],
    "augmentation.shift_hu": 0, "augmentation.contrast": [1, 1], "augmentation.noise_sd_hu": 0,
    "augmentation.blur_voxels": 0, "augmentation.thick_slice_probability": 0, "augmentation.monai": [],
    "synthetic.probability": 0, "synthetic.distractor_probability": 0, "data.validation_fraction": 0,
    "run.overlays": False, "run.validation_quality": "quick", "run.workers": 1, "run.checkpoint_minutes": 60,
    "optimiser.ema": 0.9, "optimiser.warm_up": 0.02, "sampling.kind": "volumes", "network.deep_supervision": False,
}  # fmt: skip


def write_patch(shared, name, folder, size=64, spacing=2.0):
    """Cut a cube around the middle of the largest tumour."""
    image, label = (sitk.ReadImage(str(shared / "liver" / "1mm" / f"{name}{s}.nii.gz")) for s in ("", "_label"))
    grid = canonical_grid(Grid.of(image), (spacing,) * 3)
    classes = sitk.GetArrayFromImage(resample(label, grid, nearest=True))
    middle = np.argwhere(classes == 2).mean(0).round().astype(int)
    start = np.clip(middle - size // 2, 0, np.array(classes.shape) - size)[::-1]
    part = grid.crop(start, start + size)
    sitk.WriteImage(resample(image, part), str(folder / f"{name}.nii.gz"))
    sitk.WriteImage(resample(label, part, nearest=True), str(folder / f"{name}_label.nii.gz"))


def learn(config, data, run, metric, goal):
    """Train until the goal or the end of the time; return the best Dice on what was trained and the seconds."""
    trainer = Trainer(config, data, run)
    started, best = time.process_time(), 0.0
    clock = time.monotonic()
    while time.process_time() - started < CPU_SECONDS and best < goal:
        # The rate falls with the processor time that is left.
        done = (time.process_time() - started) / CPU_SECONDS
        trainer._one_step(trainer._sample(trainer.step), config.optimiser.learning_rate * (1 - 0.9 * done))
        trainer.step += 1
        if trainer.step % 20 == 0:
            figures = mean_figures(validate(trainer.bundle(), trainer.data.training, config, torch.device("cpu")))
            best = max(best, figures[metric])
            print(f"step {trainer.step}: {figures}, {time.process_time() - started:.0f} s", flush=True)
    seconds = time.process_time() - started, time.monotonic() - clock
    print(
        f"{config.id}: {metric} {best:.3f} after {trainer.step} steps, {seconds[0]:.0f} s CPU, {seconds[1]:.0f} s wall"
    )
    return best


def test_preset_a_learns_two_patches(shared_data, presets, tmp_path):
    for name in ("hcc015_portal", "crlm1006_portal"):
        write_patch(shared_data, name, tmp_path)
    overrides = {**STILL, "preparation.resize": [64] * 3, "sampling.patch_size": [64] * 3}
    config = load_config(presets / "attention_unet_3d.yaml", overrides)
    assert learn(config, tmp_path, tmp_path / "run", "tumor_dice", 0.9) >= 0.9


def test_preset_e_learns_one_case(shared_data, presets, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one").symlink_to(shared_data / "brats" / "brats_2013_pat0001_1")
    size = [64, 96, 96]
    overrides = {**STILL, "preparation.resize": size, "sampling.patch_size": size, "sampling.batch_size": 1}
    overrides |= {"data.channels": ["FLAIR", "T1CE"], "network.dropout": 0.1}
    config = load_config(presets / "brats_attention_3d.yaml", overrides)
    assert learn(config, tmp_path / "data", tmp_path / "run", "foreground_dice", 0.85) >= 0.85
