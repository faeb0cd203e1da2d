"""What the user gives for a follow-up, scans or segmentations, made into time points."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, LiverTumorSegError, UsageError
from ..grid import require_same_grid
from ..labelnames import scan_of_result
from ..labels import IGNORE, LIVER, TUMOR
from ..output.labelvalues import meant_values
from ..output.segfile import read_segmentation
from ..scan.imageio import case_name, read_case
from .timepoints import TimePoint, around_organ

_MOST_LABELS = 16
NAMES = {LIVER.name: LIVER.value, TUMOR.name: TUMOR.value}
REGIONS = {LIVER.name: (LIVER.value, TUMOR.value), TUMOR.name: (TUMOR.value,)}


@dataclass(frozen=True)
class ScanInput:
    """One date as the user gave it.

    Attributes
    ----------
    path : Path
        A segmentation, a CT file or a DICOM folder.
    image : Path or None
        The CT of a segmentation; `linked_image` when left out.
    day : date or None
        Of the scan; a DICOM folder's own date is used when left out.
    name : str
    """

    path: Path
    image: Path | None
    day: date | None
    name: str


def load_time_point(scan: ScanInput, folder: Path, segment_options: list[str]) -> TimePoint:
    """Return one scan as a time point, segmenting it first when it is a CT.

    Parameters
    ----------
    scan : ScanInput
    folder : Path
        Where a segmentation is written when one has to be made.
    segment_options : list of str
        Passed on to the segmenter's command line.
    """
    if not scan.path.exists():
        raise InputError(f"{scan.path} does not exist.")
    read, must_fit = given_segmentation(scan.path), scan.image is not None
    if read is not None:
        path, image = scan.path, scan.image or linked_image(scan.path)
    else:
        path, image, must_fit = segment(scan.path, folder, segment_options), scan.path, True
        read = read_segmentation(path)
    day = scan.day or dicom_day(image or path)
    what = f"{scan.name}, {path.name}"
    labels = _in_our_values(*read, what)
    # A whole scan is large: what is not needed any more makes room for the CT.
    del read
    labels, grey, below = around_organ(labels, _on_grid_of(labels, image, what, must_fit))
    return TimePoint(scan.name, labels, grey, day, below)


def given_segmentation(path: Path) -> tuple[sitk.Image, dict[str, int]] | None:
    """Read a labelmap as ``read_segmentation`` does; None for a scan: by its name, else if it holds many values."""
    if path.is_dir():
        return None
    if path.name.lower().endswith(".seg.nrrd"):
        return read_segmentation(path)
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return None
    try:
        given = read_segmentation(path)
    except LiverTumorSegError as error:
        if _holds_fractions(path):
            # Labels that were interpolated are no CT; the error names the fractions.
            raise error
        return None
    sample = sitk.GetArrayViewFromImage(given[0])
    few = np.count_nonzero(np.bincount(sample.ravel()[::7], minlength=256)) <= _MOST_LABELS
    return given if sample.dtype == np.uint8 and few else None


def _holds_fractions(path: Path) -> bool:
    """Return whether an image holds numbers between labels: nothing below 0, nothing above the largest label."""
    try:
        image = read_case(path).image
    except LiverTumorSegError:
        return False
    array = sitk.GetArrayViewFromImage(image)
    return float(array.min()) >= 0 and float(array.max()) <= _MOST_LABELS and bool(np.any(array != np.round(array)))


def linked_image(segmentation: Path) -> Path | None:
    """Return the CT of a saved segmentation, when it is still there.

    It is the one that the report beside the segmentation names, or else lies beside it: ``CT.nrrd`` is that of
    ``CT.seg.nrrd``, and of ``CT liver 2.seg.nrrd`` as 3D Slicer proposes to call the panel's results.
    """
    folder, name = segmentation.parent, case_name(segmentation)
    try:
        given = Path(json.loads((folder / f"{name}.report.json").read_text(encoding="utf-8"))["input"]["path"])
        places = [given, folder / given.name]
    except (OSError, ValueError, KeyError, TypeError):
        scan, _ = scan_of_result(name) or (name, 0)
        places = [folder / f"{scan}{suffix}" for suffix in (".nrrd", ".nii.gz", ".nii", ".mha")]
    return next((place for place in places if place.exists() and place != segmentation), None)


def segment(scan: Path, folder: Path, options: list[str]) -> Path:
    """Segment a CT with the product's own command line and return the labelmap it wrote."""
    from ..__main__ import main as segment_main

    folder.mkdir(parents=True, exist_ok=True)
    code = segment_main([str(scan), "--output", str(folder), *options])
    if code:
        error = LiverTumorSegError(
            f"{scan} could not be segmented, so it cannot be followed; the reason is given above."
        )
        error.exit_code = code
        raise error
    return folder / f"{case_name(scan)}.seg.nrrd"


def dicom_day(path: Path) -> date | None:
    """Return the acquisition or study date of a DICOM folder or file; None for other formats."""
    first = next((item for item in sorted(path.rglob("*")) if item.is_file()), None) if path.is_dir() else path
    if first is None or not (path.is_dir() or first.suffix.lower() in (".dcm", ".dicom", ".ima")):
        return None
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(first))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    for key in ("0008|0022", "0008|0021", "0008|0020"):
        if reader.HasMetaDataKey(key):
            text = reader.GetMetaData(key).strip()
            if len(text) == 8 and text.isdigit():
                return parse_day(f"{text[:4]}-{text[4:6]}-{text[6:]}")
    return None


def parse_day(text: str) -> date:
    """Return a date written YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is not a date; write it as YYYY-MM-DD.") from error


def _in_our_values(labelmap: sitk.Image, names: dict[str, int], what: str) -> sitk.Image:
    voxels = sitk.GetArrayViewFromImage(labelmap)
    labels = sitk.GetImageFromArray(meant_values(voxels, names, NAMES, REGIONS, IGNORE, what))
    labels.CopyInformation(labelmap)
    return labels


def _on_grid_of(labels: sitk.Image, image: Path | None, what: str, must_fit: bool) -> sitk.Image | None:
    """Return the CT of a segmentation; None where there is none, or the one that was only found does not fit."""
    if image is None:
        return None
    try:
        scan = read_case(image).image
        require_same_grid(scan, labels, what)
    except LiverTumorSegError:
        if must_fit:
            raise
        return None
    return scan
