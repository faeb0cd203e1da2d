"""The configs of a MONAI bundle: metadata.json, and inference.json with the steps before and after the network."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.model.bundle import Bundle


def write_monai_configs(bundle: Bundle, folder: Path) -> None:
    """Write configs/metadata.json and configs/inference.json beside models/model.ts."""
    configs = folder / "configs"
    configs.mkdir(exist_ok=True)
    write_json(configs / "metadata.json", _metadata(bundle))
    write_json(configs / "inference.json", _inference(bundle))


def _metadata(bundle: Bundle) -> dict[str, Any]:
    channels = {str(place): name for place, name in enumerate(("background", *bundle.labels))}
    image = {
        "type": "image", "format": "hounsfield" if bundle.intensity.window_hu else "magnitude",
        "modality": "CT" if bundle.intensity.window_hu else "MR", "num_channels": len(bundle.channels),
        "spatial_shape": list(reversed(bundle.patch_size)), "dtype": "float32", "value_range": [],
        "is_patch_data": bundle.resize is None,
        "channel_def": {str(place): name for place, name in enumerate(bundle.channels)},
    }  # fmt: skip
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "version": bundle.version,
        "changelog": {bundle.version: "exported"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {"nibabel": metadata.version("nibabel"), "pytorch-ignite": "0.5.0"},
        "name": bundle.id,
        "task": bundle.task,
        "description": f"Model {bundle.id} {bundle.version}, weights SHA-256 {bundle.sha256}. Research use only.",
        "authors": "",
        "copyright": str(bundle.training.get("licence", "not stated")),
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {
                "pred": {
                    **image, "type": "probabilities", "format": "segmentation", "num_channels": len(channels),
                    "value_range": [0, 1], "channel_def": channels,
                }
            },
        },
    }  # fmt: skip


def _inference(bundle: Bundle) -> dict[str, Any]:
    keys = ["image"]
    # An axis has a size or a spacing; -1 leaves it as it is.
    size = [size or -1 for size in reversed(bundle.resize or (0, 0, 0))]
    pixdim = [mm if length == -1 else -1 for mm, length in zip(bundle.spacing_mm, size, strict=True)]
    grid: list[dict[str, Any]] = []
    if max(pixdim) > 0:
        grid.append({
            "_target_": "Spacingd", "keys": keys, "pixdim": pixdim, "mode": "bilinear", "padding_mode": "border",
        })  # fmt: skip
    if max(size) > 0:
        grid.append({"_target_": "Resized", "keys": keys, "spatial_size": size, "mode": "trilinear"})
    before = [
        {"_target_": "LoadImaged", "keys": keys, "image_only": True},
        {"_target_": "EnsureChannelFirstd", "keys": keys},
        {"_target_": "Orientationd", "keys": keys, "axcodes": "LPS"},
        *grid,
        *_intensity(bundle, keys),
        {"_target_": "EnsureTyped", "keys": keys, "device": "@device"},
    ]
    after = [
        {
            "_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
            "nearest_interp": False, "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_dtype": "$np.uint8"},
    ]  # fmt: skip
    return {
        "imports": ["$import numpy as np", "$import torch"],
        "bundle_root": ".",
        "images": [["scan.nii.gz"]],
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device).eval()",
        "preprocessing": {"_target_": "Compose", "transforms": before},
        "inferer": {
            "_target_": "SlidingWindowInferer", "roi_size": list(reversed(bundle.patch_size)), "overlap": 0.25,
            "mode": "gaussian", "sw_batch_size": 1,
        },
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': files if len(files) > 1 else files[0]} for files in @images]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "evaluator": {
            "_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader",
            "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }  # fmt: skip


def _intensity(bundle: Bundle, keys: list[str]) -> list[dict[str, Any]]:
    """Return the steps of `LiverTumorSegLib.model.normalisation` as MONAI's."""
    intensity = bundle.intensity
    steps: list[dict[str, Any]] = []
    if intensity.denoise == "median":
        steps.append({"_target_": "MedianSmoothd", "keys": keys, "radius": 1})
    elif intensity.denoise == "gaussian":
        steps.append({"_target_": "GaussianSmoothd", "keys": keys, "sigma": 0.7})
    if intensity.window_hu is not None:
        low, high = intensity.window_hu
        unit = intensity.normalisation == "unit"
        steps.append({
            "_target_": "ScaleIntensityRanged", "keys": keys, "a_min": low, "a_max": high,
            "b_min": 0.0 if unit else low, "b_max": 1.0 if unit else high, "clip": True,
        })  # fmt: skip
    elif intensity.clip_percentiles is not None:
        low, high = intensity.clip_percentiles
        steps.append({"_target_": "ClipIntensityPercentilesd", "keys": keys, "lower": low, "upper": high})
    if intensity.normalisation == "zscore":
        fixed = {} if intensity.mean is None else {"subtrahend": intensity.mean}
        fixed |= {} if intensity.sd is None else {"divisor": intensity.sd}
        steps.append({"_target_": "NormalizeIntensityd", "keys": keys, "channel_wise": True, **fixed})
    elif intensity.window_hu is None:
        steps.append({"_target_": "ScaleIntensityd", "keys": keys, "minv": 0.0, "maxv": 1.0, "channel_wise": True})
    return steps
