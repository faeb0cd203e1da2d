"""Which cases a data set holds, which of them are used, and how they are split."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType

from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.layouts import brats, lits, msd, nnunet, pairs, studies, table
from LiverTumorSegTraining.data.patients import with_patients
from LiverTumorSegTraining.data.splits import read_splits, split_by_file
from LiverTumorSegTraining.recipe.config import DataConfig

LAYOUTS: dict[str, ModuleType] = {
    "csv": table,
    "nnunet": nnunet,
    "msd": msd,
    "lits": lits,
    "brats": brats,
    "pairs": pairs,
    "dicom": studies,
}
"""In the order in which `auto` tries them."""


def list_cases(root: Path, data: DataConfig) -> list[Case]:
    """Return every case of a data set, also those without annotation.

    Raises
    ------
    InputError
        If there is no such data set, it has no known layout, or it holds no case.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"There is no data set {root}: give a folder or a CSV file with --data.")
    name: str = data.layout
    if name == "auto":
        if root.is_file() and not table.matches(root):
            raise InputError(f"{root} is a file, but no CSV: give a folder or a CSV of paths.")
        candidates = ["csv"] if root.is_file() else [key for key in LAYOUTS if key != "csv"]
        name = next((key for key in candidates if LAYOUTS[key].matches(root)), "")
    if not name:
        raise InputError(
            f"{root} has no layout that is understood: NAME.nii.gz + NAME_label.nii.gz, MSD (dataset.json), "
            "LiTS (volume-N.nii), BraTS folders, nnU-Net raw, DICOM studies with RTSTRUCT or SEG, or a CSV of paths."
        )
    cases = LAYOUTS[name].find(root, data.channels)
    if not cases:
        raise InputError(f"{root} holds no case of the layout {name}: check data.layout and the folder.")
    if data.splits is not None:
        patients = read_splits(data.splits).patients
        cases = [dataclasses.replace(case, patient=patients.get(case.name, case.patient)) for case in cases]
    return with_patients(cases, data)


def find_cases(root: Path, data: DataConfig, tell: Callable[[str], None] | None = None) -> list[Case]:
    """Return the cases to use, in the order of the data set.

    Cases and patients of `data.exclude` are left out; cases without annotation are treated as `data.missing_labels`
    says.

    Parameters
    ----------
    root : Path
        The data set.
    data : DataConfig
        The recipe's section.
    tell : callable
        Told one sentence for what is left out.

    Raises
    ------
    InputError
        If none is left, one has no annotation and `data.missing_labels` is "refuse", or `data.incomplete` or
        `data.exclude` names what the data set does not hold.
    """
    listed = list_cases(root, data)
    names = {case.name for case in listed}
    strangers = sorted(set(data.incomplete) - names)
    if strangers:
        raise InputError(f"data.incomplete names cases that the data set does not hold: {', '.join(strangers)}.")
    excluded = set(data.exclude)
    strangers = sorted(excluded - names - {case.patient for case in listed})
    if strangers:
        raise InputError(
            f"data.exclude names cases or patients that the data set does not hold: {', '.join(strangers)}."
        )
    cases, left_out = [], []
    for case in listed:
        if excluded & {case.name, case.patient}:
            continue
        incomplete = case.liver_only or case.name in data.incomplete
        if case.label is None or (incomplete and data.missing_labels != "liver_only"):
            left_out.append(case.name)
        else:
            cases.append(dataclasses.replace(case, liver_only=incomplete))
    if left_out and data.missing_labels == "refuse":
        raise InputError(
            f"No complete annotation: {', '.join(left_out)}. Annotate them or set data.missing_labels: exclude."
        )
    if left_out and tell is not None:
        tell(f"Left out for want of an annotation: {', '.join(left_out)}.")
    if not cases:
        raise InputError(f"{root} holds no annotated case: name the folder that holds scans and labels.")
    return cases


def split(
    cases: list[Case],
    data: DataConfig,
    burden: Callable[[Case], float] | None = None,
    left_out: Collection[str] = (),
) -> tuple[list[Case], list[Case]]:
    """Return the training and the validation cases; no patient is in both.

    Parameters
    ----------
    cases : list of Case
        All cases.
    data : DataConfig
        `splits` names a file, or `validation` patients, or `folds` and `fold` choose one part, or
        `validation_fraction` a share.
    burden : callable
        Tumour volume of a case, by which folds are stratified.
    left_out : collection of str
        Cases of the data set that are not used: a splits file may name them.
    """
    if data.splits is not None:
        training, validation, _ = split_by_file(cases, data.splits, data.fold, left_out)
        return training, validation
    held_out = set(data.validation)
    patients = {case.patient for case in cases}
    unknown = held_out - patients
    if unknown:
        raise InputError(
            f"data.validation names patients that the data set does not hold: {', '.join(sorted(unknown))}."
        )
    if data.folds > 1:
        held_out = fold_patients(cases, data.folds, burden)[data.fold]
    elif not held_out and data.validation_fraction:
        count = max(round(len(patients) * data.validation_fraction), 1)
        held_out = set(sorted(patients, key=_shuffled)[:count])
    training = [case for case in cases if case.patient not in held_out]
    if not training:
        raise InputError("Every patient is held out for validation: none is left to train on.")
    return training, [case for case in cases if case.patient in held_out]


def fold_patients(cases: list[Case], folds: int, burden: Callable[[Case], float] | None = None) -> list[set[str]]:
    """Return the patients of each fold, of similar tumour burden.

    Patients are sorted by tumour volume and dealt in rounds of `folds`, each round in an order of its own. Folds that
    the data set assigns itself are kept.
    """
    assigned = _assigned_folds(cases)
    volumes: dict[str, float] = {}
    for case in cases:
        volumes[case.patient] = max(volumes.get(case.patient, 0.0), burden(case) if burden is not None else 0.0)
    if len(volumes) < folds:
        raise InputError(f"{folds} folds need at least {folds} patients; the data set holds {len(volumes)}.")
    parts: list[set[str]] = [set() for _ in range(folds)]
    ordered = sorted(volumes, key=lambda patient: (volumes[patient], _shuffled(patient)))
    for start in range(0, len(ordered), folds):
        for number, patient in enumerate(sorted(ordered[start : start + folds], key=_shuffled)):
            # Rounds start at different folds, so that an incomplete last round does not always favour the first.
            parts[(number + start // folds) % folds].add(patient)
    for patient, fold in assigned.items():
        if fold >= folds:
            raise InputError(
                f"The data set assigns patient {patient} to fold {fold}, but there are {folds} folds, from 0."
            )
        for part in parts:
            part.discard(patient)
        parts[fold].add(patient)
    empty = [str(number) for number, part in enumerate(parts) if not part]
    if empty:
        raise InputError(
            f"The data set's column fold leaves nobody to hold out in fold {', '.join(empty)} of {folds}, counted "
            "from 0: give as many folds as it fills."
        )
    return parts


def _assigned_folds(cases: list[Case]) -> dict[str, int]:
    """Return the folds that the data set itself assigns to patients."""
    assigned: dict[str, int] = {}
    for case in cases:
        if case.fold is not None and assigned.setdefault(case.patient, case.fold) != case.fold:
            raise InputError(
                f"The data set assigns patient {case.patient} to the folds {assigned[case.patient]} and {case.fold}: "
                "one patient belongs to one fold, so correct the column fold."
            )
    return assigned


def _shuffled(patient: str) -> str:
    """Return a key that orders patients in a way that depends on nothing but their names."""
    return hashlib.sha256(patient.encode()).hexdigest()
