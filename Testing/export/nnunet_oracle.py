"""Makes the folders `nnunet/*` beside this file: tiny networks trained by nnU-Net's own classes, and its predictions.

Run once, in an environment of its own: pip install nnunetv2 (2.8.1 was used), then python nnunet_oracle.py FOLDER.
Preprocessing, training steps, checkpoint and prediction are nnU-Net's; only its data loader with augmentation, which
runs for hours, is replaced by patches from random places.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path(tempfile.mkdtemp())
os.environ |= {f"nnUNet_{name}": str(WORK / name) for name in ("raw", "preprocessed", "results")}
os.environ |= {"nnUNet_compile": "f", "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402  # nnU-Net reads its folders from the environment when it is imported
import SimpleITK as sitk  # noqa: E402
import torch  # noqa: E402
from nnunet_scans import CASE, KINDS, LATTICE, scan  # noqa: E402
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

STEPS, TRAINING_CASES, BATCH = 100, 3, 2
_PLACE = {"resampling_fn_data": {"is_seg": False, "order": 3}, "resampling_fn_seg": {"is_seg": True, "order": 1},
          "resampling_fn_probabilities": {"is_seg": False, "order": 1}}  # fmt: skip


def plans_of(kind: str, images: np.ndarray) -> dict:
    """Return plans as nnU-Net 2.8 writes them, with the small network of the kind."""
    told = KINDS[kind]
    settings = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": BATCH, "patch_size": told["patch_size"], "median_image_size_in_voxels": told["patch_size"],
        "spacing": told["spacing"], "normalization_schemes": told["schemes"], "use_mask_for_norm": told["masked"],
        "batch_dice": False,
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{told['network']}",
            "arch_kwargs": {
                **told["arch"], "conv_op": "torch.nn.modules.conv.Conv3d", "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }  # fmt: skip
    for name, options in _PLACE.items():
        settings[name] = "resample_data_or_seg_to_shape"
        settings[f"{name}_kwargs"] = {**options, "order_z": 0, "force_separate_z": None}
    seen = images[images > -500].astype(float)
    properties = {"mean": seen.mean(), "std": seen.std(), "median": np.median(seen), "min": seen.min(),
                  "max": seen.max(), "percentile_00_5": np.percentile(seen, 0.5),
                  "percentile_99_5": np.percentile(seen, 99.5)}  # fmt: skip
    return {
        "dataset_name": f"Dataset901_{kind}", "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
        "experiment_planner_used": "ExperimentPlanner",
        "transpose_forward": told["transpose"], "transpose_backward": [int(n) for n in np.argsort(told["transpose"])],
        "configurations": {"3d_fullres": settings},
        "foreground_intensity_properties_per_channel": {
            str(number): {name: float(value) for name, value in properties.items()}
            for number in range(len(told["channels"]))
        },
    }  # fmt: skip


def train(kind: str) -> tuple[Path, nnUNetTrainer]:
    """Train the kind's network for some steps and let the trainer write its checkpoint."""
    told = KINDS[kind]
    cases = [scan(kind, seed) for seed in range(TRAINING_CASES)]
    plans = plans_of(kind, np.stack([sitk.GetArrayFromImage(images[0]) for images, _ in cases]))
    dataset = {"name": kind, "channel_names": told["channels"], "labels": told["labels"],
               "numTraining": TRAINING_CASES, "file_ending": ".nii.gz"}  # fmt: skip
    raw, prepared = (WORK / part / plans["dataset_name"] for part in ("raw", "preprocessed"))
    (prepared / "nnUNetPlans_3d_fullres").mkdir(parents=True)
    raw.mkdir(parents=True)
    (prepared / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(7)
    trainer = nnUNetTrainer(plans | {"continue_training": False}, "3d_fullres", 0, dataset, device=torch.device("cpu"))
    settings, manager = trainer.configuration_manager, trainer.plans_manager
    arrays = []
    for number, (images, label) in enumerate(cases):
        files = [str(raw / f"{number}_{channel:04d}.nii.gz") for channel in range(len(images))]
        for image, file in zip([*images, label], [*files, str(raw / f"{number}.nii.gz")], strict=True):
            sitk.WriteImage(image, file)
        worker = settings.preprocessor_class(verbose=False)
        stem = str(prepared / "nnUNetPlans_3d_fullres" / f"case{number}")
        worker.run_case_save(stem, files, str(raw / f"{number}.nii.gz"), manager, settings, dataset)
        arrays.append(worker.run_case(files, str(raw / f"{number}.nii.gz"), manager, settings, dataset)[:2])
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    rng = np.random.default_rng(5)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 2e-2
    trainer.network.train()
    scales = trainer._get_deep_supervision_scales()
    losses = []
    for _ in range(STEPS):
        data, target = zip(*[patch(arrays[rng.integers(len(arrays))], told["patch_size"], rng) for _ in range(BATCH)],
                           strict=True)  # fmt: skip
        label = torch.from_numpy(np.stack(target)).float()
        targets = [F.interpolate(label, scale_factor=tuple(scale), mode="nearest") for scale in scales]
        losses.append(float(trainer.train_step({"data": torch.from_numpy(np.stack(data)), "target": targets})["loss"]))
    print(kind, "loss", losses[0], np.mean(losses[-10:]), flush=True)
    # What a run logs each epoch, in nnU-Net's own types: numbers of numpy among them.
    trainer.logger.log("train_losses", np.mean(losses), 0)
    trainer.logger.log("val_losses", np.float32(0.5), 0)
    trainer.logger.log("dice_per_class_or_region", [np.float64(0.5)] * len(told["labels"]), 0)
    Path(trainer.output_folder).mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    for name, content in (("plans.json", plans), ("dataset.json", dataset)):
        (Path(trainer.output_folder_base) / name).write_text(json.dumps(content, indent=1))
    return Path(trainer.output_folder_base), trainer


def patch(case: tuple, size: list[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return data and label of a random place, padded where the case is smaller."""
    data, label = case
    missing = [max(n - m, 0) for n, m in zip(size, data.shape[1:], strict=True)]
    padding = [(0, 0), *((n // 2, n - n // 2) for n in missing)]
    data, label = np.pad(data, padding), np.pad(np.maximum(label, 0), padding)
    start = [rng.integers(m - n + 1) for n, m in zip(size, data.shape[1:], strict=True)]
    place = (slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))
    return data[place].astype(np.float32), label[place]


def main(target: Path) -> None:
    """Write one result folder and one prediction for each kind."""
    torch.set_num_threads(1)
    for kind in KINDS:
        result, _ = train(kind)
        predictor = nnUNetPredictor(
            tile_step_size=0.5, use_gaussian=True, use_mirroring=True, device=torch.device("cpu"),
            perform_everything_on_device=False, allow_tqdm=False,
        )  # fmt: skip
        predictor.initialize_from_trained_model_folder(str(result), (0,), "checkpoint_final.pth")
        files = []
        for number, image in enumerate(scan(kind, CASE)[0]):
            files.append(str(WORK / f"{kind}_{number:04d}.nii.gz"))
            sitk.WriteImage(image, files[-1])
        data, properties = SimpleITKIO().read_images(files)
        labels, rounded = predictor.predict_single_npy_array(data, properties, None, None, True)
        # nnU-Net sums logits in 16 bits, which moves probabilities by some thousandths; the agreement is with what it
        # computes, so here it sums in 32.
        torch.half, half = torch.float32, torch.half
        _, probabilities = predictor.predict_single_npy_array(data, properties, None, None, True)
        torch.half = half
        print(kind, "16-bit sums move probabilities by up to", np.abs(rounded - probabilities).max(), flush=True)
        unsure = ((probabilities > 0.05) & (probabilities < 0.95)).mean()
        print(
            kind, predictor.allowed_mirroring_axes, np.unique(labels, return_counts=True), "unsure", unsure, flush=True
        )
        folder = target / kind
        (folder / "fold_0").mkdir(parents=True, exist_ok=True)
        for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            shutil.copyfile(result / name, folder / name)
        kept = np.round(probabilities[1:][LATTICE] * 65535).astype(np.uint16)
        np.savez_compressed(folder / "expected.npz", labels=labels.astype(np.uint8), probabilities=kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "nnunet")
