"""Opening a case, saving what the reader made of it, and the autosave beside the result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib import __version__
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid, grid_difference
from LiverTumorSegLib.jsonfile import read_object
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import read_segmentation, write_segmentation
from LiverTumorSegLib.review.accepted import write_accepted_dicom
from LiverTumorSegLib.review.lesion_rows import row_of, write_rows
from LiverTumorSegLib.review.page import write_session_page
from LiverTumorSegLib.review.region import Region
from LiverTumorSegLib.review.training_pair import TrainingPair, write_training_pair
from LiverTumorSegLib.review.verdicts import accepted_only, open_verdicts, restored_verdicts, stored_verdicts
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegReview.case_files import ACCEPTED, AUTOSAVE, REVIEWED, CaseFiles
from LiverTumorSegReview.result_scan import INPUT_SHA256, recorded_sha256
from LiverTumorSegReview.session import ReaderSession


def open_session(files: CaseFiles, image: sitk.Image, scan_sha256: str = "") -> ReaderSession:
    """Open the result of a case; what was reviewed and saved before goes on from there.

    Parameters
    ----------
    files : CaseFiles
        Whose result.
    image : sitk.Image
        The scan.
    scan_sha256 : str
        Of the scan: a finding says so when the result was made from another file.

    Raises
    ------
    InputError
        A result that is unreadable or of another scan.
    """
    labels = read_labels(files.of("seg.nrrd"), image)
    report = _json(files.of("report.json")) or {}
    kept = files.of("tumor-probability.nrrd")
    probability = sitk.ReadImage(str(kept)) if kept.is_file() else None
    provenance: dict[str, Any] = {
        key: report[key] for key in ("model", "threshold", "quality", "findings") if key in report
    }
    recorded = recorded_sha256(files.of("seg.nrrd"))
    provenance["input_sha256"] = recorded
    if recorded and scan_sha256 and recorded != scan_sha256:
        words = f"The result was not made from {files.scan.name} itself: make sure that it is the same scan."
        other = {"grade": "warning", "code": "another_file", "message": words}
        provenance["findings"] = [*provenance.get("findings", ()), other]
    session = ReaderSession(image, labels, probability, provenance)
    if files.of(f"{REVIEWED}.seg.nrrd").is_file():
        _restore(session, files, REVIEWED)
        session.saved = True
    return session


def read_other_result(path: Path, session: ReaderSession) -> np.ndarray:
    """Return another result of a session's scan, as ``read_labels`` does.

    Raises
    ------
    InputError
        It is unreadable or of another scan.
    """
    own, other = session.provenance.get("input_sha256"), recorded_sha256(path)
    if own and other and own != other:
        raise InputError(f"{path} was made from another scan: give another result of this one with --compare.")
    return read_labels(path, session.image)


def save(files: CaseFiles, session: ReaderSession) -> dict[str, Path]:
    """Write what the reader made of the result, and remove the autosave.

    Returns
    -------
    dict of str to Path
        ``segmentation``: ``NAME.reviewed.seg.nrrd`` with every lesion that stands; ``accepted``: only the accepted
        ones; ``lesions``: the table; ``page``: the report page.
    """
    paths = {
        "segmentation": files.of(f"{REVIEWED}.seg.nrrd"),
        "accepted": files.of(f"{ACCEPTED}.seg.nrrd"),
        "lesions": files.of(f"{REVIEWED}.lesions.csv"),
        "page": files.of(f"{REVIEWED}.html"),
    }
    _store(session, files, REVIEWED)
    only = _image(accepted_only(session.verdicts, session.labels), session.image)
    write_segmentation(paths["accepted"], only, LIVER_TUMOR, _metadata(session))
    write_rows(paths["lesions"], [row_of(row) for row in session.rows()])
    write_session_page(
        paths["page"],
        files.name,
        session.image,
        session.labels,
        session.rows(),
        session.totals(),
        session.provenance,
    )
    drop_autosave(files)
    session.saved = True
    return paths


def save_dicom(files: CaseFiles, session: ReaderSession, dicom_files: Sequence[str]) -> tuple[Path, Path]:
    """Write the accepted lesions as DICOM SEG and structured report that refer to the slices; return their paths.

    Raises
    ------
    InputError
        No lesion is accepted, or the slices lack what the objects must repeat of them.
    """
    return write_accepted_dicom(
        files.folder,
        f"{files.name}.{ACCEPTED}",
        session.labels,
        session.verdicts,
        session.rows(),
        Grid.of(session.image),
        dicom_files,
        session.provenance.get("model") or {},
    )


def export_for_training(folder: Path, session: ReaderSession, patient: str | None = None) -> TrainingPair:
    """Write the scan and its decided lesions as a training pair."""
    return write_training_pair(
        folder, session.image, session.labels, session.verdicts, patient, session.original, session.provenance
    )


def autosave(files: CaseFiles, session: ReaderSession) -> None:
    """Keep unsaved work beside the result."""
    if not session.saved:
        _store(session, files, AUTOSAVE)


def take_autosave(files: CaseFiles, session: ReaderSession) -> None:
    """Go on with the unsaved work of an earlier session; one step that can be undone."""
    _restore(session, files, AUTOSAVE)


def drop_autosave(files: CaseFiles) -> None:
    """Remove the unsaved work of an earlier session."""
    for ending in ("json", "seg.nrrd"):
        files.of(f"{AUTOSAVE}.{ending}").unlink(missing_ok=True)


def _store(session: ReaderSession, files: CaseFiles, kind: str) -> None:
    """Write labelmap and verdicts; the verdicts last, since they say that both are whole."""
    labelmap = _image(session.labels, session.image)
    beyond = session.beyond_organ
    state = {
        "size": session.image.GetSize(),
        "threshold": session.shown_threshold,
        "edited": session.edited,
        "beyond_organ": None if beyond is None else beyond.packed(),
    }
    verdicts = json.dumps({**stored_verdicts(session.verdicts), **state})
    files.of(f"{kind}.json").unlink(missing_ok=True)
    write_segmentation(files.of(f"{kind}.seg.nrrd"), labelmap, LIVER_TUMOR, _metadata(session))
    write_text(files.of(f"{kind}.json"), verdicts)


def _restore(session: ReaderSession, files: CaseFiles, kind: str) -> None:
    """Go on with a labelmap and the verdicts beside it; a labelmap without verdicts starts with none."""
    path, labelmap = files.of(f"{kind}.json"), files.of(f"{kind}.seg.nrrd")
    labels = read_labels(labelmap, session.image)
    stored = _json(path)
    if stored is None:
        session.restore(labels, open_verdicts(labels))
        return
    try:
        # Earlier versions kept no more than the verdicts.
        if tuple(stored.get("size", labels.shape[::-1])) != labels.shape[::-1]:
            raise ValueError("of another grid")
        verdicts = restored_verdicts(stored, labels)
        threshold = None if stored.get("threshold") is None else float(stored["threshold"])
        beyond = stored.get("beyond_organ") and Region.unpacked(stored["beyond_organ"])
        if beyond and labels[beyond.box].shape != beyond.mask.shape:
            raise ValueError("beyond the labelmap")
    except (InputError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{path} does not fit {labelmap.name}, which was changed without it, or is damaged: move both to another "
            "folder to go on without them."
        ) from error
    session.restore(labels, verdicts, threshold, stored.get("edited", True), beyond)


def read_labels(path: Path, image: sitk.Image) -> np.ndarray:
    """Return a segmentation of a scan, uint8 [z, y, x]: 0, 1 liver, 2 tumour.

    Raises
    ------
    InputError
        An unreadable file, one of another grid, or one without segments of these names.
    """
    labelmap, names = read_segmentation(path)
    difference = grid_difference(image, labelmap)
    if difference is not None:
        raise InputError(
            f"{path} does not lie on the grid of the scan (it has {difference}): name its own scan with --scan."
        )
    values = sitk.GetArrayFromImage(labelmap)
    if not names:
        return values.astype(np.uint8)
    labels = np.zeros(values.shape, np.uint8)
    for label in LIVER_TUMOR:
        if label.name in names:
            labels[values == names[label.name]] = label.value
    if not set(names) & {label.name for label in LIVER_TUMOR}:
        raise InputError(f"{path} has no segments called liver or tumor: open a result of this program.")
    return labels


def _image(labels: np.ndarray, image: sitk.Image) -> sitk.Image:
    labelmap = sitk.GetImageFromArray(labels)
    labelmap.CopyInformation(image)
    return labelmap


def _metadata(session: ReaderSession) -> dict[str, str]:
    model = session.provenance.get("model") or {}
    metadata = {"LiverTumorSeg_version": __version__, "LiverTumorSeg_reviewed": session.totals().words()}
    if session.provenance.get("input_sha256"):
        metadata[INPUT_SHA256] = session.provenance["input_sha256"]
    if model:
        metadata["LiverTumorSeg_model"] = f"{model.get('id')} {model.get('version')} {model.get('sha256')}"
    return metadata


def _json(path: Path) -> dict[str, Any] | None:
    """Return the object that a file holds; None without a file."""
    if not path.exists():
        return None
    stored = read_object(path)
    if stored is None:
        raise InputError(f"{path} cannot be read: remove it to go on without it.")
    return stored
