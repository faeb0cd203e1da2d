"""What one DICOM file says of its images, through pydicom; a slice a file, or one a frame of an Enhanced object."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, UsageError, readable
from ..grid import Floats
from .headers import image_format

UNREADABLE = "unreadable DICOM files"
# Objects that hold no scan: segmentations, contours, reports, presentation states, key images, registrations, plans.
NO_SCAN = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC", "OT", "AU", "ECG"})
_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "SeriesDescription", "PatientName", "PatientID"),
    *("SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient"),
    *("ImageOrientationPatient", "PixelSpacing", "SamplesPerPixel", "Rows", "Columns", "NumberOfFrames"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "SharedFunctionalGroupsSequence"),
    "PerFrameFunctionalGroupsSequence",
)
# Storage classes of CT and MR images, old and enhanced.
_IMAGE = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.[24](\.[0-9])?")
_FIRST_PIXEL_TAG = 0x7FE00008
_SAME_DIRECTION = 2e-3
_SAME_PIXEL = 1e-3


@dataclass(frozen=True)
class Slice:
    """One DICOM image: where it lies and what it belongs to.

    Attributes
    ----------
    path, frame : Path and int
        The file, and the frame in it (from 0; None for a file of one image).
    instance, series_number, acquisition : int
        As numbered in the file; 0 where it says nothing.
    size : tuple of int
        Columns, rows.
    position, orientation : tuple of float
        Centre of the first pixel in LPS mm; direction cosines along a row and down a column.
    pixel_spacing : tuple of float
        Distance between rows and between columns in mm, as DICOM orders them.
    rescale : (slope, intercept) or None
        Stored values to Hounsfield units; None where the file does not say.
    """

    path: Path
    frame: int | None
    sop_uid: str
    series_uid: str
    series_number: int
    instance: int
    acquisition: int
    modality: str
    description: str
    patient: str
    image_type: tuple[str, ...]
    rescale_type: str
    size: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]
    rescale: tuple[float, float] | None

    @property
    def identity(self) -> tuple[object, ...]:
        """What a copy of this file shares; careless anonymisers give one UID to all, so the place counts too."""
        return (self.sop_uid or str(self.path), self.frame, self.position)

    @property
    def normal(self) -> Floats:
        """The direction through the slice."""
        normal: Floats = np.cross(self.orientation[:3], self.orientation[3:])
        return normal

    @property
    def localizer(self) -> bool:
        """Whether this is a scout."""
        return "LOCALIZER" in self.image_type

    def lies_like(self, other: Slice) -> bool:
        """Tell whether two slices can belong to one stack: size, pixels and orientation, written a bit differently."""
        return (
            self.size == other.size
            and np.allclose(self.orientation, other.orientation, rtol=0.0, atol=_SAME_DIRECTION)
            and np.allclose(self.pixel_spacing, other.pixel_spacing, rtol=_SAME_PIXEL, atol=0.0)
        )


def is_dicom(path: Path) -> bool:
    """Tell by its preamble, its name, or a first element such as DICOM without a preamble has, if a file is DICOM."""
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM" or path.suffix.lower() in {".dcm", ".dicom", ".ima"}:
        return True
    if image_format(path) is not None or len(start) < 132 or start[:2] not in {b"\x02\0", b"\x08\0"}:
        return False
    element, length = (int.from_bytes(start[at : at + size], "little") for at, size in ((2, 2), (4, 4)))
    return element <= 0x0020 and (length <= 128 or start[4:6] in {b"UL", b"CS", b"UI", b"DA", b"OB", b"SH"})


@contextmanager
def quiet_pydicom() -> Iterator[Any]:
    """Give pydicom, without its warnings about values that break the standard.

    Raises
    ------
    UsageError
        It is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise UsageError("Reading DICOM needs the package pydicom: install it with 'pip install pydicom'.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pydicom


def read_slices(path: Path) -> list[Slice] | str:
    """Return the slices of a DICOM file, or in words what it is instead."""
    seen = [False]

    def at_pixels(tag: Any, vr: str | None, length: int) -> bool:
        seen[0] = seen[0] or tag >= _FIRST_PIXEL_TAG
        return bool(seen[0])

    with quiet_pydicom() as pydicom:
        try:
            with path.open("rb") as file:
                tags = [pydicom.tag.Tag(keyword) for keyword in _TAGS]
                dataset = pydicom.filereader.read_partial(file, at_pixels, force=True, specific_tags=tags)
            return _slices_of(path, dataset, has_pixels=seen[0])
        except OSError:
            raise
        except Exception:  # pydicom converts values late and raises whatever a damaged one provokes
            return UNREADABLE


def _slices_of(path: Path, dataset: Any, has_pixels: bool) -> list[Slice] | str:
    modality = _text(dataset, "Modality")
    sop_class = _text(dataset, "SOPClassUID")
    if modality in NO_SCAN:
        return f"{modality} objects"
    if not has_pixels or not dataset.get("Rows") or not dataset.get("Columns"):
        return UNREADABLE if _IMAGE.fullmatch(sop_class) else f"{modality or 'unnamed'} objects without an image"
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        return f"{modality or 'unnamed'} images in colour"
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1 and not groups:
        return f"multi-frame {modality} objects without positions of their frames"
    found = [_slice(path, None, dataset, [dataset])]
    if groups:
        shared = dataset.get("SharedFunctionalGroupsSequence") or []
        places = [[group, *shared[:1], dataset] for group in groups[:frames]]
        found = [_slice(path, n, dataset, place) for n, place in enumerate(places)]
    whole = [s for s in found if s is not None]
    if len(whole) < len(found):
        return f"{modality or 'unnamed'} images without a position in the patient"
    return whole


def _slice(path: Path, frame: int | None, dataset: Any, places: list[Any]) -> Slice | None:
    """Return a slice whose geometry stands in the first of some places that has it; None without a position."""

    def numbers(keyword: str, sequence: str, count: int) -> tuple[float, ...]:
        for place in places:
            inner = place if place is dataset else (place.get(sequence) or [None])[0]
            value = inner.get(keyword) if inner is not None else None
            if value not in (None, ""):
                given = tuple(float(v) for v in ([value] if count == 1 else value))
                return given if len(given) == count and all(map(math.isfinite, given)) else ()
        return ()

    position = numbers("ImagePositionPatient", "PlanePositionSequence", 3)
    orientation = numbers("ImageOrientationPatient", "PlaneOrientationSequence", 6)
    spacing = numbers("PixelSpacing", "PixelMeasuresSequence", 2)
    slope = numbers("RescaleSlope", "PixelValueTransformationSequence", 1)
    intercept = numbers("RescaleIntercept", "PixelValueTransformationSequence", 1)
    acquisition = numbers("FrameAcquisitionNumber", "FrameContentSequence", 1)
    if not position or not orientation or len(spacing) != 2 or min(spacing) <= 0.0:
        return None
    patient, identifier = _text(dataset, "PatientName"), _text(dataset, "PatientID")
    return Slice(
        path=path,
        frame=frame,
        sop_uid=_text(dataset, "SOPInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_whole(dataset, "SeriesNumber"),
        instance=_whole(dataset, "InstanceNumber") if frame is None else frame + 1,
        acquisition=int(acquisition[0]) if acquisition else _whole(dataset, "AcquisitionNumber"),
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        patient=f"{patient} ({identifier})" if identifier else patient,
        image_type=tuple(_text(dataset, "ImageType").upper().split("\\")),
        rescale_type=_text(dataset, "RescaleType").upper(),
        size=(int(dataset.Columns), int(dataset.Rows)),
        position=position,
        orientation=orientation,
        pixel_spacing=spacing,
        rescale=(slope[0], intercept[0]) if slope and intercept and slope[0] != 0.0 else None,
    )


def _text(dataset: Any, keyword: str) -> str:
    """Return a value as printable text in one line, decoded as the file says; what cannot be decoded is replaced."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    text = "\\".join(map(str, value)) if isinstance(value, MutableSequence) else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in readable(text)).split())


def _whole(dataset: Any, keyword: str) -> int:
    try:
        return int(dataset.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def require_slices(found: list[Slice] | str, path: Path) -> list[Slice]:
    """Return slices as they are; refuse a DICOM file that is none.

    Raises
    ------
    InputError
        Naming what it is instead.
    """
    if isinstance(found, str):
        raise InputError(
            f"{path} is a DICOM file but no slice of a scan (found: {found}). Give a slice of a CT series."
        )
    return found
