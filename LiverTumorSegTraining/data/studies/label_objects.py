"""The RTSTRUCT and DICOM SEG objects of a folder: what they were drawn on, and which structures they hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.dicomheader import is_dicom, quiet_pydicom

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_SEG = "1.2.840.10008.5.1.4.1.1.66.7"
_KINDS = {RTSTRUCT: "RTSTRUCT", SEG: "SEG", LABELMAP_SEG: "SEG"}
_BEGINNING = 4096
"""Bytes in which the storage class of a file stands; reading no more, thousands of slices are looked at in seconds."""
_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "FrameOfReferenceUID", "ReferencedSeriesSequence", "SegmentSequence"),
    *("ReferencedFrameOfReferenceSequence", "StructureSetROISequence", "StudyInstanceUID"),
)


@dataclass(frozen=True)
class LabelObject:
    """One RTSTRUCT or SEG.

    Attributes
    ----------
    path : Path
        The file.
    kind : {"RTSTRUCT", "SEG"}
        What it is.
    uid, study : str
        Its own and its study's UID.
    series : str
        UID of the image series it was drawn on; empty when it does not say.
    frame_of_reference : str
        UID of the coordinates it was drawn in; empty when it does not say.
    names : tuple of str
        Names of its structures as they stand in the file, in its order.
    """

    path: Path
    kind: str
    uid: str
    study: str
    series: str
    frame_of_reference: str
    names: tuple[str, ...]


def label_files(folder: Path) -> list[Path]:
    """Return the files of a folder and the folders below it that are RTSTRUCT or SEG, by name."""
    found = []
    for above, _, names in os.walk(folder):
        found += [path for name in names if _may_hold_labels(path := Path(above, name))]
    return sorted(found)


def label_objects(folder: Path) -> list[LabelObject]:
    """Return the RTSTRUCT and SEG objects of a folder and the folders below it, each once.

    Raises
    ------
    InputError
        If one is damaged.
    """
    found: dict[str, LabelObject] = {}
    for path in label_files(folder):
        one = read_object(path)
        if one is not None:
            found.setdefault(one.uid or str(path), one)
    return list(found.values())


def read_object(path: Path) -> LabelObject | None:
    """Return what a file holds; None when it is no RTSTRUCT or SEG.

    Raises
    ------
    InputError
        If it is damaged.
    """
    with quiet_pydicom() as pydicom:
        try:
            content = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
            kind = _KINDS.get(str(content.get("SOPClassUID", "")))
            return None if kind is None else _object(path, kind, content)
        except OSError:
            raise
        except Exception as error:  # pydicom converts values late and raises whatever a damaged one provokes
            raise InputError(f"{path} is damaged or incomplete: copy or export it again.") from error


def _may_hold_labels(path: Path) -> bool:
    try:
        if not is_dicom(path):
            return False
        with path.open("rb") as stream:
            start = stream.read(_BEGINNING)
    except OSError:
        return False
    return any(uid.encode() in start for uid in _KINDS)


def _object(path: Path, kind: str, content: Any) -> LabelObject:
    if kind == "SEG":
        series = [str(one.SeriesInstanceUID) for one in content.get("ReferencedSeriesSequence", [])]
        frame = str(content.get("FrameOfReferenceUID", ""))
        names = tuple(str(one.get("SegmentLabel", "")) for one in content.get("SegmentSequence", []))
    else:
        frames = content.get("ReferencedFrameOfReferenceSequence", [])
        studies = [study for one in frames for study in one.get("RTReferencedStudySequence", [])]
        series = [
            str(one.SeriesInstanceUID) for study in studies for one in study.get("RTReferencedSeriesSequence", [])
        ]
        frame = next((str(one.FrameOfReferenceUID) for one in frames if "FrameOfReferenceUID" in one), "")
        names = tuple(str(one.get("ROIName", "")) for one in content.get("StructureSetROISequence", []))
    return LabelObject(
        path,
        kind,
        str(content.get("SOPInstanceUID", "")),
        str(content.get("StudyInstanceUID", "")),
        series[0] if series else "",
        frame,
        names,
    )
