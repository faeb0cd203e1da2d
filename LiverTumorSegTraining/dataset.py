"""Which cases a data set holds and how they are split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegTraining.config import DataConfig


@dataclass(frozen=True)
class Case:
    """One labelled scan: `patient` is the unit of every split."""

    name: str
    patient: str
    image: Path
    label: Path


def find_cases(root: Path, data: DataConfig) -> list[Case]:
    """Return the cases of a folder with NAME.nii.gz and NAME_label.nii.gz, in the order of their names.

    Raises
    ------
    InputError
        If there are none.
    """
    cases = []
    for label in sorted(Path(root).glob("*_label.nii.gz")):
        name = label.name.removesuffix("_label.nii.gz")
        image = label.with_name(f"{name}.nii.gz")
        if image.exists() and name not in data.exclude:
            cases.append(Case(name, name.split("_")[0], image, label))
    if not cases:
        raise InputError(f"{root} holds no pair NAME.nii.gz + NAME_label.nii.gz: name the folder that holds the scans.")
    return cases


def split(cases: list[Case], data: DataConfig) -> tuple[list[Case], list[Case]]:
    """Return the training and the validation cases; no patient is in both."""
    held_out = set(data.validation)
    unknown = held_out - {case.patient for case in cases}
    if unknown:
        raise InputError(f"data.validation names patients that the data set does not hold: {', '.join(sorted(unknown))}.")
    return [c for c in cases if c.patient not in held_out], [c for c in cases if c.patient in held_out]
