"""Read one case: an image file, a DICOM folder or one file of a DICOM series."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError, readable
from ..findings import Finding
from .dicomheader import is_dicom
from .dicomseries import Series, find_series
from .dicomstack import stack_slices
from .headers import SUFFIXES, read_header
from .serieschoice import SeriesRecord, choose_series, records, series_of
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
        The slices in order (or the files of many frames), empty for other formats.
    series : tuple of SeriesRecord
        The DICOM series that were there, the one taken among them; empty for other formats.
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
    series: tuple[SeriesRecord, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_case(path: Path | str, series: str | None = None) -> CaseImage:
    """Read a case from an image file, a DICOM folder (searched with its subfolders) or one file of a DICOM series.

    Parameters
    ----------
    path : Path or str
        NIfTI, NRRD, MetaImage, DICOM folder, DICOMDIR (its folder) or DICOM file.
    series : str, optional
        Series instance UID, or the number of the series as an earlier message listed them. Without it the likeliest
        scan is taken (``choose_series``; of a DICOM file the series it belongs to), and a finding says so.

    Raises
    ------
    InputError
        One sentence: what is wrong, where, what to do.
    """
    if not str(path).strip():
        raise InputError("The path of the scan is empty. Give a file or a folder.")
    path = Path(path)
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        if path.is_dir() or path.name.upper() == "DICOMDIR":
            return _read_dicom(path, series)
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
    name = path.resolve().parent.name if path.name.upper() == "DICOMDIR" else readable(path.name)
    while ending := next((s for s in SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), None):
        name = name[: -len(ending)]
    return name


def case_names(paths: Sequence[Path | str]) -> tuple[str, ...]:
    """Return a name for each case; those called alike are named after their parent folders too (``pat1_CT``).

    Names, and folders, that differ in case only are alike: on many disks they are one.
    """
    names = [case_name(path) for path in paths]
    above = [[readable(folder.name) for folder in Path(path).resolve().parents] for path in paths]
    for _ in paths:
        before = list(names)
        for members in _alike(names):
            levels = zip(*(above[index] for index in members), strict=False)
            telling = next((level for level in levels if len({folder.lower() for folder in level}) > 1), None)
            for index, folder in zip(members, telling or (), strict=False):
                names[index] = f"{folder}_{names[index]}"
        if names == before:
            break
    return tuple(names)


def _alike(names: Sequence[str]) -> list[list[int]]:
    """Return the places of the names, those of equal ones together."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name.lower(), []).append(index)
    return list(groups.values())


def input_sha256(path: Path | str, series: str | None = None) -> str:
    """Return the `sha256` that `read_case` gives for a path, without decoding a voxel.

    Raises
    ------
    InputError, OSError
        When the scan is not there or cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.name.upper() != "DICOMDIR" and not is_dicom(path):
        return sha256_of([path])
    return sha256_of(map(str, _chosen_series(path, series)[1].files))


def sha256_of(files: Iterable[Path | str]) -> str:
    """Return the SHA-256 (hexadecimal) of files one after the other, read in pieces."""
    digest = hashlib.sha256()
    for name in files:
        with Path(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _read_dicom(path: Path, wanted: str | None) -> CaseImage:
    found, chosen, findings = _chosen_series(path, wanted)
    if chosen.damaged:
        raise InputError(
            f"{chosen.damaged[0]} is incomplete, damaged or in an unknown encoding, and the series needs it. "
            "Copy the series again."
        )
    image, more = stack_slices(chosen.slices)
    files = tuple(str(file) for file in chosen.files)
    return CaseImage(
        image=image,
        name=case_name(path),
        path=path,
        sha256=sha256_of(files),
        modality=chosen.first.modality,
        dicom_files=files,
        series=records(found, chosen),
        findings=(*findings, *_left_out(chosen), *more),
    )


def _chosen_series(path: Path, wanted: str | None) -> tuple[tuple[Series, ...], Series, tuple[Finding, ...]]:
    """Return all series that a path stands for, the one to read, and what is to be said of the choice."""
    whole = path.is_dir() or path.name.upper() == "DICOMDIR"
    found = find_series(path if path.is_dir() else path.parent, recursive=whole)
    chosen, findings = choose_series(found, path, wanted) if whole or wanted else (series_of(found, path), ())
    return found, chosen, findings


def _left_out(series: Series) -> tuple[Finding, ...]:
    findings = []
    scouts = [s for s in series.left_out if s.localizer]
    others = [str(s.instance) for s in series.left_out if not s.localizer]
    if scouts:
        findings.append(Finding("localizers_left_out", "info", f"{len(scouts)} scouts of the series were left out."))
    if others:
        message = (
            f"{len(others)} images of the series have another orientation, size or acquisition and were left out: "
            f"number {', '.join(others[:20])}{', ...' if len(others) > 20 else ''}."
        )
        findings.append(Finding("series_left_out", "warning", message))
    if series.copies:
        message = f"{series.copies} images of the series were there twice, with equal values; each was taken once."
        findings.append(Finding("series_copies", "warning", message))
    return tuple(findings)
