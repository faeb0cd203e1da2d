"""Evaluating two folders: every reference is scored, whether or not there is a prediction for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .case_scores import CaseScores, score_case
from .distances import unjudged_boundary
from .froc import CaseFroc, Froc, case_froc, froc_curve, on_grid
from .lesion_confidence import CaseDetections, LesionConfidence, case_detections, lesion_confidence
from .loading import LoadedCase, load_case
from .metrics import METRICS, OPTIONAL_METRICS, Metric
from .pairing import CasePaths
from .regions import Scheme
from .reliability import CaseReliability, Reliability, case_reliability, reliability_curve
from .summary import Summary, summarise

MOST_UNJUDGED = 0.1
"""Part of a boundary beside unknown voxels above which the case says that its surface figures are of the rest."""
PROBABILITY_REGION = "tumor"
"""The region whose probabilities the segmenter can keep."""


@dataclass(frozen=True)
class Evaluation:
    """The result for one model.

    Attributes
    ----------
    model : str
        Name shown in the report.
    scheme : Scheme
    cases : tuple of CaseScores
        In the order of the references.
    paths : tuple of CasePaths
        The same order.
    summary : Summary
    froc : Froc or None
        None when no prediction kept its probabilities.
    confidence : LesionConfidence or None
        Likewise.
    reliability : Reliability or None
        Likewise.
    unused : tuple of Path
        Predictions that belong to no reference.
    tolerance_mm : float
        Tolerance of NSD.
    """

    model: str
    scheme: Scheme
    cases: tuple[CaseScores, ...]
    paths: tuple[CasePaths, ...]
    summary: Summary
    froc: Froc | None
    confidence: LesionConfidence | None
    reliability: Reliability | None
    unused: tuple[Path, ...]
    tolerance_mm: float

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures that were computed."""
        summaries = self.summary.regions.values()
        return (*METRICS, *(m for m in OPTIONAL_METRICS if all(m.key in one.per_case for one in summaries)))


def evaluate(
    paths: list[CasePaths],
    scheme: Scheme,
    model: str = "model",
    unused: list[Path] | None = None,
    tolerance_mm: float = 2.0,
    progress: Callable[[int, str], None] | None = None,
    also: Collection[str] = (),
) -> Evaluation:
    """Score every case and summarise.

    Parameters
    ----------
    paths : list of CasePaths
    scheme : Scheme
    model : str
    unused : list of Path, optional
        Predictions without a reference, to be named in the report.
    tolerance_mm : float
    progress : callable, optional
        Called with the case's number (from 1) and name before each case.
    also : collection of str
        Keys of `metrics.OPTIONAL_METRICS` to compute too.

    Raises
    ------
    InputError
        When a file cannot be used; the message names the case.
    """
    cases: list[CaseScores] = []
    curves: list[CaseFroc] = []
    detections: list[CaseDetections] = []
    reliabilities: list[CaseReliability] = []
    without_map = 0
    tumors = next((one for one in scheme.regions if one.name == PROBABILITY_REGION and one.lesions), None)
    with_region = tumors is not None
    has_map = False
    for number, case in enumerate(paths, start=1):
        if progress is not None:
            progress(number, case.name)
        loaded = load_case(case, scheme)
        cases.append(_score(case, loaded, scheme, tolerance_mm, also))
        if tumors is not None and case.liver_only and scheme.needs_tumors(tumors):
            continue
        has_map = has_map or case.probability is not None
        if with_region and (case.probability is not None or case.prediction is None):
            froc, found, reliability = _of_probabilities(case, loaded, scheme)
            curves.append(froc)
            detections.append(found)
            if reliability is not None:
                reliabilities.append(reliability)
        else:
            without_map += 1
    return Evaluation(
        model,
        scheme,
        tuple(cases),
        tuple(paths),
        summarise(cases, scheme),
        froc_curve(curves, without_map) if with_region and has_map else None,
        lesion_confidence(detections) if with_region and has_map else None,
        reliability_curve(reliabilities) if reliabilities else None,
        tuple(unused or ()),
        tolerance_mm,
    )


def _score(
    case: CasePaths, loaded: LoadedCase, scheme: Scheme, tolerance_mm: float, also: Collection[str]
) -> CaseScores:
    files = {"reference": str(case.reference)}
    if case.prediction is not None:
        files["prediction"] = str(case.prediction)
    return score_case(
        case.name,
        loaded.reference,
        loaded.prediction,
        loaded.spacing_mm,
        scheme,
        tolerance_mm,
        loaded.axial_axis,
        files,
        _notes(loaded, scheme, case.liver_only),
        also,
        case.liver_only,
    )


def _notes(loaded: LoadedCase, scheme: Scheme, liver_only: bool) -> tuple[str, ...]:
    notes = []
    unjudged = [region.name for region in scheme.regions if liver_only and scheme.needs_tumors(region)]
    if unjudged:
        notes.append(f"only the liver was annotated: not in the figures of {', '.join(unjudged)}")
    if loaded.prediction is None:
        notes.append("no prediction: counted as a total miss")
    elif not loaded.prediction.any():
        notes.append("the prediction is empty")
    if scheme.ignore is not None:
        unknown = sum(int(np.count_nonzero(part == scheme.ignore)) for part in loaded.reference)
        if unknown:
            volume_ml = unknown * float(np.prod(loaded.spacing_mm)) / 1000.0
            notes.append(f"{volume_ml:.1f} ml of the reference is marked unknown and left out")
            notes += _unjudged(loaded, scheme)
        if loaded.prediction is not None and any((part == scheme.ignore).any() for part in loaded.prediction):
            notes.append(f"the prediction holds the value {scheme.ignore}, counted as background")
    return tuple(notes)


def _unjudged(loaded: LoadedCase, scheme: Scheme) -> list[str]:
    """Return a note for each region whose surface figures leave out much of its boundary: rims of unknown voxels."""
    ignored = loaded.reference == scheme.ignore
    notes = []
    for region in scheme.regions:
        share = unjudged_boundary(region.mask(loaded.reference), ignored)
        if share > MOST_UNJUDGED:
            notes.append(
                f"{share:.0%} of the boundary of {region.name} touches unknown voxels and is not judged: its surface "
                "figures are of the rest, do not compare them with those of full labels"
            )
    return notes


def _of_probabilities(
    case: CasePaths, loaded: LoadedCase, scheme: Scheme
) -> tuple[CaseFroc, CaseDetections, CaseReliability | None]:
    """Return what the kept probabilities of a case say; without any nothing is found at any threshold."""
    reference = scheme.region(PROBABILITY_REGION).mask(loaded.reference)
    ignored = loaded.reference == scheme.ignore if scheme.ignore is not None else None
    if ignored is not None and not ignored.any():
        ignored = None
    patient = case.patient or case.name
    if case.probability is None:
        froc = case_froc(case.name, reference, ignored, None, (0, 0, 0), loaded.spacing_mm)
        found = case_detections(case.name, patient, reference, ignored, None, (0, 0, 0), loaded.spacing_mm)
        return froc, found, None
    image = sitk.ReadImage(str(case.probability))
    probability, start = on_grid(image, loaded.grid, f"Case {case.name}, {case.probability.name}")
    froc = case_froc(case.name, reference, ignored, probability, start, loaded.spacing_mm)
    found = case_detections(case.name, patient, reference, ignored, probability, start, loaded.spacing_mm)
    return froc, found, case_reliability(case.name, reference, ignored, probability, start)
