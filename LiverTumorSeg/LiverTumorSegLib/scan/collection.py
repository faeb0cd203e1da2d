"""A folder of many scans: image files, case folders, or DICOM studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .channels import LABEL_WORDS, channel_file, images_in, words_of
from .dicomheader import is_dicom, quiet_pydicom


def scans_in(folder: Path, channels: Sequence[str]) -> list[Path] | None:
    """Return the scans of a folder that holds several, by name; None for what is one scan itself.

    Parameters
    ----------
    folder : Path
        One scan is: a file, a folder of DICOM files or of one study, and for a model of several channels a folder with
        a file for each. Labels and segmentations among the images are left out.
    channels : sequence of str
        The model's.
    """
    if not folder.is_dir():
        return None
    files = [path for path in images_in(folder) if not _is_label(path)]
    if files:
        whole = len(channels) > 1 and all(channel_file(files, channel) is not None for channel in channels)
        return None if whole else files
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    found: list[Path] = []
    studies: list[tuple[str, Path]] = []
    for path in below:
        inner = scans_in(path, channels)
        if inner is not None:
            found += inner
        elif images_in(path):
            found.append(path)
        else:
            study = study_of(path)
            studies += [(study, path)] if study else []
    if len({study for study, _ in studies}) < 2 and not found:
        # The folders are the series of one study: one of them is chosen, as for a study given by itself.
        return None
    return sorted([*found, *(path for _, path in studies)])


def study_of(folder: Path) -> str | None:
    """Return the study instance UID of the first DICOM file of a folder; None when there is none."""
    first = next((path for path in sorted(folder.rglob("*")) if path.is_file() and is_dicom(path)), None)
    if first is None:
        return None
    with quiet_pydicom() as pydicom:
        header = pydicom.dcmread(first, stop_before_pixels=True, specific_tags=["StudyInstanceUID"], force=True)
    return str(header.get("StudyInstanceUID", "")) or str(folder)


def _is_label(path: Path) -> bool:
    return path.name.lower().endswith(".seg.nrrd") or bool(words_of(path) & LABEL_WORDS)
