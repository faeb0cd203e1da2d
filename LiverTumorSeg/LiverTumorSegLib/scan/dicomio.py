"""DICOM series: found in a folder, ordered by position, read as one volume with a rectangular grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import Floats
from .dicomstack import stack_slices
from .itk import itk_warnings_off

_TAGS = {
    "sop_class": "0008|0016",
    "sop_uid": "0008|0018",
    "image_type": "0008|0008",
    "modality": "0008|0060",
    "description": "0008|103e",
    "series_uid": "0020|000e",
    "series_number": "0020|0011",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "pixel_spacing": "0028|0030",
}
# Objects that hold no scan: segmentations, contours, reports, presentation states, key images, registrations, plans.
_NO_SCAN = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC", "OT", "AU", "ECG"})
_UNREADABLE = "unreadable DICOM files"
# Storage classes of CT and MR images, old and enhanced; reports and contours are no images and cannot be read either.
_IMAGE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{n}\0".encode() for n in ("2", "2.1", "4", "4.1"))


@dataclass(frozen=True)
class Slice:
    """One DICOM image file: where it lies and what it belongs to (positions in LPS mm)."""

    path: Path
    sop_uid: str
    series_uid: str
    series_number: int
    modality: str
    description: str
    localizer: bool
    size: tuple[int, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]

    @property
    def geometry(self) -> tuple[object, ...]:
        """What slices of one stack share."""
        return (
            self.size,
            tuple(round(v, 3) for v in self.orientation),
            tuple(round(v, 4) for v in self.pixel_spacing),
        )

    def height(self, normal: Floats) -> float:
        """Return the position along a slice normal in mm."""
        return float(np.dot(self.position, normal))


@dataclass(frozen=True)
class Series:
    """One stack of parallel slices of a DICOM series.

    Attributes
    ----------
    uid : str
        Series instance UID.
    number : int
        Series number; 0 when there is none.
    modality, description : str
        As in the files.
    slices : tuple of Slice
        Ordered by position along the slice normal, so that the grid is right-handed.
    left_out : int
        Images of the series that are no part of the stack (scouts, other orientation or size).
    damaged : tuple of Path
        Files that belong to the series but cannot be read.
    """

    uid: str
    number: int
    modality: str
    description: str
    slices: tuple[Slice, ...]
    left_out: int = 0
    damaged: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in slice order."""
        return tuple(s.path for s in self.slices)

    def __str__(self) -> str:
        named = f" '{self.description}'" if self.description else ""
        return f"{self.modality}{named}, {len(self.slices)} slices, UID {self.uid}"


def is_dicom(path: Path) -> bool:
    """Tell by its preamble, or by its name, whether a file is DICOM."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"


def find_series(folder: Path, recursive: bool = True) -> tuple[Series, ...]:
    """Return the image series of a folder, ordered by series number and UID.

    Raises
    ------
    InputError
        When there is no DICOM image series.
    """
    slices: list[Slice] = []
    others: set[str] = set()
    damaged: list[Path] = []
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        if not path.is_file() or path.name == "DICOMDIR" or not is_dicom(path):
            continue
        found = _read_slice(path)
        if isinstance(found, Slice):
            slices.append(found)
        else:
            others.add(found)
            if found == _UNREADABLE:
                damaged.append(path)
    if not slices:
        held = f" It holds {', '.join(sorted(others))}." if others else ""
        raise InputError(
            f"{folder} holds no DICOM image series.{held} Give a folder with the slices of a CT, or an image file."
        )
    by_uid: dict[str, list[Slice]] = {}
    for item in slices:
        by_uid.setdefault(item.series_uid, []).append(item)
    series = [replace(_largest_stack(m), damaged=_of_series(damaged, uid)) for uid, m in by_uid.items()]
    return tuple(sorted(series, key=lambda s: (s.number, s.uid)))


def choose_series(
    found: tuple[Series, ...], folder: Path, wanted: str | None = None
) -> tuple[Series, tuple[Finding, ...]]:
    """Return the wanted series, or the CT series with most slices, and a finding that names the choice.

    Parameters
    ----------
    found : tuple of Series
        From ``find_series``.
    folder : Path
        Named in messages.
    wanted : str, optional
        Series instance UID, or the number in the list that messages show (from 1).
    """
    listed = "; ".join(f"{n}: {s}" for n, s in enumerate(found, start=1))
    if wanted is not None:
        for number, series in enumerate(found, start=1):
            if wanted.strip() in {series.uid, str(number)}:
                return series, ()
        raise InputError(f"{folder} holds no series '{wanted}'. It holds {listed}.")
    if len(found) == 1:
        return found[0], ()
    # max keeps the first of equals, so the choice does not depend on file names.
    chosen = max(found, key=lambda s: (s.modality == "CT", len(s.slices)))
    number = found.index(chosen) + 1
    message = f"{folder} holds {len(found)} series; taken: {number}. To take another give its number or UID: {listed}."
    return chosen, (Finding("series_chosen", "info", message),)


def series_of(found: tuple[Series, ...], path: Path) -> Series:
    """Return the series that a file belongs to."""
    target = _read_slice(path)
    for series in found:
        if isinstance(target, Slice) and series.uid == target.series_uid:
            return series
    held = target if isinstance(target, str) else "no image"
    raise InputError(f"{path} is a DICOM file but no slice of a scan (found: {held}). Give a slice of a CT series.")


def read_series(series: Series) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read a series as one volume; see ``stack_slices`` for what is put right and what is refused."""
    if series.damaged:
        raise InputError(
            f"{series.damaged[0]} is incomplete, damaged or in an unknown encoding, and the series needs it. "
            "Copy the series again."
        )
    findings: tuple[Finding, ...] = ()
    if series.left_out:
        message = f"{series.left_out} images of the series have another orientation or size and were left out."
        findings = (Finding("series_left_out", "info", message),)
    image, more = stack_slices(
        series.files,
        np.array([s.position for s in series.slices]),
        series.slices[0].orientation,
        series.slices[0].pixel_spacing,
    )
    return image, findings + more


