"""What the user gives for a follow-up, scans or segmentations, made into time points."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, LiverTumorSegError
from ..grid import require_same_grid
from ..labelnames import scan_of_result
from ..labels import IGNORE, LIVER, TUMOR
from ..output.labelvalues import meant_values
from ..output.segfile import read_segmentation
from ..scan.collection import scans_in
from ..scan.imageio import CaseImage, case_name, read_case
from .dates import acquisition_day
from .timepoints import TimePoint, around_organ

_MOST_LABELS = 16
_ONE_CHANNEL = ("CT",)
_MOST_NAMED = 3
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
        Of the scan; that of the DICOM series that is read when left out.
    name : str
    """

    path: Path
    image: Path | None
    day: date | None
    name: str


def open_scan(scan: ScanInput) -> TimePoint | ScanInput:
    """Return a segmentation as a time point; a CT as it was given, its date filled in, to be segmented.

    All that can be wrong with an input before a network has seen it is said here.

    Raises
    ------
    InputError
        It does not exist, cannot be read, is no single scan, or holds nothing to follow.
    """
    if not scan.path.exists():
        raise InputError(f"{scan.path} does not exist.")
    _require_one_scan(scan.path)
    read = given_segmentation(scan.path)
    if read is None:
        return replace(scan, day=scan.day or acquisition_day(read_case(scan.path).dicom_files))
    what = f"{scan.name}, {scan.path.name}"
    labels = _in_our_values(*read, what)
    # A whole scan is large: what is not needed any more makes room for the CT.
    del read
    image = scan.image or linked_image(scan.path)
    return _time_point(scan, labels, image, what, must_fit=scan.image is not None)


def segmented(scan: ScanInput, folder: Path, segment_options: list[str]) -> TimePoint:
    """Segment a CT and return it as a time point.

    Parameters
    ----------
    scan : ScanInput
        As `open_scan` returned it.
    folder : Path
        Where the segmentation is written.
    segment_options : list of str
        Passed on to the segmenter's command line.
    """
    path = segment(scan.path, folder, segment_options)
    what = f"{scan.name}, {path.name}"
    return _time_point(scan, _in_our_values(*read_segmentation(path), what), scan.path, what, must_fit=True)


def _require_one_scan(path: Path) -> None:
    """Refuse a folder that the segmenter takes for several scans."""
    scans = scans_in(path, _ONE_CHANNEL).scans
    if scans == [path]:
        return
    shown = ", ".join(str(scan.relative_to(path)) for scan in scans[:_MOST_NAMED])
    more = f" and {len(scans) - _MOST_NAMED} more" if len(scans) > _MOST_NAMED else ""
    raise InputError(
        f"{path} is a folder of scans ({shown}{more}), not the scan of one date. Give the folder or file of each "
        f"date by itself, oldest first: {path / scans[0].relative_to(path)}, ..."
    )


def _time_point(scan: ScanInput, labels: sitk.Image, image: Path | None, what: str, must_fit: bool) -> TimePoint:
    case = _case_on_grid_of(labels, image, what, must_fit)
    day = scan.day or (acquisition_day(case.dicom_files) if case else None)
    labels, grey, below = around_organ(labels, case.image if case else None)
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


def _in_our_values(labelmap: sitk.Image, names: dict[str, int], what: str) -> sitk.Image:
    voxels = sitk.GetArrayViewFromImage(labelmap)
    labels = sitk.GetImageFromArray(meant_values(voxels, names, NAMES, REGIONS, IGNORE, what))
    labels.CopyInformation(labelmap)
    return labels


def _case_on_grid_of(labels: sitk.Image, image: Path | None, what: str, must_fit: bool) -> CaseImage | None:
    """Return the CT of a segmentation; None where there is none, or the one that was only found does not fit."""
    if image is None:
        return None
    try:
        case = read_case(image)
        require_same_grid(case.image, labels, what)
    except LiverTumorSegError:
        if must_fit:
            raise
        return None
    return case
