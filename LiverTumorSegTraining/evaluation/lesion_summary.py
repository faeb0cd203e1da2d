"""Lesion figures over all cases: precision, recall and F1 by size, false positives per scan, panoptic quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bootstrap import Estimate, pooled_estimate
from .case_scores import CaseScores, LesionRecord

SIZE_CLASSES: dict[str, tuple[float, float]] = {
    "all": (0.0, np.inf),
    "<10 mm": (0.0, 10.0),
    "10-20 mm": (10.0, 20.0),
    ">20 mm": (20.0, np.inf),
}
"""Half-open by longest axial diameter: 10 mm is in the second class; exactly 20 mm too."""

RULES: dict[str, str] = {
    "lits": "LiTS (merged, IoU > 0.5)",
    "iou_half": "one to one, IoU > 0.5",
    "any_overlap": "any overlap",
}


@dataclass(frozen=True)
class DetectionSummary:
    """Detection of the lesions of one size class under one rule.

    ``recall.n`` is the number of reference lesions, ``precision.n`` that of predicted ones, ``f1.n`` the sum of both;
    recall goes by the size of the reference lesion, precision by the size of the predicted one.
    """

    recall: Estimate
    precision: Estimate
    f1: Estimate
    found: int
    false_positives: int
    false_positives_per_scan: Estimate


@dataclass(frozen=True)
class PanopticSummary:
    """Panoptic quality over all lesions, and its factors: PQ = SQ x RQ."""

    pq: Estimate
    sq: Estimate
    rq: Estimate


def in_size_class(diameter_mm: float, name: str) -> bool:
    """Tell whether a lesion belongs to a size class."""
    low, high = SIZE_CLASSES[name]
    if name == "10-20 mm":
        return low <= diameter_mm <= high
    if name == ">20 mm":
        return diameter_mm > low
    return low <= diameter_mm < high


def summarise_detection(cases: list[CaseScores], region: str) -> dict[str, dict[str, DetectionSummary]]:
    """Return the detection figures as rule -> size class -> summary."""
    return {rule: {size: _summary(_case_counts(cases, region, rule, size)) for size in SIZE_CLASSES} for rule in RULES}


def summarise_panoptic(cases: list[CaseScores], region: str) -> PanopticSummary:
    """Return the panoptic quality of all lesions together (one to one, IoU > 0.5).

    Source: Kirillov et al., "Panoptic segmentation", CVPR 2019.
    """
    counts = np.array(
        [
            [case.regions[region].panoptic_iou_sum, *case_counts]
            for case, case_counts in zip(cases, _case_counts(cases, region, "iou_half", "all"), strict=True)
        ]
    ).reshape(-1, 5)

    def recognition(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return _f1(sums[..., 1:])

    def segmentation(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return _divide(sums[..., 0], sums[..., 1])

    def panoptic(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        lesions = sums[..., 2] + sums[..., 4]
        return _divide(2.0 * sums[..., 0], lesions)

    lesions = int(counts[:, [2, 4]].sum())
    return PanopticSummary(
        pq=pooled_estimate(counts, panoptic, lesions),
        sq=pooled_estimate(counts, segmentation, int(counts[:, 1].sum())),
        rq=pooled_estimate(counts, recognition, lesions),
    )


def _case_counts(cases: list[CaseScores], region: str, rule: str, size: str) -> npt.NDArray[np.float64]:
    """Return (found, reference lesions, true, predicted lesions) of each case."""

    def count(records: list[LesionRecord]) -> tuple[int, int]:
        chosen = [record for record in records if in_size_class(record.diameter_mm, size)]
        return sum(record.found[rule] for record in chosen), len(chosen)

    rows = []
    for case in cases:
        lesions = case.regions[region].lesions
        rows.append(
            [
                *count([record for record in lesions if record.side == "reference"]),
                *count([record for record in lesions if record.side == "prediction"]),
            ]
        )
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _summary(counts: npt.NDArray[np.float64]) -> DetectionSummary:
    found, reference, true, predicted = (int(total) for total in counts.sum(axis=0))
    scans = np.column_stack([counts, np.ones(len(counts))])
    return DetectionSummary(
        recall=pooled_estimate(counts, _recall, reference),
        precision=pooled_estimate(counts, _precision, predicted),
        f1=pooled_estimate(counts, _f1, reference + predicted),
        found=found,
        false_positives=predicted - true,
        false_positives_per_scan=pooled_estimate(
            scans, lambda sums: _divide(sums[..., 3] - sums[..., 2], sums[..., 4])
        ),
    )


def _recall(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _divide(sums[..., 0], sums[..., 1])


def _precision(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _divide(sums[..., 2], sums[..., 3])


def _f1(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the harmonic mean of precision and recall; 0 when only one side has lesions."""
    recall = np.nan_to_num(_recall(sums))
    precision = np.nan_to_num(_precision(sums))
    mean = _divide(2.0 * recall * precision, recall + precision)
    nothing = sums[..., 1] + sums[..., 3] == 0
    return np.where(nothing, np.nan, np.nan_to_num(mean))


def _divide(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide, with NaN where the bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64))
    return np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
