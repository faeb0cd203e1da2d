"""95 % intervals by resampling cases: the case, not the voxel or the lesion, is what a study draws at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
_SEED = 20
FEWEST_CASES = 5
"""Below this no interval is given: the resamples of so few cases repeat one another and the interval is too short."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes
    ----------
    value : float or None
        None when nothing could be measured.
    low, high : float or None
        95 % percentile bootstrap interval; None with fewer than ``FEWEST_CASES`` cases.
    n : int
        Cases (or, for lesion figures, lesions) behind the value.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


def resampling_weights(cases: int) -> npt.NDArray[np.float64]:
    """Return how often each case is drawn in each resample, (resamples, cases); the same on every machine."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(cases, np.full(cases, 1.0 / cases), size=RESAMPLES).astype(np.float64)


def mean_estimate(values: list[float | None]) -> Estimate:
    """Return the mean of the values that exist, with its interval."""
    present = np.array([value for value in values if value is not None], dtype=np.float64)
    if present.size == 0:
        return Estimate(None, None, None, 0)
    mean = float(present.mean())
    if present.size < FEWEST_CASES:
        return Estimate(mean, None, None, present.size)
    means = resampling_weights(present.size) @ present / present.size
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(mean, float(low), float(high), present.size)


def pooled_estimate(
    counts: npt.NDArray[np.float64],
    statistic: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    n: int | None = None,
) -> Estimate:
    """Return a figure computed from counts added over cases, with its interval.

    Parameters
    ----------
    counts : ndarray, (cases, k)
    statistic : callable
        Maps summed counts (..., k) to figures (...); NaN where the figure does not exist.
    n : int, optional
        Number to report beside the figure instead of the number of cases.
    """
    cases = len(counts)
    shown = cases if n is None else n
    if cases == 0:
        return Estimate(None, None, None, shown)
    value = float(statistic(counts.sum(axis=0)))
    if np.isnan(value):
        return Estimate(None, None, None, shown)
    if cases < FEWEST_CASES:
        return Estimate(value, None, None, shown)
    drawn = statistic(resampling_weights(cases) @ counts)
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), shown)
