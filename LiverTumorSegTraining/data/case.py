"""One labelled scan of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.scan.channels import IMAGE_SUFFIXES

LABEL_SUFFIXES = (".seg.nrrd", *IMAGE_SUFFIXES)


@dataclass(frozen=True)
class Case:
    """Where the files of one scan lie.

    Attributes
    ----------
    name : str
        Unique in the data set.
    patient : str
        The unit of every split; empty when the layout does not tell it.
    images : tuple of Path
        One file for each channel, or one 4D file with all of them.
    label : Path or None
        None when the scan has no annotation.
    liver_only : bool
        Its tumours were not annotated: what is labelled liver may be liver or tumour.
    fold : int or None
        Fold that the data set itself assigns.
    """

    name: str
    patient: str
    images: tuple[Path, ...]
    label: Path | None
    liver_only: bool = False
    fold: int | None = None


def files_of(path: Path) -> list[Path]:
    """Return the files that a path of a case stands for: itself, or for the folder of a study all files below."""
    return sorted(below for below in path.rglob("*") if below.is_file()) if path.is_dir() else [path]


def without_suffix(path: Path) -> str:
    """Return the file name without a known image or label suffix."""
    for suffix in LABEL_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
