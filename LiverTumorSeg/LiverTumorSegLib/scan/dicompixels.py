"""The values of DICOM slices as the files store them: what is not compressed through pydicom, the rest through GDCM.

Stored values of a CT are Hounsfield units after rescaling, whatever MONOCHROME1 asks of a screen: nothing is inverted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from .dicomheader import Slice, quiet_pydicom
from .itk import itk_warnings_off

_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames")
_CT, _MANY_FRAMES = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7.3"

Stored = npt.NDArray[np.integer[Any]]


def stored_planes(slices: Iterable[Slice]) -> Iterator[Stored]:
    """Yield the stored values [row, column] of each slice; a file is read once for frames that follow each other.

    Raises
    ------
    InputError
        When a file is cut short, damaged or in an encoding that GDCM does not know.
    """
    path: Path | None = None
    frames: Stored = np.empty((0, 0, 0), dtype=np.int16)
    for item in slices:
        if item.path != path:
            frames, path = _read(item.path), item.path
        if frames.shape[1:] != item.size[::-1] or (item.frame or 0) >= len(frames):
            raise _damaged(item.path)
        yield frames[item.frame or 0]


def rescaled(stored: Stored, rescale: tuple[float, float] | None) -> npt.NDArray[Any]:
    """Return stored values times slope plus intercept: whole numbers where both are, else float32."""
    slope, intercept = rescale or (1.0, 0.0)
    if slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 2**15:
        return stored.astype(np.int64 if stored.itemsize > 2 else np.int32) * int(slope) + int(intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        values: npt.NDArray[Any] = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return values


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is incomplete, damaged or in an unknown encoding: its pixels cannot be read. Copy it again."
    )


def _read(path: Path) -> Stored:
    """Return all frames of a file, [frame, row, column]."""
    with quiet_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(path, force=True, specific_tags=[*_LAYOUT, "PixelData"])
            syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
            if syntax is not None and pydicom.uid.UID(syntax).is_compressed:
                return _unpacked(pydicom, dataset, syntax)
            return _plain(dataset)
        except OSError:
            raise
        except Exception as error:  # pydicom converts values late and raises whatever a damaged one provokes
            raise _damaged(path) from error


def _plain(dataset: Any) -> Stored:
    allocated, used, high = int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.HighBit)
    if allocated not in (8, 16, 32) or not 0 < used <= high + 1 <= allocated:
        raise ValueError(f"{used} of {allocated} bits")
    shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
    order = "<" if dataset.original_encoding[1] is not False else ">"
    kind = np.dtype(f"{order}{'i' if dataset.PixelRepresentation else 'u'}{allocated // 8}")
    stored = np.frombuffer(dataset.PixelData, kind, count=int(np.prod(shape, dtype=np.int64))).reshape(shape)
    if used == allocated:
        return stored
    # Bits beside the stored ones are no part of the value; shifting right repeats the sign.
    return (stored << (allocated - 1 - high)) >> (allocated - used)


def _unpacked(pydicom: Any, dataset: Any, syntax: str) -> Stored:
    """Let GDCM unpack the pixels alone, so that it neither rescales nor inverts them."""
    bare = pydicom.Dataset()
    for keyword in _LAYOUT:
        if dataset.get(keyword) is not None:
            setattr(bare, keyword, dataset.get(keyword))
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.SOPClassUID = _MANY_FRAMES if int(dataset.get("NumberOfFrames") or 1) > 1 else _CT
    bare.SOPInstanceUID = "1.2.3"
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = syntax
    bare.add(dataset["PixelData"])
    bare["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory() as folder, itk_warnings_off():
        file = Path(folder) / "pixels.dcm"
        bare.save_as(file, enforce_file_format=True)
        array: Stored = sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO"))
    return array if array.ndim == 3 else array[None]
