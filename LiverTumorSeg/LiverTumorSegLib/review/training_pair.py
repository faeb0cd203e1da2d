"""A corrected scan becomes training data: CT and accepted labels as a pair of files, de-identified, with a log.

The pair holds voxels and geometry, nothing else of the header. Lesions that were not decided are "unknown" in it, so
that training neither learns them as tumour nor as liver.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from ..errors import InputError, UsageError
from ..grid import Grid
from ..jsonfile import write_json
from ..labels import IGNORE, LIVER, TUMOR
from ..wholefile import write_image
from .region import Labels
from .verdicts import Verdicts

_PSEUDONYM = re.compile(r"[A-Za-z0-9-]{1,32}")


@dataclass(frozen=True)
class TrainingPair:
    """The files of one exported case.

    Attributes
    ----------
    name : str
        PATIENT_IMAGE, or IMAGE alone without a pseudonym; IMAGE is made from the CT's voxels, so that exporting a
        scan again replaces its files.
    image, label, log : Path
        ``NAME.nii.gz``, ``NAME_label.nii.gz``, ``NAME.corrections.json``.
    """

    name: str
    image: Path
    label: Path
    log: Path


def training_labels(verdicts: Verdicts, labels: Labels) -> Labels:
    """Return the labelmap to learn from: accepted lesions 2, rejected ones liver, all others 255 (unknown)."""
    learned = labels.copy()
    for lesion in verdicts.lesions:
        if lesion.verdict in ("", "unsure"):
            lesion.region.paint(learned, IGNORE)
    return learned


def write_training_pair(
    folder: Path,
    image: sitk.Image,
    labels: Labels,
    verdicts: Verdicts,
    patient: str | None = None,
    original: Labels | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> TrainingPair:
    """Write one case for training in the layout "pairs".

    Parameters
    ----------
    folder : Path
        The data set; made when absent.
    image : sitk.Image
        CT in HU. Only its voxels and geometry are written.
    labels : ndarray of uint8, [z, y, x]
        The corrected labelmap on its grid.
    verdicts : Verdicts
        Of this labelmap.
    patient : str, optional
        A pseudonym (letters, digits, hyphens) that is the same for all scans of a patient, so that none is trained
        and validated on at once. Never the patient's name or number.
    original : ndarray of uint8, optional
        The labelmap before any correction, for the log.
    provenance : mapping, optional
        ``model``, ``threshold`` and ``quality`` of the report, for the log; nothing else of it is written.

    Raises
    ------
    InputError
        No liver, or sizes that differ.
    UsageError
        A pseudonym that is none, or a folder that cannot be written.
    """
    if labels.shape != image.GetSize()[::-1]:
        raise InputError("The labelmap does not have the size of the scan: open the result beside its own scan.")
    if not labels.any():
        raise InputError("There is no liver in the segmentation, so nothing can be learned from it.")
    if patient is not None and not _PSEUDONYM.fullmatch(patient):
        raise UsageError(f"The pseudonym {patient!r} must be of letters, digits and hyphens, 32 at most.")
    plain = _voxels_and_geometry(image)
    scan = _letters(hashlib.sha256(sitk.GetArrayViewFromImage(plain).tobytes()).hexdigest()[:10])
    name = f"case-{scan}" if patient is None else f"{patient}_{scan}"
    pair = TrainingPair(
        name, folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz", folder / f"{name}.corrections.json"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be made ({error.strerror}): name another one.") from error
    write_image(pair.image, plain)
    write_image(pair.label, Grid.of(plain).image(training_labels(verdicts, labels)))
    log = corrections(labels, verdicts, float(np.prod(image.GetSpacing())) / 1000, original, provenance)
    write_json(pair.log, {"name": name, **log})
    return pair


def corrections(
    labels: Labels,
    verdicts: Verdicts,
    voxel_ml: float,
    original: Labels | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the log of a session in JSON types: what the network gave and what the reader made of it.

    No name, date, path or identifier is in it.
    """
    made_by = {key: provenance[key] for key in ("model", "threshold", "quality") if provenance and key in provenance}
    lesions = [
        {
            "number": lesion.number,
            "verdict": lesion.verdict,
            "volume_ml": round(lesion.region.voxels * voxel_ml, 4),
            **({} if original is None else {"drawn_by_hand": _drawn(original[lesion.region.box], lesion.region.mask)}),
        }
        for lesion in verdicts.lesions
    ]
    log: dict[str, Any] = {"version": __version__, **made_by, "lesions": lesions}
    if original is not None:
        for name, before, after in (
            ("tumor", original == TUMOR.value, labels == TUMOR.value),
            ("organ", original >= LIVER.value, labels >= LIVER.value),
        ):
            log[f"{name}_added_ml"] = round(np.count_nonzero(after & ~before) * voxel_ml, 4)
            log[f"{name}_removed_ml"] = round(np.count_nonzero(before & ~after) * voxel_ml, 4)
    return log


def _letters(digest: str) -> str:
    """Return hexadecimal digits as letters: a number in a case name would count as a part of the patient's."""
    return digest.translate(str.maketrans("0123456789", "ghijklmnop"))


def _drawn(original: Labels, mask: np.ndarray) -> bool:
    """Whether the network had found nothing of a lesion."""
    return not (original[mask] == TUMOR.value).any()


def _voxels_and_geometry(image: sitk.Image) -> sitk.Image:
    """Return a new image that shares nothing with the header of the old one; whole HU as int16."""
    array = sitk.GetArrayFromImage(image)
    limits = np.iinfo(np.int16)
    whole = np.issubdtype(array.dtype, np.integer) or bool((array == np.round(array)).all())
    if whole and limits.min <= array.min() and array.max() <= limits.max:
        array = array.astype(np.int16)
    return Grid.of(image).image(array)
