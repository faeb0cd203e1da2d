"""FROC: sensitivity against false positives per scan as the threshold on the kept probabilities moves.

At each threshold the prediction is made anew from the probability map, cut into lesions and matched again, exactly as
the sensitivity slider of the panel would. The curve is a list of operating points and need not be monotone: a lower
threshold can fuse two lesions into one that no longer overlaps either by half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import place_in

from .boxes import bounding_box, grow
from .lesion_matching import find_components, match_lesions
from .lesion_summary import RULES

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class CaseFroc:
    """One case's counts per rule: (thresholds, 4) as found, reference lesions, true, predicted lesions."""

    name: str
    counts: dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class FrocPoint:
    """One operating point over all cases; ``sensitivity`` is None when there is no reference lesion."""

    threshold: float
    sensitivity: float | None
    false_positives_per_scan: float


@dataclass(frozen=True)
class Froc:
    """The curve of each rule.

    Attributes
    ----------
    points : dict of str to tuple of FrocPoint
    at_rate : dict of str to dict of float to (float or None)
        Rule -> false positives per scan -> greatest sensitivity of an operating point that stays at or below it;
        None when no point does.
    cases, cases_without_map : int
        Scans behind the curve, and scored scans that kept no probabilities and are not in it.
    lesions : int
        Reference lesions behind the curve.
    """

    points: dict[str, tuple[FrocPoint, ...]]
    at_rate: dict[str, dict[float, float | None]]
    cases: int
    cases_without_map: int
    lesions: int


def on_grid(
    probability: sitk.Image, grid: sitk.Image, what: str
) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int]]:
    """Return a cropped probability map's array [z, y, x] and the place of its first voxel in the case's array.

    Raises
    ------
    InputError
        When the map is not uint8, has another spacing or other axes, lies between voxels, or leaves the grid.
    """
    if probability.GetPixelID() != sitk.sitkUInt8:
        raise InputError(
            f"{what}: a probability map holds bytes 0..255, this one {probability.GetPixelIDTypeAsString()}."
        )
    start = place_in(grid, probability)
    if start is None or min(start) < 0 or np.any(np.add(start, probability.GetSize()) > grid.GetSize()):
        raise InputError(f"{what} does not lie on the voxels of the reference.")
    x, y, z = start
    return sitk.GetArrayFromImage(probability), (z, y, x)


def case_froc(
    name: str,
    reference: npt.NDArray[np.bool_],
    ignored: npt.NDArray[np.bool_] | None,
    probability: npt.NDArray[np.uint8] | None,
    start: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> CaseFroc:
    """Return the counts of one case at every threshold.

    Parameters
    ----------
    name : str
    reference : ndarray of bool, [z, y, x]
    ignored : ndarray of bool, [z, y, x], optional
    probability : ndarray of uint8, [z, y, x], or None
        Part of the grid; 255 is certain. None: a missing prediction, nothing found at any threshold.
    start : tuple of int
        Where the probability map begins in the reference's array.
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    """
    counts = {rule: np.zeros((len(THRESHOLDS), 4), dtype=np.int64) for rule in RULES}
    window = tuple(
        slice(s, s + n) for s, n in zip(start, (0, 0, 0) if probability is None else probability.shape, strict=True)
    )
    full = np.zeros(reference.shape, dtype=np.uint8)
    if probability is not None:
        full[window] = probability
    box = bounding_box(reference, full >= round(255 * THRESHOLDS[0]))
    if box is None:
        return CaseFroc(name, counts)
    box = grow(box, 1, reference.shape)
    unknown = None if ignored is None else ignored[box]
    truth = find_components(reference[box], spacing_mm, unknown, measure=False)
    for row, threshold in enumerate(THRESHOLDS):
        lesions = find_components(full[box] >= max(1, round(255 * threshold)), spacing_mm, unknown, measure=False)
        match = match_lesions(truth, lesions, unknown)
        for rule in RULES:
            detection = getattr(match, rule)
            counts[rule][row] = (
                np.count_nonzero(detection.reference),
                len(detection.reference),
                np.count_nonzero(detection.prediction),
                len(detection.prediction),
            )
    return CaseFroc(name, counts)


def froc_curve(cases: list[CaseFroc], cases_without_map: int) -> Froc:
    """Return the curve over all cases (at least one)."""
    points, at_rate = {}, {}
    lesions = 0
    for rule in RULES:
        total = np.sum([case.counts[rule] for case in cases], axis=0)
        lesions = int(total[0, 1])
        points[rule] = tuple(
            FrocPoint(
                threshold,
                float(found / lesions) if lesions else None,
                float((predicted - true) / len(cases)),
            )
            for threshold, (found, _, true, predicted) in zip(THRESHOLDS, total, strict=True)
        )
        at_rate[rule] = {
            rate: max(
                (
                    point.sensitivity
                    for point in points[rule]
                    if point.sensitivity is not None and point.false_positives_per_scan <= rate
                ),
                default=None,
            )
            for rate in RATES
        }
    return Froc(points, at_rate, len(cases), cases_without_map, lesions)
