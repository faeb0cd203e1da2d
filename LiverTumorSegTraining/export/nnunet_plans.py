"""What the plans and the dataset.json of an nnU-Net v2 result folder say, as the entries of a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.model.families import build_network
from LiverTumorSegLib.model.normalisation import Intensity

PLANS, DATASET = "plans.json", "dataset.json"
_ENCODERS = {"PlainConvUNet": ("plain", "n_conv_per_stage"), "ResidualEncoderUNet": ("residual", "n_blocks_per_stage")}
_NORMS = {"InstanceNorm3d": "instance", "BatchNorm3d": "batch"}
_RESAMPLING = {"order": 3, "order_z": 0, "force_separate_z": None}


@dataclass(frozen=True)
class NnunetModel:
    """What an nnU-Net configuration comes to, in the axes (z, y, x) of a scan.

    Attributes
    ----------
    network : dict
        For `families.build_network`.
    transpose : tuple of int
        nnU-Net's ``transpose_forward``: the scan's axis that each of nnU-Net's axes is.
    labels, channels : tuple of str
        Names.
    intensities : tuple of Intensity
        One for each channel.
    spacing_mm : tuple of float
        x, y, z.
    patch_size : tuple of int
        z, y, x.
    """

    network: dict[str, Any]
    transpose: tuple[int, int, int]
    labels: tuple[str, ...]
    channels: tuple[str, ...]
    intensities: tuple[Intensity, ...]
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, ...]

    @property
    def task(self) -> str:
        """Task of the bundle: lesions are cleaned and measured where the first labels are liver and tumour."""
        first = [canonical_name(name) for name in self.labels[:2]]
        return "liver-tumor" if first == [LIVER.name, TUMOR.name] else "other"

    @property
    def product_labels(self) -> tuple[str, ...]:
        """The labels under the product's own names."""
        return (LIVER.name, TUMOR.name, *self.labels[2:]) if self.task == "liver-tumor" else self.labels


def read_model(folder: Path, configuration: str) -> NnunetModel:
    """Read plans.json and dataset.json of a result folder.

    Parameters
    ----------
    folder : Path
        Holds plans.json, dataset.json and fold_*.
    configuration : str
        Such as "3d_fullres".

    Raises
    ------
    InputError
        If a file is missing or damaged, or the configuration needs what a bundle cannot hold: the sentence says what.
    """
    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    try:
        settings = _settings(plans, configuration)
        transpose = tuple(int(axis) for axis in plans["transpose_forward"])
        channels = _channels(dataset)
        labels = _labels(dataset)
        _require_supported(settings, configuration)
        architecture = _architecture(settings, len(channels), len(labels) + 1)
        back = [transpose.index(axis) for axis in range(len(transpose))]
        for name in ("kernel_sizes", "strides"):
            architecture[name] = [[int(triple[axis]) for axis in back] for triple in architecture[name]]
        network = build_network(architecture).arguments
        z, y, x = (float(settings["spacing"][axis]) for axis in back)
        first, second, third = transpose
        return NnunetModel(
            network,
            (first, second, third),
            labels,
            channels,
            _intensities(plans, settings, len(channels)),
            (x, y, z),
            tuple(int(settings["patch_size"][axis]) for axis in back),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{folder / PLANS} and {DATASET} are not those of an nnU-Net v2 model ({reason}): give the folder that "
            "holds plans.json, dataset.json and fold_0."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of a result folder; InputError when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {path.name} in {path.parent}: give the folder of nnU-Net results that holds plans.json, "
            "dataset.json and fold_0, such as Dataset007_Liver/nnUNetTrainer__nnUNetPlans__3d_fullres."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): copy the result folder again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no names and values: copy the result folder again.")
    return content


