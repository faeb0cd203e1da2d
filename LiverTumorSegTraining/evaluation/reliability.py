"""Reliability: does a tumour probability of 0.7 mean tumour in 7 of 10 voxels, and which threshold segments best.

Voxel by voxel, on the kept probabilities (Niculescu-Mizil and Caruana, ICML 2005; expected calibration error: Naeini
et al., AAAI 2015). Voxels to which the network gives nothing at all would drown the rest and are left out of the
curve; missed tumour among them still counts against every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .froc import THRESHOLDS

BINS = 10

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseReliability:
    """One case's known voxels by probability byte, (256,) each: those of the reference's tumour, and all others."""

    name: str
    tumor: Counts
    other: Counts


@dataclass(frozen=True)
class ReliabilityBin:
    """Voxels of one range of probability: their mean probability and the part of them that is tumour."""

    low: float
    high: float
    probability: float
    observed: float
    voxels: int


@dataclass(frozen=True)
class Reliability:
    """The curve over all cases.

    Attributes
    ----------
    bins : tuple of ReliabilityBin
        Ranges without a voxel are left out.
    calibration_error : float or None
        Mean distance of probability and observed part over the voxels of the bins.
    dice : dict of float to float
        Threshold -> mean voxel Dice over the cases with tumour, before components are cleaned up.
    best_threshold : float or None
        The threshold with the highest mean Dice.
    cases, tumor_cases : int
        Scans behind the curve, and those with tumour.
    """

    bins: tuple[ReliabilityBin, ...]
    calibration_error: float | None
    dice: dict[float, float]
    best_threshold: float | None
    cases: int
    tumor_cases: int


def case_reliability(
    name: str,
    reference: npt.NDArray[np.bool_],
    ignored: npt.NDArray[np.bool_] | None,
    probability: npt.NDArray[np.uint8],
    start: tuple[int, int, int],
) -> CaseReliability:
    """Return the counts of one case; parameters as those of `froc.case_froc`."""
    known = np.ones(reference.shape, bool) if ignored is None else ~ignored
    window = tuple(slice(s, s + n) for s, n in zip(start, probability.shape, strict=True))
    tumor = np.bincount(probability[(reference & known)[window]], minlength=256)
    other = np.bincount(probability[(~reference & known)[window]], minlength=256)
    # What lies outside the map was given no probability.
    tumor[0] += np.count_nonzero(reference & known) - tumor.sum()
    return CaseReliability(name, tumor, other)


def reliability_curve(cases: list[CaseReliability]) -> Reliability:
    """Return the curve over all cases (at least one)."""
    tumor, other = (np.sum([getattr(case, name) for case in cases], axis=0) for name in ("tumor", "other"))
    voxels, probability = tumor + other, np.arange(256) / 255
    bins = []
    for place in range(BINS):
        inside = np.ceil(probability * BINS) == place + 1
        count = int(voxels[inside].sum())
        if count:
            mean = float((voxels * probability)[inside].sum()) / count
            bins.append(
                ReliabilityBin(place / BINS, (place + 1) / BINS, mean, float(tumor[inside].sum()) / count, count)
            )
    total = sum(part.voxels for part in bins)
    error = sum(abs(part.probability - part.observed) * part.voxels for part in bins) / total if total else None
    with_tumor = [case for case in cases if case.tumor.any()]
    dice = {t: float(np.mean([_dice(case, t) for case in with_tumor])) for t in THRESHOLDS} if with_tumor else {}
    best = max(dice, key=lambda threshold: dice[threshold]) if dice else None
    return Reliability(tuple(bins), error, dice, best, len(cases), len(with_tumor))


def _dice(case: CaseReliability, threshold: float) -> float:
    first = max(1, round(255 * threshold))
    found = int(case.tumor[first:].sum())
    return 2 * found / (int(case.tumor.sum()) + found + int(case.other[first:].sum()))
