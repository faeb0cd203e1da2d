"""Dice of held-out cases during training, by the inference that a user runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from LiverTumorSegLib.findings import RefusedError
from LiverTumorSegLib.labels import IGNORE, TUMOR
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.models import localiser_for
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.pipeline.result import Result

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.organ import organ_classes, organs_tumor, trained_classes
from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND, PreparedCase, organ_box, organ_mask
from LiverTumorSegTraining.data.reading import read_channels, read_label
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

    Dice is NaN where neither reference nor prediction holds the class; liver is the whole organ, of a localiser alone.

    Parameters
    ----------
    bundle : Bundle
        The model.
    cases : list of PreparedCase
        Held-out cases.
    config : Config
        The recipe.
    device : torch.device
        Where the network runs.
    show : callable
        Given each segmented case, to draw it.
    advance : callable
        Told how many cases are done, and which is next.
    """
    inference = ProductInference(bundle, config, device)
    figures: Figures = {}
    for number, prepared in enumerate(cases):
        if advance is not None:
            advance(number, prepared.case.name)
        segmented = inference.segment(prepared.case)
        figures[prepared.case.name] = case_figures(segmented, config)
        if show is not None:
            show(segmented)
    if advance is not None:
        advance(len(cases))
    return figures


class ProductInference:
    """Segments cases as segment.py does: same reading, localiser, quality, threshold, cleaning.

    Parameters
    ----------
    bundle : Bundle
        The model.
    config : Config
        The recipe; its labels say what the values of the reference mean.
    device : torch.device
        Where the networks run.
    """

    def __init__(self, bundle: Bundle, config: Config, device: torch.device) -> None:
        self.config = config
        self.segmenter = Segmenter(bundle, localiser_for(bundle), str(device), config.run.validation_quality)

    def result(self, case: Case) -> tuple[Result, list[sitk.Image], sitk.Image]:
        """Return what the product makes of a case, the channels it was shown, and the reference label image."""
        config = self.config
        images = read_channels(case, config.data.channels)
        label = sitk.Cast(read_label(case, config.data, images[0]), sitk.sitkUInt8)
        if config.field_of_view == "crop" and config.preparation.crop != "none":
            # Somebody would cut a new scan to the organ; here the label stands in for the eye.
            start, stop = organ_box(organ_mask(label, config), config.preparation.crop_margin_mm)
            size, first = [int(n) for n in stop - start], [int(n) for n in start]
            images = [sitk.RegionOfInterest(image, size, first) for image in images]
            label = sitk.RegionOfInterest(label, size, first)
        try:
            return self.segmenter.segment(images), images, label
        except RefusedError:
            # What a user may pass over with --force must not end a training.
            return self.segmenter.segment(images, force=True), images, label

    def segment(self, case: Case) -> Segmented:
        """Return a case with its true and predicted classes on the scan's own grid."""
        config = self.config
        result, images, label = self.result(case)
        reference = trained_classes(sitk.GetArrayFromImage(label), config)
        if case.liver_only:
            reference[(reference > 0) & (reference < ANY_FOREGROUND)] = ANY_FOREGROUND
        voxel_ml = float(np.prod(images[0].GetSpacing())) / 1000
        prediction = sitk.GetArrayFromImage(result.labelmap)
        return Segmented(case.name, sitk.GetArrayFromImage(images[0]), reference, prediction, voxel_ml)


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
    organ = organ_classes(config)
    whole = [*organ, ANY_FOREGROUND]
    figures["liver_dice"] = dice(np.isin(prediction, whole) & known, np.isin(reference, whole))
    if TUMOR.value in organ:
        tumor, true_tumor = (prediction == TUMOR.value) & known, reference == TUMOR.value
        annotated = not bool((reference == ANY_FOREGROUND).any())
        figures["tumor_dice"] = dice(tumor, true_tumor) if true_tumor.any() and annotated else math.nan
        figures["tumor_ml"] = float(tumor.sum()) * segmented.voxel_ml
        figures["reference_tumor_ml"] = float(true_tumor.sum()) * segmented.voxel_ml
    for value, name in enumerate(config.data.labels, 1):
        if value not in (*organ, organs_tumor(config)):
            figures[f"{name}_dice"] = dice((prediction == value) & known, reference == value)
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
