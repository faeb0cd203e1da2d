"""What leaves a session for others: the accepted lesions only, as DICOM SEG and SR and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..grid import Grid
from ..labels import LIVER, TUMOR, Label
from ..output.dicomseg import write_dicom_seg
from ..output.dicomsr import SegmentMeasures, write_dicom_sr
from ..scan.dicomheader import read_slices, require_slices
from .figures import LesionFigures
from .page import write_session_page
from .region import Labels
from .totals import totals
from .verdicts import Verdicts, accepted_only

MOST_LESIONS = 250
_BESIDE_VOXELS = 0.05


def require_accepted(verdicts: Verdicts) -> None:
    """Refuse a session that has lesions of which none was accepted; one without lesions may be reported.

    Raises
    ------
    InputError
        One sentence.
    """
    accepted = sum(lesion.verdict == "accept" for lesion in verdicts.lesions)
    if verdicts.lesions and not accepted:
        raise InputError("No lesion is accepted yet, and only accepted ones are exported: accept lesions first.")
    if accepted > MOST_LESIONS:
        raise InputError(f"{accepted} lesions are accepted; a segmentation holds {MOST_LESIONS} of them at most.")


def accepted_dicom_names(name: str) -> tuple[str, str]:
    """Return the names of the two files that `write_accepted_dicom` writes: DICOM SEG and SR."""
    return f"{name}.seg.dcm", f"{name}.sr.dcm"


def write_accepted_dicom(
    folder: Path,
    name: str,
    labels: Labels,
    verdicts: Verdicts,
    figures: Sequence[LesionFigures],
    grid: Grid,
    dicom_files: Sequence[str],
    model: Mapping[str, str],
) -> tuple[Path, Path]:
    """Write ``NAME.seg.dcm`` (liver, and a segment for each accepted lesion) and ``NAME.sr.dcm``; both or none.

    Parameters
    ----------
    folder : Path
        Exists.
    name : str
        Of the files.
    labels : ndarray of uint8, [z, y, x]
        The labelmap of the session: 0, 1 liver, 2 tumour.
    verdicts : Verdicts
        Of this labelmap.
    figures : sequence of LesionFigures
        As ``measure_session`` gives them.
    grid : Grid
        Of the scan, as it was read from the files.
    dicom_files : sequence of str
        The slices of the scan.
    model : mapping
        ``id`` and ``version`` of the model that made the first result.

    Raises
    ------
    InputError
        No lesion is accepted, the grid is not where the slices are, or they lack what the objects must repeat of them.
    UsageError
        highdicom is not installed, or the folder does not take the files.
    """
    require_accepted(verdicts)
    _require_same_place(grid, dicom_files)
    kept, segments = np.where(labels > 0, LIVER.value, 0).astype(np.uint8), [LIVER]
    measured = []
    for row in figures:
        if row.verdict != "accept":
            continue
        label = Label(len(segments) + 1, f"lesion {row.number}", TUMOR.category, TUMOR.type, TUMOR.color)
        segments.append(label)
        verdicts.lesion(row.number).region.paint(kept, label.value)
        lesion = row.lesion
        lengths = lesion.diameter_mm, lesion.perpendicular_mm
        measured.append(SegmentMeasures(label.value, label, lesion.volume_ml, *lengths, lesion.mean_hu, lesion.sd_hu))
    liver_ml = float(np.count_nonzero(kept == LIVER.value)) * float(np.prod(grid.spacing_mm)) / 1000
    measured.insert(0, SegmentMeasures(LIVER.value, LIVER, liver_ml))
    segmentation_name, report_name = accepted_dicom_names(name)
    paths = folder / segmentation_name, folder / report_name
    made_by = model.get("id", "?"), model.get("version", "?")
    segmentation = write_dicom_seg(paths[0], grid.image(kept), segments, dicom_files, *made_by, reviewed=True)
    try:
        write_dicom_sr(paths[1], segmentation, dicom_files, measured, " ".join(made_by))
    except Exception:
        paths[0].unlink(missing_ok=True)
        raise
    return paths


def _require_same_place(grid: Grid, dicom_files: Sequence[str]) -> None:
    """Refuse slices that do not begin at voxels of the grid: another scan, or one that was straightened on reading."""
    slices = [s for file in map(Path, dicom_files) for s in require_slices(read_slices(file), file)]
    index = grid.index(np.array([s.position for s in slices], float))
    beside = np.abs(index - np.round(index)).max() > _BESIDE_VOXELS
    if beside or (np.round(index) < 0).any() or (np.round(index) >= np.array(grid.size)).any():
        raise InputError(
            "The scan does not lie where its DICOM slices are, as after gantry tilt, uneven gaps or resampling: "
            "DICOM SEG of it can only be made from the slices, with segment.py --dicom-seg."
        )


def write_accepted_page(
    path: Path,
    title: str,
    image: sitk.Image,
    labels: Labels,
    verdicts: Verdicts,
    figures: Sequence[LesionFigures],
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write the page of a session with its accepted lesions only; the totals tell of the others.

    Parameters are those of ``write_session_page`` and ``write_accepted_dicom``.

    Raises
    ------
    InputError
        When no lesion is accepted.
    """
    require_accepted(verdicts)
    rows = [row for row in figures if row.verdict == "accept"]
    sums = totals(verdicts, image.GetSpacing())
    write_session_page(path, title, image, accepted_only(verdicts, labels), rows, sums, provenance)
