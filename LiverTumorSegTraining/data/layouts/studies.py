"""DICOM studies: a folder for each, with the slices of a CT and the RTSTRUCT or DICOM SEG drawn on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.dicomheader import is_dicom, quiet_pydicom
from LiverTumorSegLib.scan.imageio import case_names

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.studies.label_objects import label_files


def matches(root: Path) -> bool:
    """Return whether an RTSTRUCT or DICOM SEG lies in the folder or below."""
    return bool(label_files(root))


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the studies, those without labels too; scans of one patient ID belong together.

    The folder of a study is the smallest one that holds both an image and the labels. The patient is called after the
    folder of the first study, not by an ID.
    """
    if len(channels) > 1:
        raise InputError(
            f"{root} is read as DICOM studies, which have one channel, but data.channels names {', '.join(channels)}."
        )
    folders = sorted({_study_folder(path, root) for path in label_files(root)})
    # A folder without labels is a study too: verification says what is missing.
    others = [root] if folders == [root] else [path for path in sorted(root.iterdir()) if path.is_dir()]
    unlabelled = [
        path
        for path in others
        if not any(path in (one, *one.parents) for one in folders) and _an_image(path) is not None
    ]
    together = sorted([*folders, *unlabelled])
    cases, patients = [], dict[str, str]()
    for folder, name in zip(together, case_names(together), strict=True):
        identity = _patient_id(folder)
        patient = patients.setdefault(identity, name) if identity else name
        cases.append(Case(name, patient, (folder,), folder if folder in folders else None))
    return cases


def _study_folder(labels: Path, root: Path) -> Path:
    folder = labels.parent
    while folder != root and _an_image(folder) is None:
        folder = folder.parent
    # At the root the folder of the labels may only lie beside others: then nothing below holds an image with it.
    return folder


def _an_image(folder: Path) -> Path | None:
    """Return an image (CT or MR slice) of a folder or below; None when there is none."""
    return next((path for path in _dicom_files(folder) if _says(path, "Modality") in ("CT", "MR")), None)


def _dicom_files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and is_dicom(path))


def _patient_id(folder: Path) -> str:
    image = _an_image(folder)
    return _says(image, "PatientID") if image is not None else ""


def _says(path: Path, keyword: str) -> str:
    with quiet_pydicom() as pydicom:
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[keyword], force=True)
            return str(header.get(keyword, "") or "")
        except OSError:
            raise
        except Exception:  # pydicom raises whatever a damaged file provokes; verification names such files
            return ""