def _read_slice(path: Path) -> Slice | str:
    """Return a slice, or the modality of a DICOM file that is no slice of a scan."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.SetFileName(str(path))
        with itk_warnings_off():
            reader.ReadImageInformation()
    except (RuntimeError, UnicodeError):
        return _UNREADABLE
    tags = {name: reader.GetMetaData(tag).strip() for name, tag in _TAGS.items() if reader.HasMetaDataKey(tag)}
    modality = tags.get("modality", "")
    position, orientation = _numbers(tags.get("position")), _numbers(tags.get("orientation"))
    spacing = _numbers(tags.get("pixel_spacing"))
    if modality in _NO_SCAN:
        return f"{modality} objects"
    if reader.GetSize()[2] > 1:
        return f"multi-frame {modality} objects, which must be converted to one file a slice"
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2:
        return f"{modality or 'unnamed'} images without a position in the patient"
    number = tags.get("series_number", "")
    return Slice(
        path=path,
        sop_uid=tags.get("sop_uid", ""),
        series_uid=tags.get("series_uid", ""),
        series_number=int(number) if number.lstrip("-").isdigit() else 0,
        modality=modality,
        description=tags.get("description", ""),
        localizer="LOCALIZER" in tags.get("image_type", "").upper(),
        size=tuple(reader.GetSize()),
        position=position,
        orientation=orientation,
        pixel_spacing=spacing,
    )


def _of_series(damaged: list[Path], uid: str) -> tuple[Path, ...]:
    """Return those of the unreadable files that are images of a series."""
    found = []
    for path in damaged:
        raw = path.read_bytes()
        if uid.encode() in raw and any(name in raw[:1024] for name in _IMAGE_CLASSES):
            found.append(path)
    return tuple(found)


def _numbers(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split("\\")) if text else ()
    except ValueError:
        return ()


def _largest_stack(members: list[Slice]) -> Series:
    """Return the largest set of parallel slices of one series, each file of an image once, ordered by position."""
    scans = [m for m in members if not m.localizer] or members
    stacks: dict[tuple[object, ...], dict[str, Slice]] = {}
    for item in scans:
        stacks.setdefault(item.geometry, {}).setdefault(item.sop_uid or str(item.path), item)
    stack = list(max(stacks.values(), key=len).values())
    orientation = np.asarray(stack[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    stack.sort(key=lambda s: (s.height(normal), s.sop_uid))
    first = stack[0]
    distinct = len({m.sop_uid or str(m.path) for m in members})
    return Series(
        first.series_uid, first.series_number, first.modality, first.description, tuple(stack), distinct - len(stack)
    )
