"""Dice of held-out cases during training, on the canonical grid, by the tiles of inference."""

from __future__ import annotations

import numpy as np
import torch

from LiverTumorSegLib.bundle import Bundle
from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.preprocess import normalise
from LiverTumorSegLib.tiles import TilePlan, predict_probabilities
from LiverTumorSegTraining.preparation import PreparedCase


def validate(bundle: Bundle, cases: list[PreparedCase]) -> dict[str, dict[str, float]]:
    """Return {case: {"liver_dice", "tumor_dice", "tumor_ml", "reference_tumor_ml"}}; liver is the whole organ."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = bundle.build().to(device)
    millilitre = float(np.prod(bundle.spacing_mm)) / 1000
    figures = {}
    for prepared in cases:
        array = normalise(prepared.image, bundle.intensity)[None]
        probability = predict_probabilities([network], array, TilePlan(bundle.patch_size, 0.25), device)
        known = prepared.label != IGNORE
        organ = (probability.astype(np.uint16).sum(0) >= 128) & known
        reference = (prepared.label > 0) & known
        tumor = (probability[1] >= 128) & known if len(probability) > 1 else np.zeros_like(organ)
        reference_tumor = prepared.label == 2
        figures[prepared.case.name] = {
            "liver_dice": dice(organ, reference),
            "tumor_dice": dice(tumor, reference_tumor) if reference_tumor.any() else float("nan"),
            "tumor_ml": float(tumor.sum()) * millilitre,
            "reference_tumor_ml": float(reference_tumor.sum()) * millilitre,
        }
    return figures


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; NaN when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else float("nan")
