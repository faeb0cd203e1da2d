"""What an image file declares, and whether the file can hold it: asked before any memory is taken."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from .itkwarnings import itk_warnings_off
from .niftiheader import read_nifti_header

MAX_VOXELS = 2**31
"""Ceiling of a sane CT (2048 x 1024 x 1024); more is a damaged or hostile header."""

# Deflate cannot pack more than 1032 bytes into one.
_MAX_GZIP_RATIO = 1032
_CHUNK = 1 << 20
_FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}


@dataclass(frozen=True)
class ImageHeader:
    """Shape of an image file.

    Attributes
    ----------
    format : str
        ``NIfTI``, ``NRRD`` or ``MetaImage``.
    size : tuple of int
        (x, y, z, ...) in voxels, trailing ones beyond the third dropped.
    components : int
        Values a voxel.
    voxel_bytes : int
        Bytes a voxel, all components together.
    """

    format: str
    size: tuple[int, ...]
    components: int
    voxel_bytes: int


def image_format(path: Path) -> str | None:
    """Return the format that a file name stands for, or None."""
    name = path.name.lower()
    return next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), None)


def read_header(path: Path) -> ImageHeader:
    """Read what an image file declares without allocating its voxels.

    Raises
    ------
    InputError
        Unknown format, damaged header, or a header that declares more than the file can hold or a CT can need.
    """
    kind = image_format(path)
    if kind is None:
        raise InputError(
            f"{path} is not an image this program reads. "
            "Give NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha, .mhd), a DICOM folder or a DICOM file."
        )
    if kind == "NIfTI":
        nifti = read_nifti_header(path)
        header = ImageHeader(kind, nifti.size, nifti.components, nifti.voxel_bytes)
    else:
        header = _read_itk_header(path, kind)
    _require_possible(path, header)
    return header


def verify_gzip(path: Path) -> None:
    """Read a gzip file to its end and compare its checksums: the NIfTI reader takes a cut file as zeros.

    Raises
    ------
    InputError
        When the file is cut short or damaged.
    """
    for _ in unpacked(path):
        pass


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def unpacked(path: Path) -> Iterator[bytes]:
    """Yield the contents of a gzip file piece by piece; every member's checksum is compared.

    Raises
    ------
    InputError
        When the file is cut short or damaged.
    """
    complete = False
    try:
        member = zlib.decompressobj(wbits=31)
        for piece in pieces(path):
            chunk = piece
            while chunk:
                if member.eof:
                    # Zeros after a member are padding; anything else is the next member.
                    if not chunk.strip(b"\0"):
                        break
                    member = zlib.decompressobj(wbits=31)
                yield member.decompress(chunk)
                chunk = member.unused_data
        complete = member.eof
    except zlib.error as error:
        raise InputError(f"{path} is damaged (gzip: {error}). Copy or export it again.") from error
    if not complete:
        raise InputError(f"{path} is incomplete: the compressed data stop before their end. Copy or export it again.")


def _read_itk_header(path: Path, kind: str) -> ImageHeader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if kind == "NRRD" else "MetaImageIO")
    try:
        reader.SetFileName(str(path))
        with itk_warnings_off():
            reader.ReadImageInformation()
    except (RuntimeError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read as {kind}: its header is damaged or incomplete.") from error
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    components = reader.GetNumberOfComponents()
    bits = sitk.Image([1] * 2, reader.GetPixelID(), components).GetSizeOfPixelComponent() * 8
    return ImageHeader(kind, tuple(size), components, components * bits // 8)


def _require_possible(path: Path, header: ImageHeader) -> None:
    voxels = math.prod(header.size)
    declared = voxels * header.voxel_bytes
    shape = " x ".join(str(n) for n in header.size)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{path} declares {shape} voxels ({declared / 1e9:.4g} GB), more than any CT: the header is damaged."
        )
    # A detached header (.mhd, .nhdr) names its data file; the reader then finds what is missing.
    if path.suffix.lower() in {".mhd", ".nhdr"}:
        return
    held = path.stat().st_size
    packed = path.suffix.lower() != ".nii"
    if declared > held * (_MAX_GZIP_RATIO if packed else 1):
        raise InputError(
            f"{path} declares {shape} voxels ({declared / 1e9:.4g} GB) but holds only {held} bytes: "
            "the file is incomplete or its header damaged. Copy or export it again."
        )
