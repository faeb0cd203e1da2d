"""What an image file declares, and whether the file can hold it: asked before any memory is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from .itk import itk_path, itk_warnings_off
from .niftifile import NiftiHeader, read_nifti_header
from .packed import is_packed
from .textheader import TextHeader, read_text_header

MAX_VOXELS = 2**31
"""Ceiling of a sane CT (2048 x 1024 x 1024); more is a damaged or hostile header."""

# Deflate cannot pack more than 1032 bytes into one.
_MAX_GZIP_RATIO = 1032
_FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".hdr": "NIfTI",
    ".img": "NIfTI",
    ".hdr.gz": "NIfTI",
    ".img.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}
SUFFIXES = (".seg.nrrd", *sorted(_FORMATS, key=len, reverse=True), ".dcm", ".dicom", ".ima")
"""What image files of all formats are called."""


@dataclass(frozen=True)
class ImageHeader:
    """What an image file declares.

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
    own : NiftiHeader or TextHeader
        The header in the terms of its format.
    """

    format: str
    size: tuple[int, ...]
    components: int
    voxel_bytes: int
    own: NiftiHeader | TextHeader


def image_format(path: Path) -> str | None:
    """Return the format that a file name stands for, or None."""
    name = path.name.lower()
    return next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), None)


def read_header(path: Path) -> ImageHeader:
    """Read what an image file declares without allocating its voxels.

    Raises
    ------
    InputError
        Unknown format, damaged header, missing data file, or a header that declares more than the file can hold or a
        CT can need.
    """
    kind = image_format(path)
    if kind is None:
        raise InputError(
            f"{path} is not an image this program reads. Give NIfTI (.nii, .nii.gz, .hdr with .img), NRRD (.nrrd), "
            "MetaImage (.mha, .mhd), a DICOM folder or a DICOM file."
        )
    if kind == "NIfTI":
        nifti = read_nifti_header(path)
        header = ImageHeader(kind, nifti.size, nifti.components, nifti.voxel_bytes, nifti)
        _require_possible(path, header, nifti.voxel_file, is_packed(nifti.voxel_file))
    else:
        text = read_text_header(path, kind)
        data_file = text.data_file(path)
        header = _read_itk_header(path, text)
        _require_possible(path, header, data_file, text.packed)
    return header


def _read_itk_header(path: Path, text: TextHeader) -> ImageHeader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if text.kind == "NRRD" else "MetaImageIO")
    try:
        with itk_path(path) as name, itk_warnings_off():
            reader.SetFileName(name)
            reader.ReadImageInformation()
    except (RuntimeError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read as {text.kind}: its header is damaged or incomplete.") from error
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    components = reader.GetNumberOfComponents()
    bits = sitk.Image([1] * 2, reader.GetPixelID(), components).GetSizeOfPixelComponent() * 8
    return ImageHeader(text.kind, tuple(size), components, components * bits // 8, text)


def _require_possible(path: Path, header: ImageHeader, data_file: Path | None, packed: bool) -> None:
    voxels = math.prod(header.size)
    declared = voxels * header.voxel_bytes
    shape = " x ".join(str(n) for n in header.size)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{path} declares {shape} voxels ({declared / 1e9:.4g} GB), more than any CT: the header is damaged."
        )
    if data_file is None:
        return
    held = data_file.stat().st_size
    if declared > held * (_MAX_GZIP_RATIO if packed else 1):
        raise InputError(
            f"{path} declares {shape} voxels ({declared / 1e9:.4g} GB) but "
            f"{'' if data_file == path else data_file.name + ' '}holds only {held} bytes: "
            "the file is incomplete or its header damaged. Copy or export it again."
        )
