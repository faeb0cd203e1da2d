"""What the values of the labelmaps are called, and which regions follow from that when the user names none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.output.labelvalues import IGNORED_NAME
from LiverTumorSegLib.output.segfile import read_segmentation

from LiverTumorSegTraining.data.description import BRATS_LABELS, Description, brats_names, describe

from .pairing import SUFFIXES, CasePaths
from .regions import BRATS, LIVER_TUMOR, Region, Scheme

_LESION_WORDS = frozenset({"tumor", "lesion", "cyst", "metastasis", "metastase", "carcinoma", "nodule"})


def described_references(root: Path) -> Description | None:
    """Return what the data set of the references says of its labels: in its folder or, for labelsTr, above it."""
    found = describe(root)
    if found is None and root.is_dir() and root.name.lower().startswith("labels"):
        found = describe(root.parent)
    return found


def named_cases(cases: Sequence[CasePaths], description: Description | None) -> list[CasePaths]:
    """Return the cases with the names of the values in files that carry none themselves.

    Parameters
    ----------
    cases : sequence of CasePaths
        As they were paired.
    description : Description or None
        Of the references' data set.
    """
    truth = _value_by_name(description) if description is not None else {}
    named = [
        dataclasses.replace(case, reference_names=truth, prediction_names=_report_names(case.prediction))
        for case in cases
    ]
    if description is None or description.names is not BRATS_LABELS:
        return named
    # BraTS numbers enhancing tumour 4 up to 2022 and 3 from then on: the values of all cases together tell.
    truth = _brats_numbering(case.reference for case in named)
    guess = _brats_numbering(
        case.prediction for case in named if case.prediction is not None and not _carries_names(case)
    )
    return [
        dataclasses.replace(case, reference_names=truth, prediction_names=case.prediction_names or guess)
        for case in named
    ]


def scheme_of(cases: Sequence[CasePaths], description: Description | None) -> Scheme:
    """Return the regions that follow from the names of the references' values, else of the predictions'.

    Liver and tumour, BraTS, or one region for each name (liver with the tumour in it); region labels of a dataset.json
    as it gives them. Without any name it is liver and tumour.
    """
    if description is not None and description.regions:
        regions = [Region(name, values, _is_lesion(name)) for name, values in description.regions.items()]
        regions += [Region(name, (value,), _is_lesion(name)) for value, name in description.names.items()]
        return Scheme(tuple(regions), {canonical_name(name): value for value, name in description.names.items()})
    names = _names_in(cases, "reference") or _names_in(cases, "prediction")
    known = {canonical_name(name): value for name, value in names.items()} if names else {}
    known.pop(IGNORED_NAME, None)
    if not known or set(known) <= set(LIVER_TUMOR.names):
        return LIVER_TUMOR
    if set(known) <= set(BRATS.names):
        return BRATS
    regions = []
    for name, value in names.items():
        canonical = canonical_name(name)
        if canonical == IGNORED_NAME:
            continue
        whole = canonical == LIVER.name and TUMOR.name in known
        title = canonical if canonical in LIVER_TUMOR.names else name
        regions.append(Region(title, (value, known[TUMOR.name]) if whole else (value,), _is_lesion(name)))
    return Scheme(tuple(regions), known)


def _is_lesion(name: str) -> bool:
    return bool(set(canonical_name(name).split()) & _LESION_WORDS)


def _value_by_name(description: Description) -> dict[str, int]:
    named = {name: value for value, name in description.names.items()}
    return named if description.ignore is None else {**named, IGNORED_NAME: description.ignore}


def _names_in(cases: Sequence[CasePaths], side: str) -> dict[str, int]:
    for case in cases:
        path = case.reference if side == "reference" else case.prediction
        names: Mapping[str, int] = case.reference_names if side == "reference" else case.prediction_names
        if path is not None and path.name.lower().endswith(".seg.nrrd"):
            names = read_segmentation(path)[1] or names
        if names:
            return dict(names)
    return {}


def _carries_names(case: CasePaths) -> bool:
    assert case.prediction is not None  # asked only of cases with one
    return case.prediction.name.lower().endswith(".seg.nrrd") or bool(case.prediction_names)


def _report_names(prediction: Path | None) -> dict[str, int]:
    """Return {name: value} from the report that segment.py writes beside a labelmap; empty when there is none."""
    if prediction is None:
        return {}
    suffix = next((s for s in SUFFIXES if prediction.name.lower().endswith(s)), prediction.suffix)
    report = prediction.with_name(prediction.name[: -len(suffix)] + ".report.json")
    try:
        labels = json.loads(report.read_text(encoding="utf-8"))["labels"]
        return {str(name): int(value) for value, name in labels.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _brats_numbering(paths: Iterable[Path]) -> dict[str, int]:
    values: set[int] = set()
    for path in paths:
        values |= {int(v) for v in np.unique(sitk.GetArrayFromImage(read_segmentation(path)[0]))}
    if not values:
        return {}
    return {name: value for value, name in brats_names(values).items()}
