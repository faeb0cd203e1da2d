"""Detection by lesion confidence: one list of candidates with a confidence each, then FROC, AP and patient AUROC.

The matching is that of the PI-CAI challenge (Saha et al., Lancet Oncol 2024; package picai_eval): candidates and
reference lesions with an IoU of at least 0.1 are paired one to one, as many pairs as possible and then the greatest
overlap; a further candidate that overlaps a lesion so much is neither true nor false. Unlike the sweep of `froc`, a
candidate keeps its shape while the threshold on its confidence moves, so the curve is monotone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from .bootstrap import FEWEST_CASES, Estimate, resampling_weights
from .boxes import bounding_box, grow
from .froc import RATES, FrocPoint
from .lesion_matching import Components, find_components, match_lesions

MINIMUM_IOU = 0.1
LEVELS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Where candidates are cut out: as segmented, and below that what holds no candidate yet."""

_CORNERS = np.ones((3, 3, 3), dtype=bool)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CaseDetections:
    """One case.

    Attributes
    ----------
    name, patient : str
    true, false : ndarray of float64
        Confidences of the candidates that are paired with a lesion, and of those that overlap none enough.
    missed : int
        Reference lesions without a candidate.
    """

    name: str
    patient: str
    true: Floats
    false: Floats
    missed: int

    @property
    def has_lesion(self) -> bool:
        """Whether the reference holds a lesion."""
        return len(self.true) + self.missed > 0

    @property
    def confidence(self) -> float:
        """The greatest confidence of a candidate; 0 without any."""
        return float(max(self.true.max(initial=0.0), self.false.max(initial=0.0)))


@dataclass(frozen=True)
class LesionConfidence:
    """Detection over all cases.

    Attributes
    ----------
    average_precision : Estimate
        Of the lesions (n: reference lesions); does not exist without a reference lesion.
    patient_auroc : Estimate
        Of a patient's greatest confidence, for having a tumour at all (n: patients); does not exist when all patients
        have one, or none.
    points : tuple of FrocPoint
        Threshold on the confidence, sensitivity, false positives per scan.
    at_rate : dict of float to (float or None)
        False positives per scan -> greatest sensitivity at or below it; None when no point lies there.
    cases, patients, patients_with_lesion, lesions, candidates : int
    """

    average_precision: Estimate
    patient_auroc: Estimate
    points: tuple[FrocPoint, ...]
    at_rate: dict[float, float | None]
    cases: int
    patients: int
    patients_with_lesion: int
    lesions: int
    candidates: int


