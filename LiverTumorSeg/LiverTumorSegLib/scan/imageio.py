"""Read one case: an image file, a DICOM folder or one file of a DICOM series."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError, readable
from ..findings import Finding
from .dicomio import choose_series, find_series, is_dicom, read_series, series_of
from .headers import SUFFIXES, read_header
from .textheader import TextHeader
from .volumefile import read_volume

_CHUNK = 1 << 20


@dataclass(frozen=True)
class CaseImage:
    """One image to segment.

    Attributes
    ----------
    image : sitk.Image
        3D, in patient coordinates (LPS, mm), axes at right angles.
    name : str
        File or folder name without suffixes: the stem of every result file.
    path : Path
        What the user gave.
    sha256 : str
        Of the file; of a DICOM series: of its files one after the other, in slice order.
    modality : str or None
        DICOM modality; None for other formats.
    dicom_files : tuple of str
        The slices in order, empty for other formats.
    findings : tuple of Finding
        What reading had to decide or put right (which series, gantry tilt, contradicting header); to be shown and
        passed to ``refuse`` together with those of ``check_image``.
    """

    image: sitk.Image
    name: str
    path: Path
    sha256: str
    modality: str | None = None
    dicom_files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_case(path: Path | str, series: str | None = None) -> CaseImage:
    """Read a case from an image file, a DICOM folder (searched with its subfolders) or one file of a DICOM series.

    Parameters
    ----------
    path : Path or str
        NIfTI, NRRD, MetaImage, DICOM folder or DICOM file.
    series : str, optional
        Series instance UID, or the number of the series as an earlier message listed them. Without it the CT series
        with most slices is taken (a DICOM file: the series it belongs to), and a finding says so.

    Raises
    ------
    InputError
        One sentence: what is wrong, where, what to do.
    """
    if not str(path).strip():
        raise InputError("The path of the scan is empty. Give a file or a folder.")
    path = Path(path)
    try:
        if path.is_dir():
            return _read_dicom(path, series)
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        if is_dicom(path):
            return _read_dicom(path, series)
        if series is not None:
            raise InputError(f"{path} is not DICOM, so it has no series to choose. Leave --series out.")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes). Copy or export it again.")
        header = read_header(path)
        if isinstance(header.own, TextHeader) and header.own.is_segmentation:
            raise InputError(f"{path} is a segmentation, not a scan. Give the CT that it was drawn on.")
        image, findings = read_volume(path, header)
        return CaseImage(image, case_name(path), path, sha256_of([path]), findings=findings)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path} cannot be read: {reason}.") from error


def case_name(path: Path | str) -> str:
    """Return the file or folder name without the suffixes of image formats (``a.seg.nrrd`` -> ``a``)."""
    path = Path(path)
    if path.name in {"", ".."}:
        path = path.resolve()
    name = path.resolve().parent.name if path.name == "DICOMDIR" else readable(path.name)
    while ending := next((s for s in SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), None):
        name = name[: -len(ending)]
    return name


def case_names(paths: Sequence[Path | str]) -> tuple[str, ...]:
    """Return a name for each case; those called alike are named after their parent folders too (``pat1_CT``)."""
    names = [case_name(path) for path in paths]
    above = [[readable(folder.name) for folder in Path(path).resolve().parents] for path in paths]
    changed = True
    while changed:
        changed = False
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            groups.setdefault(name.lower(), []).append(index)
        for members in groups.values():
            levels = zip(*(above[index] for index in members), strict=False)
            for level in levels:
                if len(set(level)) > 1:
                    for index, folder in zip(members, level, strict=True):
                        names[index] = f"{folder}_{names[index]}"
                    changed = True
                    break
    return tuple(names)


def sha256_of(files: Iterable[Path | str]) -> str:
    """Return the SHA-256 (hexadecimal) of files one after the other, read in pieces."""
    digest = hashlib.sha256()
    for name in files:
        with Path(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _read_dicom(path: Path, wanted: str | None) -> CaseImage:
    found = find_series(path if path.is_dir() else path.parent, recursive=path.is_dir())
    if path.is_dir() or wanted is not None:
        chosen, findings = choose_series(found, path, wanted)
    else:
        chosen, findings = series_of(found, path), ()
    image, more = read_series(chosen)
    files = tuple(str(file) for file in chosen.files)
    return CaseImage(
        image=image,
        name=case_name(path),
        path=path,
        sha256=sha256_of(files),
        modality=chosen.modality,
        dicom_files=files,
        findings=(*findings, *more),
    )
