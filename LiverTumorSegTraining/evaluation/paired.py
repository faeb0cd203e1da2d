"""Paired comparison of two models on the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .bootstrap import Estimate, mean_estimate
from .case_scores import CaseScores
from .metrics import METRICS, SCORES
from .regions import Scheme

SMALLEST_FOR_P = 6
"""With five pairs the two-sided Wilcoxon test cannot fall below 0.0625 whatever the data."""


@dataclass(frozen=True)
class PairedDifference:
    """One metric of one region in two models.

    Attributes
    ----------
    region, metric : str
    cases : tuple of str
        Cases in which both models have the figure.
    differences : tuple of float
        First minus second, per case.
    mean : Estimate
        Of the differences.
    p_value : float or None
        Two-sided Wilcoxon signed-rank test, zero differences ranked (Pratt); None with fewer than six cases.
    better, worse, equal : int
        Cases in which the first model is better, worse, equal.
    """

    region: str
    metric: str
    cases: tuple[str, ...]
    differences: tuple[float, ...]
    mean: Estimate
    p_value: float | None
    better: int
    worse: int
    equal: int


def compare_models(first: list[CaseScores], second: list[CaseScores], scheme: Scheme) -> list[PairedDifference]:
    """Return the difference of every score in every region.

    Parameters
    ----------
    first, second : list of CaseScores
        Both over all reference cases, in the same order; a missing prediction counts as a total miss in either.
    scheme : Scheme
    """
    if [case.name for case in first] != [case.name for case in second]:
        raise ValueError("both models must be scored on the same cases in the same order")
    return [_difference(first, second, region.name, metric.key) for region in scheme.regions for metric in SCORES]


def _difference(first: list[CaseScores], second: list[CaseScores], region: str, key: str) -> PairedDifference:
    names: list[str] = []
    values: list[float] = []
    for ours, theirs in zip(first, second, strict=True):
        one, other = ours.regions[region].values[key], theirs.regions[region].values[key]
        if one is not None and other is not None:
            names.append(ours.name)
            values.append(one - other)
    difference = np.array(values)
    sign = next(1.0 if metric.better == "higher" else -1.0 for metric in METRICS if metric.key == key)
    p_value = None
    if len(values) >= SMALLEST_FOR_P:
        p_value = 1.0 if not difference.any() else float(stats.wilcoxon(difference, zero_method="pratt").pvalue)
    return PairedDifference(
        region=region,
        metric=key,
        cases=tuple(names),
        differences=tuple(values),
        mean=mean_estimate(list(values)),
        p_value=p_value,
        better=int(np.sum(sign * difference > 0)),
        worse=int(np.sum(sign * difference < 0)),
        equal=int(np.sum(difference == 0)),
    )
