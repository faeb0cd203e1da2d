"""One labelled scan of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.channels import IMAGE_SUFFIXES
from LiverTumorSegLib.scan.headers import read_header
from LiverTumorSegLib.scan.niftifile import NiftiHeader

LABEL_SUFFIXES = (".seg.nrrd", *IMAGE_SUFFIXES)
HEADER_SUFFIXES = (".hdr", ".hdr.gz", ".nhdr", ".mhd")
"""Headers whose voxels lie in another file."""


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
    """Return the files that a path of a case stands for.

    Of a study's folder all files below; of a header the file with its voxels too; else the file itself.
    """
    if path.is_dir():
        return sorted(below for below in path.rglob("*") if below.is_file())
    if not path.name.lower().endswith(HEADER_SUFFIXES):
        return [path]
    try:
        header = read_header(path).own
        voxels = header.voxel_file if isinstance(header, NiftiHeader) else header.data_file(path)
    except (InputError, OSError):
        return [path]
    return [path] if voxels is None else [path, voxels]


def without_suffix(path: Path) -> str:
    """Return the file name without a known image or label suffix."""
    for suffix in LABEL_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
