"""Of which scan a result or a review is: what it says itself, and what the report beside it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import grid_difference
from LiverTumorSegLib.output.earlier import read_report
from LiverTumorSegLib.scan.imageio import input_sha256
from LiverTumorSegLib.scan.itk import itk_path, itk_warnings_off

RESULT_ENDING = ".seg.nrrd"
INPUT_SHA256 = "LiverTumorSeg_input_sha256"
"""Key in the header of a segmentation: a run writes it, and a review repeats it."""


def scan_of(result: Path) -> Path:
    """Return where the report says that the scan is; a relative path starts here or at a folder above the result.

    Raises
    ------
    InputError
        No readable report beside it.
    """
    try:
        stored = Path(_input_of(result)["path"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{result.name} has no readable report beside it: name its CT with --scan.") from error
    places = [stored, *(folder / stored for folder in result.resolve().parents), result.parent / stored.name]
    return next((each for each in places if each.exists()), stored)


def recorded_sha256(segmentation: Path) -> str:
    """Return the SHA-256 of the scan that a segmentation was made from; empty where nothing says it."""
    header = _header_of(segmentation)
    if header is not None and header.HasMetaDataKey(INPUT_SHA256):
        return str(header.GetMetaData(INPUT_SHA256))
    return str(_input_of(segmentation).get("sha256", ""))


def is_result_of(result: Path, scan: Path) -> bool:
    """Return whether a result is there and its report names this scan; where that has moved, its SHA-256 decides."""
    try:
        named = scan_of(result)
        if named.exists():
            return named.samefile(scan)
        return recorded_sha256(result) == input_sha256(scan)
    except (InputError, OSError):
        return False


def difference_from_grid(segmentation: Path, image: sitk.Image) -> str | None:
    """Return in words what a segmentation's grid has that the scan's has not; None when they are one.

    An unreadable file has no grid to differ: whoever opens it says what is wrong with it.
    """
    header = _header_of(segmentation)
    if header is None or header.GetDimension() != image.GetDimension():
        return None
    return grid_difference(image, header)


def _header_of(segmentation: Path) -> Any:
    """Return the header of an image file as SimpleITK reads it, or None when it cannot."""
    reader = sitk.ImageFileReader()
    try:
        with itk_path(segmentation) as name, itk_warnings_off():
            reader.SetFileName(name)
            reader.ReadImageInformation()
    except (RuntimeError, InputError):
        return None
    return reader


def _input_of(result: Path) -> dict[str, Any]:
    """Return what the report beside a result says of its scan; empty where it says nothing."""
    report = read_report(result.parent, result.name.removesuffix(RESULT_ENDING)) or {}
    told = report.get("input")
    return told if isinstance(told, dict) else {}
