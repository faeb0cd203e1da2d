"""Dice of held-out cases during training, by the inference that a user runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from LiverTumorSegLib.labels import IGNORE, TUMOR
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.normalisation import normalise
from LiverTumorSegLib.model.tiles import TilePlan, predict_probabilities

from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND, PreparedCase
from LiverTumorSegTraining.data.reading import as_classes, read_channels, read_label
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.display import Advance

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Segmented:
    """One validated case: first channel, true and predicted classes, all [z, y, x] on one grid."""

    name: str
    image: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray
    voxel_ml: float


def validate(
    bundle: Bundle,
    cases: list[PreparedCase],
    config: Config,
    device: torch.device,
    show: Callable[[Segmented], None] | None = None,
    advance: Advance | None = None,
) -> Figures:
    """Return {case: {"liver_dice", "tumor_dice", "tumor_ml", "reference_tumor_ml"}}; or the Dice of each label.

    Dice is NaN where neither reference nor prediction holds the class; liver is the whole organ.

    Parameters
    ----------
    bundle : Bundle
        The model.
    cases : list of PreparedCase
        Held-out cases.
    config : Config
        The recipe; `run.validation` chooses the prepared grid or whole scans on their own grid.
    device : torch.device
        Where the network runs.
    show : callable
        Given each segmented case, to draw it.
    advance : callable
        Told how many cases are done, and which is next.
    """
    segment = (
        _whole_scans(bundle, config) if config.run.validation == "whole_scan" else _prepared(bundle, config, device)
    )
    figures: Figures = {}
    for number, prepared in enumerate(cases):
        if advance is not None:
            advance(number, prepared.case.name)
        segmented = segment(prepared)
        figures[prepared.case.name] = case_figures(segmented, config)
        if show is not None:
            show(segmented)
    if advance is not None:
        advance(len(cases))
    return figures


def _prepared(bundle: Bundle, config: Config, device: torch.device) -> Callable[[PreparedCase], Segmented]:
    network = bundle.build().to(device)
    plan = TilePlan(bundle.patch_size, 0.25)

    def segment(prepared: PreparedCase) -> Segmented:
        channels = zip(prepared.image, prepared.intensities(config), strict=True)
        array = np.stack([normalise(channel, intensity) for channel, intensity in channels])
        probability = predict_probabilities([network], array, plan, device)
        voxel_ml = float(np.prod(prepared.spacing_mm)) / 1000
        return Segmented(
            prepared.case.name, prepared.image[0], prepared.label, _classes_of(probability, config), voxel_ml
        )  # fmt: skip

    return segment


def _classes_of(probability: np.ndarray, config: Config) -> np.ndarray:
    """Return classes from uint8 probabilities (classes - 1, z, y, x)."""
    total = np.minimum(probability.astype(np.uint16).sum(0), 255)
    if config.task == "other":
        return np.concatenate([(255 - total)[None], probability]).argmax(0).astype(np.uint8)
    classes = (total >= 128).astype(np.uint8)
    if len(probability) > 1:
        classes[probability[TUMOR.value - 1] >= 128] = TUMOR.value
    return classes


def _whole_scans(bundle: Bundle, config: Config) -> Callable[[PreparedCase], Segmented]:
    from LiverTumorSegLib.pipeline.inference import Segmenter

    device = "auto" if config.run.device == "auto" else config.run.device
    segmenter = Segmenter(bundle, device=device, quality="quick")

    def segment(prepared: PreparedCase) -> Segmented:
        images = read_channels(prepared.case, config.data.channels)
        label = sitk.GetArrayFromImage(sitk.Cast(read_label(prepared.case, config.data, images[0]), sitk.sitkUInt8))
        result = segmenter.segment(images, force=True)
        reference = as_classes(label, config.data)
        if config.task == "localiser":
            reference[reference == TUMOR.value] = 1
        if prepared.case.liver_only:
            reference[(reference > 0) & (reference < ANY_FOREGROUND)] = ANY_FOREGROUND
        voxel_ml = float(np.prod(images[0].GetSpacing())) / 1000
        prediction = sitk.GetArrayFromImage(result.labelmap)
        return Segmented(prepared.case.name, sitk.GetArrayFromImage(images[0]), reference, prediction, voxel_ml)

    return segment


def case_figures(segmented: Segmented, config: Config) -> dict[str, float]:
    """Return the figures of one case; voxels labelled 255 are left out."""
    known = segmented.reference != IGNORE
    reference, prediction = segmented.reference, segmented.prediction
    figures = {}
    if config.task == "other":
        figures["foreground_dice"] = dice((prediction > 0) & known, (reference > 0) & known)
        for value, name in enumerate(config.data.labels, 1):
            figures[f"{name}_dice"] = dice((prediction == value) & known, reference == value)
        return figures
    tumor, true_tumor = (prediction == TUMOR.value) & known, reference == TUMOR.value
    annotated = not bool((reference == ANY_FOREGROUND).any())
    figures["liver_dice"] = dice((prediction > 0) & known, (reference > 0) & known)
    figures["tumor_dice"] = dice(tumor, true_tumor) if true_tumor.any() and annotated else math.nan
    figures["tumor_ml"] = float(tumor.sum()) * segmented.voxel_ml
    figures["reference_tumor_ml"] = float(true_tumor.sum()) * segmented.voxel_ml
    return figures


def mean_figures(figures: Figures) -> dict[str, float]:
    """Return the mean of each Dice over the cases in which it is defined."""
    names = {name: None for case in figures.values() for name in case if name.endswith("_dice")}
    means = {}
    for name in names:
        values = [case[name] for case in figures.values() if math.isfinite(case.get(name, math.nan))]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def figures_in_words(figures: Figures, loss: float | None = None) -> str:
    """Return the mean figures as one line."""
    words = [
        f"{name.removesuffix('_dice').replace('_', ' ')} Dice {value:.3f}"
        for name, value in mean_figures(figures).items()
    ]
    return ", ".join(words if loss is None else [*words, f"loss {loss:.3f}"])


def score(figures: Figures) -> float:
    """Return what early stopping and search maximise: mean tumour Dice, or the mean of all without tumours."""
    means = mean_figures(figures)
    if math.isfinite(means.get("tumor_dice", math.nan)):
        return means["tumor_dice"]
    finite = [value for value in means.values() if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else 0.0


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; NaN when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else math.nan
