"""The figures of the evaluation: their names, units, direction, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One figure of a region in a case.

    Attributes
    ----------
    key : str
        Name in files.
    label : str
        Name in tables and charts.
    unit : str
        "" for a ratio.
    better : {"higher", "lower", "none"}
        "none": a signed difference, in which errors of two cases may cancel; never a score.
    group : {"overlap", "surface", "volume"}
    """

    key: str
    label: str
    unit: str
    better: Literal["higher", "lower", "none"]
    group: Literal["overlap", "surface", "volume"]

    @property
    def title(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS: tuple[Metric, ...] = (
    Metric("dice", "Dice", "", "higher", "overlap"),
    Metric("iou", "IoU", "", "higher", "overlap"),
    Metric("precision", "Precision", "", "higher", "overlap"),
    Metric("recall", "Recall (sensitivity)", "", "higher", "overlap"),
    Metric("specificity", "Specificity", "", "higher", "overlap"),
    Metric("accuracy", "Accuracy", "", "higher", "overlap"),
    Metric("voe", "Volumetric overlap error", "", "lower", "overlap"),
    Metric("assd_mm", "Average surface distance", "mm", "lower", "surface"),
    Metric("hd95_mm", "95 % Hausdorff distance", "mm", "lower", "surface"),
    Metric("nsd", "Surface Dice (NSD)", "", "higher", "surface"),
    Metric("volume_error_ml", "Volume error, uncancelled", "ml", "lower", "volume"),
    Metric("absolute_volume_difference_ml", "Absolute volume difference", "ml", "none", "volume"),
    Metric("volume_difference_ml", "Volume difference", "ml", "none", "volume"),
    Metric("relative_volume_difference", "Relative volume difference", "", "none", "volume"),
    Metric("reference_ml", "Reference volume", "ml", "none", "volume"),
    Metric("prediction_ml", "Predicted volume", "ml", "none", "volume"),
)
"""The absolute difference of a case's two volumes is not a score either: a false lesion can cancel a missed one."""

OPTIONAL_METRICS: tuple[Metric, ...] = (
    Metric("boundary_iou", "Boundary IoU", "", "higher", "surface"),
    Metric("cldice", "clDice", "", "higher", "overlap"),
)
"""Figures that are computed only when asked for."""

BY_KEY = {metric.key: metric for metric in (*METRICS, *OPTIONAL_METRICS)}

SCORES = tuple(metric for metric in METRICS if metric.better != "none")
"""Those that a missed lesion or a false positive can never improve (surface distances: see docs/evaluation.md)."""

WORST_AT_MISS = ("dice", "iou", "precision", "recall", "nsd")
"""Scores whose value for a total miss is the worst there is, so they may be averaged over a part of the cases."""
