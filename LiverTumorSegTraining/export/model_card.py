"""MODEL_CARD.md of an exported bundle, filled from the run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.run_files import LOSS_CURVE

CARD = "MODEL_CARD.md"
_TOLD_ELSEWHERE = {
    *("steps", "hours", "batch_size", "held_out_patients", "loss_first", "loss_last"),
    *("validation", "validation_step"),
    *("data", "licence", "attribution", "limits", "intended_use"),
    *("split", "cases", "field_of_view", "parent_model", "packages", "data_set", "class_weights"),
    "trained_spacing_mm",
}
INTENDED_USE = "Research. Not a medical device; every segmentation must be checked by a person before it is used."


def write_model_card(bundle: Bundle, config: Config, folder: Path, bits: int) -> Path:
    """Write MODEL_CARD.md beside the bundle and return its path."""
    path = folder / CARD
    write_text(path, model_card(bundle, config, bits, (folder / LOSS_CURVE).exists()))
    return path


def model_card(bundle: Bundle, config: Config, bits: int, with_curve: bool = False) -> str:
    """Return the card as Markdown; `bits` store a weight, `with_curve`: the loss curve lies beside it."""
    training = bundle.training
    parameters = sum(tensor.numel() for tensor in bundle.weights.values())
    grid = " x ".join(f"{value:g}" for value in bundle.spacing_mm) + " mm (x, y, z)"
    if trained := training.get("trained_spacing_mm"):
        grid += f", trained at {' x '.join(f'{value:g}' for value in trained)}"
    if bundle.resize:
        sizes = [
            str(size) if size else f"{mm:g} mm"
            for size, mm in zip(bundle.resize, bundle.spacing_mm[::-1], strict=True)
        ]
        grid = f"field of view resized to {' x '.join(sizes)} (z, y, x)"
    network = bundle.network
    lines = [
        f"# {bundle.id} {bundle.version}", "",
        training.get("intended_use", INTENDED_USE), "",
        "## What it does", "",
        f"* Task: {bundle.task}; input {', '.join(bundle.channels)}; labels "
        + ", ".join(f"{value} {name}" for value, name in enumerate(bundle.labels, 1)) + ".",
        f"* Grid: {grid}; patches of {' x '.join(map(str, bundle.patch_size))}.",
        f"* Intensity: {_intensity(bundle)}.",
        f"* Tumour from a probability of {bundle.tumor_threshold:g}.", "",
        "## Network", "",
        f"* U-Net, {network['dims']}D, {parameters / 1e6:.2f} million parameters, features {network['features']}, "
        f"attention {network['attention']}, residual {_yes(network['residual'])}, dropout {network['dropout']:g}, "
        f"normalisation {network['norm']}.",
        f"* Weights: safetensors, {bits} bits each, SHA-256 `{bundle.sha256}`.", "",
        "## Training", "",
        f"* {training.get('steps', 0)} steps of {training.get('batch_size', config.sampling.batch_size)} samples, "
        f"{training.get('hours', 0):.2f} hours, seed {config.run.seed}.",
        f"* Data: {training.get('data', 'not stated')}.",
        f"* Licence of the weights: {training.get('licence', 'not stated')}.",
    ]  # fmt: skip
    lines += _start(training)
    if config.synthetic.probability:
        share = f"{config.synthetic.probability:.0%}"
        lines.append(f"* Synthetic tumours in {share} of the patches (after Hu et al., CVPR 2023).")
    if "loss_first" in training:
        lines.append(f"* Loss: {training['loss_first']:.3f} at first, {training['loss_last']:.3f} at the end.")
    others = {name: value for name, value in training.items() if name not in _TOLD_ELSEWHERE}
    lines += [f"* {name.replace('_', ' ')}: {_plain(value)}" for name, value in others.items()]
    if with_curve:
        lines += ["", f"![Loss and validation Dice against steps]({LOSS_CURVE})"]
    lines += ["", "## Validation", "", *_validation(training)]
    if "limits" in training:
        lines += ["", "## Limits", "", *_bullets(training["limits"])]
    if "attribution" in training:
        lines += ["", "## Attribution", "", *_bullets(training["attribution"])]
    return "\n".join(lines) + "\n"


def imported_card(bundle: Bundle) -> str:
    """Return the card of a model that was trained elsewhere, as Markdown."""
    training = bundle.training
    parameters = sum(tensor.numel() for tensor in bundle.weights.values())
    mirrored = ", ".join("zyx"[axis] for axis in bundle.mirroring) or "no axis"
    lines = [
        f"# {bundle.id} {bundle.version}", "",
        training.get("intended_use", INTENDED_USE), "",
        "## What it does", "",
        f"* Input {', '.join(bundle.channels)}; labels "
        + ", ".join(f"{value} {name}" for value, name in enumerate(bundle.labels, 1)) + ".",
        f"* Grid: {' x '.join(f'{value:g}' for value in bundle.spacing_mm)} mm (x, y, z); patches of "
        f"{' x '.join(map(str, bundle.patch_size))}; axes {bundle.orientation or 'as a scan is stored'}.",
        f"* Quality best mirrors along {mirrored} and gives what nnU-Net's own predictor gives; standard and quick do "
        "not mirror.", "",
        "## Network", "",
        f"* nnU-Net, {bundle.network['encoder']} encoder, {parameters / 1e6:.2f} million parameters, features "
        f"{bundle.network['features']}.",
        f"* Weights: safetensors, float32, SHA-256 `{bundle.sha256}`.", "",
        "## Training", "",
        f"* Data: {training['data']}.",
        f"* Licence of the weights: {training['licence']}.",
    ]  # fmt: skip
    others = {name: value for name, value in training.items() if name not in _TOLD_ELSEWHERE}
    lines += [f"* {name.replace('_', ' ')}: {_plain(value)}" for name, value in others.items()]
    lines += ["", "## Validation", "", *_validation(training)]
    lines += ["", "## Attribution", "", *_bullets(training["attribution"])]
    return "\n".join(lines) + "\n"


def _start(training: dict[str, Any]) -> list[str]:
    """Return what the run recorded of its data, packages and parent."""
    lines = []
    cases = training.get("cases", [])
    if cases:
        counts = {part: sum(case["part"] == part for case in cases) for part in ("training", "validation", "mixed in")}
        told = ", ".join(f"{number} {part}" for part, number in counts.items() if number)
        patients = {part: len(names) for part, names in training["split"].items() if isinstance(names, list)}
        lines.append(
            f"* Cases of {training['data_set']!r}: {told}; {patients['training']} patients trained on, "
            f"{patients['validation']} held out. Each file's SHA-256 is in model.json."
        )
    if training.get("class_weights"):
        weights = ", ".join(f"{value:.3g}" for value in training["class_weights"])
        lines.append(f"* Class weights, background first: {weights}.")
    parent = training.get("parent_model")
    if parent:
        lines.append(
            f"* Started from model {parent['id']} {parent['version']} (SHA-256 `{parent['sha256']}`; licence: "
            f"{parent.get('licence', 'not stated')}). What its licence asks for holds for this one too."
        )
        lines += [f"  * {_plain(entry)}" for entry in _listed(parent.get("attribution", []))]
    if "packages" in training:
        lines.append(
            "* With " + ", ".join(f"{name} {version}" for name, version in training["packages"].items()) + "."
        )
    return lines


def _intensity(bundle: Bundle) -> str:
    intensity = bundle.intensity
    steps = []
    if intensity.liver_hu is not None:
        steps.append(f"the liver's median, as the localiser sees it, brought to {intensity.liver_hu:g} HU")
    if intensity.denoise != "none":
        steps.append(f"{intensity.denoise} filter")
    if intensity.window_hu:
        steps.append(f"window {intensity.window_hu[0]:g} to {intensity.window_hu[1]:g} HU")
    if intensity.clip_percentiles:
        steps.append(f"clipped to percentiles {intensity.clip_percentiles[0]:g} and {intensity.clip_percentiles[1]:g}")
    for channel, own in zip(bundle.channels, bundle.channel_intensities, strict=False):
        if own.window_hu and bundle.conventions == "own":
            steps.append(f"{channel} instead by its window {own.window_hu[0]:g} to {own.window_hu[1]:g}")
    steps.append({"unit": "scaled to [0, 1]", "zscore": "z-score"}[intensity.normalisation])
    return ", ".join(steps)


def _validation(training: dict[str, Any]) -> list[str]:
    figures = training.get("validation")
    if not figures:
        if training.get("held_out_patients"):
            return ["The run had not validated yet when these weights were saved: no figures are known."]
        return ["No figures are known."] if "checkpoint_sha256" in training else ["No case was held out."]
    names = sorted({name for case in figures.values() for name in case})
    heads = " | ".join(name.replace("_", " ") for name in names)
    lines = []
    if "validation_step" in training:
        step, steps = training["validation_step"], training["steps"]
        told = "" if step == steps else f"; the weights of this model are those after step {steps}"
        lines += [f"Held-out cases as the network segments them after step {step}{told}.", ""]
    lines += [f"| case | {heads} |", "|---" * (len(names) + 1) + "|"]
    for case, values in figures.items():
        lines.append(f"| {case} | " + " | ".join(_number(values.get(name)) for name in names) + " |")
    means = [_mean([case.get(name) for case in figures.values()]) for name in names]
    lines.append("| mean | " + " | ".join(_number(value) for value in means) + " |")
    held_out = training.get("held_out_patients")
    if held_out:
        lines += ["", f"Held out by patient: {', '.join(held_out)}. None of them was trained on."]
    return lines


def _mean(values: list[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _bullets(value: Any) -> list[str]:
    return [f"* {_plain(entry)}" for entry in _listed(value)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(entry)}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
