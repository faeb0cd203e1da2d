"""Figures over all cases: means with intervals, pooled counts, volume agreement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from .bootstrap import Estimate, mean_estimate, pooled_estimate
from .case_scores import CaseScores
from .lesion_summary import DetectionSummary, PanopticSummary, summarise_detection, summarise_panoptic
from .metrics import METRICS, OPTIONAL_METRICS, WORST_AT_MISS
from .overlap import overlap_scores
from .regions import Scheme

POOLED = ("dice", "iou", "precision", "recall", "specificity", "accuracy", "voe")


@dataclass(frozen=True)
class VolumeAgreement:
    """How predicted volumes agree with the reference (Bland and Altman, Lancet 1986). Errors of cases can cancel.

    Attributes
    ----------
    bias_ml, sd_ml : float
        Mean and sample standard deviation of prediction minus reference (sd None for one case).
    low_ml, high_ml : float or None
        Limits of agreement, bias -+ 1.96 sd.
    n : int
    """

    bias_ml: float
    sd_ml: float | None
    low_ml: float | None
    high_ml: float | None
    n: int


@dataclass(frozen=True)
class Burden:
    """Tumour burden: tumour volume as a share of the organ, differences in percentage points.

    Attributes
    ----------
    mean_reference, mean_prediction : float or None
    rmse, worst : float or None
        Root mean square and greatest absolute difference.
    n : int
        Cases in which both organs were there to divide by.
    without_organ : tuple of str
        Cases left out because one of the organs is empty.
    """

    mean_reference: float | None
    mean_prediction: float | None
    rmse: float | None
    worst: float | None
    n: int
    without_organ: tuple[str, ...]


@dataclass(frozen=True)
class RegionSummary:
    """One region over all cases.

    Attributes
    ----------
    per_case : dict of str to Estimate
        Mean over cases of every metric.
    median : dict of str to float or None
    pooled : dict of str to Estimate
        Overlap figures of all voxels together ("global").
    with_reference : dict of str to Estimate
        The scores of ``WORST_AT_MISS`` over cases whose reference has the region.
    penalised : int
        Cases whose surface distance is the image diagonal because the masks have no voxel in common.
    agreement : VolumeAgreement
    detection : rule -> size class -> DetectionSummary, or None for a region without lesions
    panoptic : PanopticSummary or None
    """

    per_case: dict[str, Estimate]
    median: dict[str, float | None]
    pooled: dict[str, Estimate]
    with_reference: dict[str, Estimate]
    penalised: int
    agreement: VolumeAgreement
    detection: dict[str, dict[str, DetectionSummary]] | None
    panoptic: PanopticSummary | None


@dataclass(frozen=True)
class Summary:
    """All regions, and the tumour burden where the scheme has a liver and a tumour."""

    cases: int
    missing: tuple[str, ...]
    regions: dict[str, RegionSummary]
    burden: Burden | None


def summarise(cases: list[CaseScores], scheme: Scheme) -> Summary:
    """Return every aggregate of the cases (at least one)."""
    names = {region.name for region in scheme.regions}
    return Summary(
        cases=len(cases),
        missing=tuple(case.name for case in cases if case.status == "missing prediction"),
        regions={region.name: _summarise_region(cases, region.name, region.lesions) for region in scheme.regions},
        burden=tumor_burden(cases) if {"liver", "tumor"} <= names else None,
    )


def tumor_burden(cases: list[CaseScores]) -> Burden:
    """Return the tumour burden over the cases in which both organs exist and tumours were annotated."""
    rows, without = [], []
    for case in cases:
        if not case.regions["tumor"].judged:
            continue
        liver, tumor = case.regions["liver"].counts, case.regions["tumor"].counts
        if liver.reference and liver.prediction:
            rows.append((100.0 * tumor.reference / liver.reference, 100.0 * tumor.prediction / liver.prediction))
        else:
            without.append(case.name)
    if not rows:
        return Burden(None, None, None, None, 0, tuple(without))
    table = np.array(rows)
    difference = table[:, 1] - table[:, 0]
    return Burden(
        mean_reference=float(table[:, 0].mean()),
        mean_prediction=float(table[:, 1].mean()),
        rmse=float(np.sqrt(np.mean(difference**2))),
        worst=float(np.abs(difference).max()),
        n=len(rows),
        without_organ=tuple(without),
    )


def _summarise_region(cases: list[CaseScores], name: str, lesions: bool) -> RegionSummary:
    cases = [case for case in cases if case.regions[name].judged]
    scores = [case.regions[name] for case in cases]
    columns = {metric.key: [score.values[metric.key] for score in scores] for metric in METRICS}
    chosen = [metric.key for metric in OPTIONAL_METRICS if all(metric.key in score.values for score in scores)]
    columns |= {key: [score.values[key] for score in scores] for key in chosen}
    medians = {
        key: float(np.median([v for v in column if v is not None])) if any(v is not None for v in column) else None
        for key, column in columns.items()
    }
    counts = np.array([score.counts.as_array() for score in scores])
    present = [score for score in scores if score.counts.reference]
    difference = np.array([score.values["volume_difference_ml"] for score in scores], dtype=np.float64)
    sd = float(difference.std(ddof=1)) if len(scores) > 1 else None
    bias = float(difference.mean())
    return RegionSummary(
        per_case={key: mean_estimate(column) for key, column in columns.items()},
        median=medians,
        pooled={key: pooled_estimate(counts, partial(_overlap_score, key)) for key in POOLED},
        with_reference={key: mean_estimate([score.values[key] for score in present]) for key in WORST_AT_MISS},
        penalised=sum(score.penalised for score in scores),
        agreement=VolumeAgreement(
            bias,
            sd,
            None if sd is None else bias - 1.96 * sd,
            None if sd is None else bias + 1.96 * sd,
            len(scores),
        ),
        detection=summarise_detection(cases, name) if lesions else None,
        panoptic=summarise_panoptic(cases, name) if lesions else None,
    )


def _overlap_score(key: str, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return overlap_scores(counts)[key]
