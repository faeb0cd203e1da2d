"""Splits in a file: nnU-Net's splits_final.json, read and written; optionally with the patients of the cases."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.jsonfile import write_json

from LiverTumorSegTraining.data.case import Case

FILE = "splits_final.json"


@dataclass(frozen=True)
class Splits:
    """Case names to train on and held out, a pair for each fold, and the patients that the file itself names."""

    folds: tuple[tuple[frozenset[str], frozenset[str]], ...]
    patients: dict[str, str]


def read_splits(path: Path) -> Splits:
    """Return the content of a splits file.

    Either nnU-Net's list `[{"train": [case, ...], "val": [...]}, ...]`, or
    `{"splits": [that list], "patients": {case: patient}}`.

    Raises
    ------
    InputError
        If it cannot be read or has another form.
    """
    try:
        content: Any = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"The splits file {path} cannot be read as JSON ({error}).") from error
    patients: dict[str, str] = {}
    if isinstance(content, dict):
        patients = {str(case): str(patient) for case, patient in content.get("patients", {}).items()}
        content = content.get("splits")
    try:
        folds = tuple((frozenset(map(str, fold["train"])), frozenset(map(str, fold["val"]))) for fold in content)
    except (TypeError, KeyError) as error:
        raise InputError(
            f"The splits file {path} must hold a list of folds, each with the case names train and val, as nnU-Net's "
            f"{FILE} does."
        ) from error
    if not folds:
        raise InputError(f"The splits file {path} holds no fold.")
    return Splits(folds, patients)


def split_by_file(
    cases: Sequence[Case], path: Path, fold: int, left_out: Collection[str] = ()
) -> tuple[list[Case], list[Case], list[str]]:
    """Return the training cases, the held-out cases and the names of those in neither.

    Parameters
    ----------
    cases : sequence of Case
        Those that are used.
    path : Path
        The splits file.
    fold : int
        Which of its folds.
    left_out : collection of str
        Cases of the data set that are not used: the file may name them.

    Raises
    ------
    InputError
        If the file has no such fold, names unknown cases, or puts one patient on both sides.
    """
    folds = read_splits(path).folds
    if fold >= len(folds):
        raise InputError(f"The splits file {path} has {len(folds)} folds, from 0; data.fold is {fold}.")
    train, held_out = folds[fold]
    by_name = {case.name: case for case in cases}
    strangers = sorted((train | held_out) - set(by_name) - set(left_out))
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        raise InputError(f"The splits file {path} names cases that the data set does not hold: {shown}.")
    training = [case for case in cases if case.name in train]
    validation = [case for case in cases if case.name in held_out]
    both = {case.patient for case in training} & {case.patient for case in validation}
    if both:
        patient = min(both)
        names = ", ".join(case.name for case in (*training, *validation) if case.patient == patient)
        raise InputError(
            f"The splits file {path} has patient {patient} on both sides ({names}): correct it, or say with "
            "data.patient_pattern who belongs together."
        )
    if not training:
        raise InputError(f"Fold {fold} of the splits file {path} trains on no case.")
    return training, validation, sorted(set(by_name) - train - held_out)


def write_splits(folder: Path, folds: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Path:
    """Write the case names of each fold (training, held out) as nnU-Net's splits_final.json; return its path."""
    path = folder / FILE
    write_json(path, [{"train": sorted(train), "val": sorted(held_out)} for train, held_out in folds], indent=4)
    return path