def _settings(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits."""
    known = plans["configurations"]
    if name not in known:
        raise InputError(f"The plans have no configuration {name!r}; they have {', '.join(sorted(known))}.")
    own = dict(known[name])
    parent = own.pop("inherits_from", None)
    return own if parent is None else {**_settings(plans, parent), **own}


def _require_supported(settings: dict[str, Any], name: str) -> None:
    if len(settings["patch_size"]) != 3:
        raise InputError(f"Configuration {name!r} is 2D; only 3D ones are imported, such as 3d_fullres.")
    if settings.get("previous_stage"):
        raise InputError(
            f"Configuration {name!r} is the second stage of a cascade and needs the first one's output: import "
            "3d_fullres or 3d_lowres."
        )
    function = settings.get("resampling_fn_data", "resample_data_or_seg_to_shape")
    told = settings.get("resampling_fn_data_kwargs", {})
    unusual = [key for key, usual in _RESAMPLING.items() if told.get(key, usual) != usual]
    if function != "resample_data_or_seg_to_shape" or unusual:
        raise InputError(
            f"Configuration {name!r} resamples scans in a way of its own ({function}, {told}), which is not known "
            "here: only nnU-Net's default is."
        )


def _channels(dataset: dict[str, Any]) -> tuple[str, ...]:
    names = dataset.get("channel_names") or dataset["modality"]
    return tuple(str(names[key]) for key in sorted(names, key=int))


def _labels(dataset: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the values 1, 2, ...; regions are refused, the ignore label is left out."""
    values = {name: value for name, value in dataset["labels"].items() if name != "ignore"}
    if any(isinstance(value, list) for value in values.values()):
        raise InputError(
            f"The model was trained on regions, which overlap ({', '.join(values)}): its output is no labelmap with "
            "one class a voxel. Train on labels instead."
        )
    names = {int(value): name for name, value in values.items() if int(value) != 0}
    if sorted(names) != list(range(1, len(names) + 1)):
        raise InputError(f"The label values {sorted(names)} of {DATASET} are not 1, 2, 3, ... without a gap.")
    return tuple(names[value] for value in sorted(names))


def _architecture(settings: dict[str, Any], in_channels: int, classes: int) -> dict[str, Any]:
    """Return the network's description in nnU-Net's axes, from plans of any version 2."""
    if "architecture" in settings:
        told = settings["architecture"]["arch_kwargs"]
        kind = settings["architecture"]["network_class_name"].rsplit(".", 1)[-1]
    else:
        told, kind = _of_old_plans(settings), settings["UNet_class_name"]
    if kind not in _ENCODERS:
        raise InputError(f"The network is a {kind}; only {' and '.join(_ENCODERS)} are imported.")
    encoder, depth = _ENCODERS[kind]
    operations = [str(told[name]).rsplit(".", 1)[-1] for name in ("conv_op", "norm_op", "nonlin")]
    extras = [name for name in ("dropout_op", "bottleneck_channels", "nonlin_first") if told.get(name)]
    options = told.get("norm_op_kwargs") or {}
    plain_norm = options.get("affine", True) and abs(options.get("eps", 1e-5) - 1e-5) < 1e-9
    if operations[0] != "Conv3d" or operations[1] not in _NORMS or operations[2] != "LeakyReLU" or extras:
        raise InputError(f"The network has parts that are not known here: {', '.join([*operations, *extras])}.")
    if not plain_norm or told.get("stem_channels") not in (None, told["features_per_stage"][0]):
        raise InputError("The network has a normalisation or a stem that is not nnU-Net's usual one.")
    stages = int(told["n_stages"])
    return {
        "family": "nnunet",
        "encoder": encoder,
        "in_channels": in_channels,
        "classes": classes,
        "features": [int(n) for n in told["features_per_stage"]],
        "kernel_sizes": _triples(told["kernel_sizes"]),
        "strides": _triples(told["strides"]),
        "encoder_depth": _each(told[depth], stages),
        "decoder_depth": _each(told["n_conv_per_stage_decoder"], stages - 1),
        "bias": bool(told.get("conv_bias", False)),
        "norm": _NORMS[operations[1]],
        "slope": float((told.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)),
    }


def _of_old_plans(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that plans up to nnU-Net 2.4 leave to its code."""
    depths = settings["n_conv_per_stage_encoder"]
    width, widest = settings["UNet_base_num_features"], settings["unet_max_num_features"]
    return {
        "n_stages": len(depths),
        "features_per_stage": [min(width * 2**stage, widest) for stage in range(len(depths))],
        "conv_op": "Conv3d",
        "norm_op": "InstanceNorm3d",
        "nonlin": "LeakyReLU",
        "conv_bias": True,
        "kernel_sizes": settings["conv_kernel_sizes"],
        "strides": settings["pool_op_kernel_sizes"],
        "n_conv_per_stage": depths,
        "n_blocks_per_stage": depths,
        "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
    }


def _triples(values: Sequence[Any]) -> list[list[int]]:
    return [[value] * 3 if isinstance(value, int) else [int(n) for n in value] for value in values]


def _each(value: Any, count: int) -> list[int]:
    return [int(value)] * count if isinstance(value, int) else [int(n) for n in value]


def _intensities(plans: dict[str, Any], settings: dict[str, Any], channels: int) -> tuple[Intensity, ...]:
    """Return how each channel is normalised."""
    schemes, masked = settings["normalization_schemes"], settings["use_mask_for_norm"]
    if not len(schemes) == len(masked) == channels:
        raise ValueError(f"{len(schemes)} normalisations for {channels} channels")
    known = plans.get("foreground_intensity_properties_per_channel") or plans["foreground_intensity_properties"]
    found = []
    for number, (scheme, within) in enumerate(zip(schemes, masked, strict=True)):
        if scheme == "CTNormalization":
            values = known[str(number)]
            window = float(values["percentile_00_5"]), float(values["percentile_99_5"])
            mean, sd = float(values["mean"]), float(values["std"])
            found.append(Intensity(window_hu=window, normalisation="zscore", mean=mean, sd=sd))
        elif scheme == "ZScoreNormalization":
            found.append(Intensity(window_hu=None, normalisation="zscore", within_body=bool(within)))
        elif scheme == "RescaleTo01Normalization":
            found.append(Intensity(window_hu=None, normalisation="unit"))
        elif scheme == "NoNormalization":
            found.append(Intensity(window_hu=None, normalisation="zscore", mean=0.0, sd=1.0))
        else:
            raise InputError(f"Channel {number} is normalised by {scheme}, which is not known here.")
    return tuple(found)