def lesion_candidates(probability: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return the candidates of a probability map as labels 1..n.

    A candidate is a connected component (26-connected) at one of `LEVELS`, highest first, that holds no candidate of
    a higher level.

    Parameters
    ----------
    probability : ndarray of uint8, [z, y, x]
        255 is certain.
    """
    labels = np.zeros(probability.shape, dtype=np.int32)
    count = 0
    for level in LEVELS:
        parts, found = ndimage.label(probability >= round(255 * level), structure=_CORNERS)
        held = np.zeros(found + 1, dtype=bool)
        held[np.unique(parts[labels > 0])] = True
        held[0] = True
        number = np.zeros(found + 1, dtype=np.int32)
        number[~held] = np.arange(count + 1, count + 1 + np.count_nonzero(~held))
        count += int(np.count_nonzero(~held))
        labels += number[parts]
    return labels


def confidences(probability: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]) -> Floats:
    """Return the greatest probability, 0..1, in each of the candidates 1..n."""
    count = int(labels.max(initial=0))
    greatest = ndimage.maximum(probability, labels, np.arange(1, count + 1)) if count else []
    return np.asarray(greatest, dtype=np.float64) / 255.0


def case_detections(
    name: str,
    patient: str,
    reference: npt.NDArray[np.bool_],
    ignored: npt.NDArray[np.bool_] | None,
    probability: npt.NDArray[np.uint8] | None,
    start: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> CaseDetections:
    """Return what the candidates of one case found; parameters as those of `froc.case_froc`."""
    full = np.zeros(reference.shape, dtype=np.uint8)
    if probability is not None:
        full[tuple(slice(s, s + n) for s, n in zip(start, probability.shape, strict=True))] = probability
    box = bounding_box(reference, full >= round(255 * LEVELS[-1]))
    if box is None:
        return CaseDetections(name, patient, np.zeros(0), np.zeros(0), 0)
    box = grow(box, 1, reference.shape)
    full, unknown = full[box], None if ignored is None else ignored[box]
    truth = find_components(reference[box], spacing_mm, unknown, measure=False)
    match = match_lesions(truth, _as_components(lesion_candidates(full), unknown), unknown)
    confidence, iou = confidences(full, match.prediction.labels), match.iou
    enough = iou >= MINIMUM_IOU
    rows, columns = linear_sum_assignment(np.where(enough, 1.0 + iou, 0.0), maximize=True)
    paired = columns[enough[rows, columns]]
    false = np.setdiff1d(np.arange(len(confidence)), np.flatnonzero(enough.any(axis=0)))
    return CaseDetections(name, patient, confidence[paired], confidence[false], truth.count - len(paired))


def _as_components(labels: npt.NDArray[np.int32], unknown: npt.NDArray[np.bool_] | None) -> Components:
    count = int(labels.max(initial=0))
    known = labels if unknown is None else np.where(unknown, 0, labels)
    voxels = np.bincount(known.ravel(), minlength=count + 1)[1:].astype(np.int64)
    return Components(labels, tuple(ndimage.find_objects(labels, max_label=count)), voxels, np.full(count, np.nan))


def lesion_confidence(cases: list[CaseDetections]) -> LesionConfidence:
    """Return the figures over all cases (at least one); patients are what intervals draw at random."""
    names = sorted({case.patient for case in cases})
    place = {name: number for number, name in enumerate(names)}
    of_case = np.array([place[case.patient] for case in cases])
    weights = np.vstack(
        [np.ones(len(names)), *([resampling_weights(len(names))] if len(names) >= FEWEST_CASES else [])]
    )
    # In parts, for a thousand candidates in each of thousands of resamples would take gigabytes.
    parts = np.array_split(weights, max(1, len(weights) // 100))
    lesions = sum(len(case.true) + case.missed for case in cases)
    score = np.zeros(len(names))
    sick = np.zeros(len(names), dtype=bool)
    for case, number in zip(cases, of_case, strict=True):
        score[number] = max(score[number], case.confidence)
        sick[number] |= case.has_lesion
    points = _points(cases, lesions)
    return LesionConfidence(
        _estimate(np.concatenate([_average_precisions(cases, of_case, part) for part in parts]), lesions),
        _estimate(_areas(score, sick, weights), len(names)),
        points,
        {
            rate: max(
                (p.sensitivity for p in points if p.sensitivity is not None and p.false_positives_per_scan <= rate),
                default=None,
            )
            for rate in RATES
        },
        len(cases),
        len(names),
        int(sick.sum()),
        lesions,
        sum(len(case.true) + len(case.false) for case in cases),
    )


def _estimate(values: Floats, n: int) -> Estimate:
    """Return the first value with the interval of the others, resamples without such a figure left out."""
    if np.isnan(values[0]):
        return Estimate(None, None, None, n)
    drawn = values[1:][~np.isnan(values[1:])]
    if not drawn.size:
        return Estimate(float(values[0]), None, None, n)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high), n)


def _average_precisions(cases: list[CaseDetections], of_case: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Return the average precision under each row of weights of the patients."""
    confidence = np.concatenate([np.concatenate([case.true, case.false]) for case in cases])
    right = np.concatenate([np.r_[np.ones(len(case.true)), np.zeros(len(case.false))] for case in cases])
    owner = np.concatenate(
        [np.full(len(case.true) + len(case.false), p) for case, p in zip(cases, of_case, strict=True)]
    )
    lesions = np.zeros(weights.shape[1])
    np.add.at(lesions, of_case, [len(case.true) + case.missed for case in cases])
    total = weights @ lesions
    order = np.argsort(-confidence, kind="stable")
    # Candidates of equal confidence are taken together: their order says nothing.
    last = np.flatnonzero(np.diff(confidence[order], append=-1.0))
    drawn = weights[:, owner[order]]
    true = np.cumsum(drawn * right[order], axis=1)[:, last]
    taken = np.cumsum(drawn, axis=1)[:, last]
    precision = np.divide(true, taken, out=np.zeros_like(true), where=taken > 0)
    gained = np.diff(true, axis=1, prepend=0.0)
    summed = (gained * precision).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0)


def _areas(score: Floats, sick: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the area under the ROC curve under each row of weights; ties count half."""
    levels, group = np.unique(score, return_inverse=True)
    sick_weight, well_weight = np.zeros((2, len(weights), len(levels)))
    for number, level in enumerate(group):
        (sick_weight if sick[number] else well_weight)[:, level] += weights[:, number]
    below = np.cumsum(well_weight, axis=1) - well_weight / 2.0
    pairs = sick_weight.sum(axis=1) * well_weight.sum(axis=1)
    area = (sick_weight * below).sum(axis=1)
    return np.divide(area, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def _points(cases: list[CaseDetections], lesions: int) -> tuple[FrocPoint, ...]:
    true = np.concatenate([case.true for case in cases])
    false = np.concatenate([case.false for case in cases])
    return tuple(
        FrocPoint(
            float(level),
            float(np.count_nonzero(true >= level) / lesions) if lesions else None,
            float(np.count_nonzero(false >= level) / len(cases)),
        )
        for level in np.unique(np.concatenate([true, false]))[::-1]
    )
