"""The text before the voxels of NRRD and MetaImage: what ITK's readers do not tell of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..findings import Finding
from .niftigrid import orientation_unknown

_LONGEST = 1 << 22
# Spaces whose axes are those of the patient; of all others ITK does not know which way a patient lies.
_PATIENT_SPACES = re.compile(r"(right|left)-(anterior|posterior)-superior(-time)?|[rl][ap]st?")
# How many numbers a field of a MetaImage holds, by the number of axes: ITK's reader crashes where it finds others.
_META_NUMBERS = {
    **dict.fromkeys(("dimsize", "elementspacing", "elementsize", "offset", "position", "origin"), 1),
    **dict.fromkeys(("transformmatrix", "rotation", "orientation"), 2),
    **dict.fromkeys(("ndims", "elementnumberofchannels", "headersize", "compresseddatasize"), 0),
}
_MOST_AXES = 10
_SEGMENT = re.compile(r"segment\d+_(id|labelvalue|layer)")


@dataclass(frozen=True)
class TextHeader:
    """Fields of an NRRD or MetaImage header, names in lower case.

    Attributes
    ----------
    kind : str
        ``NRRD`` or ``MetaImage``.
    fields : mapping of str to str
        As they stand in the file; where one is given twice, the last.
    """

    kind: str
    fields: Mapping[str, str]

    @property
    def packed(self) -> bool:
        """Whether the voxels may take less room in the file than in memory."""
        if self.kind == "NRRD":
            return self.fields.get("encoding", "raw").lower() != "raw"
        binary, compressed = (self.fields.get(name, "").lower() for name in ("binarydata", "compresseddata"))
        return binary == "false" or compressed == "true"

    @property
    def is_segmentation(self) -> bool:
        """Whether 3D Slicer wrote the file as a segmentation."""
        return any(_SEGMENT.fullmatch(name) for name in self.fields)

    def data_file(self, path: Path) -> Path | None:
        """Return the file with the voxels of a header at `path`; None where there are several.

        Raises
        ------
        InputError
            When it is not there, or of a kind that ITK does not read.
        """
        if self.kind == "NRRD":
            if self.fields.get("encoding", "").lower() in {"bzip2", "bz2"}:
                raise InputError(
                    f"{path} is compressed with bzip2, which is not read. Save it with gzip compression or none."
                )
            named = self.fields.get("data file", self.fields.get("datafile", ""))
        else:
            named = self.fields.get("elementdatafile", "")
        if named in {"", "LOCAL", "local", "Local"}:
            return path
        if named.startswith("LIST") or "%" in named:
            return None
        file = path.parent / named
        if not file.is_file():
            raise InputError(f"{path} keeps its voxels in another file, and {file} is not there. Copy both files.")
        return file

    def doubts(self, path: Path) -> tuple[Finding, ...]:
        """Return findings where the header does not say how large the voxels are or how the patient lies."""
        if self.kind == "NRRD":
            directions = "space directions" in self.fields
            oriented = directions and _PATIENT_SPACES.fullmatch(self.fields.get("space", "").lower()) is not None
            spaced = directions or "spacings" in self.fields
        else:
            oriented = bool({"transformmatrix", "rotation", "orientation"} & set(self.fields))
            spaced = bool({"elementspacing", "elementsize"} & set(self.fields))
        findings = () if oriented else (orientation_unknown(path),)
        if spaced:
            return findings
        message = (
            f"{path.name} stores no voxel spacing; 1 mm would be a guess, and every volume and diameter with it. "
            "Export the image again."
        )
        return (*findings, Finding("spacing_unknown", "error", message, overridable=True))


def read_text_header(path: Path, kind: str) -> TextHeader:
    """Read the fields of an NRRD or MetaImage file; what is no field is passed over."""
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    fields: dict[str, str] = {}
    axes = 0
    for raw in start.splitlines():
        line = raw.decode("utf-8", "replace").strip()
        if kind == "NRRD" and not line:
            break
        name, mark, value = line.partition(":=" if ":=" in line else ":" if kind == "NRRD" else "=")
        if mark and not line.startswith("#"):
            name, value = name.strip().lower(), value.strip()
            fields[name] = value
            if kind == "MetaImage":
                axes = _require_numbers(path, name, value, axes)
                if name == "elementdatafile":
                    break
    return TextHeader(kind, fields)


def _require_numbers(path: Path, name: str, value: str, axes: int) -> int:
    """Refuse a field of a MetaImage with too few, too many or no numbers; return the number of axes known so far."""
    if name not in _META_NUMBERS:
        return axes
    try:
        numbers = [float(part) for part in value.split()]
    except ValueError:
        numbers = []
    good = len(numbers) == axes ** _META_NUMBERS[name]
    if name == "ndims":
        axes = int(numbers[0]) if good and 1 <= numbers[0] <= _MOST_AXES and not axes else 0
    if not good or not axes:
        raise InputError(f"{path} cannot be read as MetaImage: its header is damaged ({name} = {value[:40]}).")
    return axes
