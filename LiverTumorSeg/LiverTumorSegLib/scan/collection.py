"""A folder of many scans: image files, case folders, or DICOM studies side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..findings import Finding
from ..jsonfile import read_object
from .channels import LABEL_WORDS, channel_file, images_in, words_of
from .dicomheader import NO_SCAN, is_dicom, quiet_pydicom
from .imageio import case_name

RESULT_ENDINGS = (".seg.nrrd", ".tumor-probability.nrrd", ".uncertainty.nrrd", ".attention.nrrd")
"""What images about a scan end with that this program writes."""
LABELS, LOOSE_SLICES = "labels, by their names", "DICOM files beside folders of other studies"
"""What may be left out of a folder; whether rightly is for the user to say."""
ALL_THE_SAME = "To segment a file all the same, name it by itself."
_NAMED = 10


@dataclass
class Collection:
    """What a folder holds.

    Attributes
    ----------
    scans : list of Path
        By name; the folder alone where it is one scan itself.
    left_out : dict of Path to str
        What might be a scan and was not taken, and as what (`LABELS`, or the folder of `LOOSE_SLICES`).
    """

    scans: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)

    def findings(self) -> list[Finding]:
        """Return what is to be said of that which was left out."""
        found = []
        for kind in dict.fromkeys(self.left_out.values()):
            names = [path.name for path, other in self.left_out.items() if other == kind]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            message = f"Left out as {kind}: {', '.join(names[:_NAMED])}{more}. {ALL_THE_SAME}"
            found.append(Finding("left_out", "warning", message))
        return found


def scans_in(folder: Path, channels: Sequence[str], output: Path | None = None) -> Collection:
    """Return the scans of a folder that holds several, or the path given for what is one scan itself.

    One scan is: a file, a folder of DICOM files or of one study, and for a model of several channels a folder with a
    file for each. Hidden files and what this program wrote are no scans; labels by their names are named.

    Parameters
    ----------
    folder : Path
        What the user gave.
    channels : sequence of str
        The model's.
    output : Path, optional
        Folder of the results; it may lie inside.
    """
    if not folder.is_dir():
        return Collection([folder])
    found, studies = _look(folder, channels, output and output.resolve())
    return Collection(sorted([*found.scans, *studies]) or [folder], found.left_out)


def study_of(files: Iterable[Path]) -> str | None:
    """Return the first study instance UID in DICOM files; "" when none of them says one, None without such files.

    Segmentations, reports and the like are no scan; a file that cannot be read says nothing here.
    """
    study = None
    for path in files:
        try:
            if path.name.upper() == "DICOMDIR" or not is_dicom(path):
                continue
            with quiet_pydicom() as pydicom:
                tags = ["StudyInstanceUID", "SeriesInstanceUID", "Modality"]
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
                if str(header.get("Modality", "")) in NO_SCAN:
                    continue
                # The series comes behind the study: where it is there, the file was not cut within the study's UID.
                uid = str(header.get("StudyInstanceUID", "")) if header.get("SeriesInstanceUID") else ""
        except UsageError:
            raise
        except Exception:  # pydicom raises whatever a damaged file provokes
            uid = ""
        if uid:
            return uid
        study = ""
    return study


def _look(folder: Path, channels: Sequence[str], output: Path | None) -> tuple[Collection, dict[Path, str]]:
    """Return what a folder holds but DICOM, and its DICOM scans with their studies."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    images = [path for path in images_in(folder) if not _is_result(path)]
    if len(channels) > 1 and all(channel_file(images, channel) is not None for channel in channels):
        return Collection([folder]), {}
    labels = {path: LABELS for path in images if words_of(path) & LABEL_WORDS}
    found = Collection([path for path in images if path not in labels], labels)
    studies: dict[Path, str] = {}
    for path in entries:
        if path.is_dir() and path.resolve() != output:
            below, of_below = _look(path, channels, output)
            found.scans += below.scans
            found.left_out |= below.left_out
            studies |= of_below
    own = study_of(path for path in entries if path.is_file())
    together = {*studies.values(), *([] if own is None else [own or str(folder)])}
    if len(together) == 1 and (own is not None or not found.scans):
        # The folders are the series of one study: one of them is chosen, as for a study given by itself.
        studies = {folder: together.pop()}
    elif own is not None:
        # A folder is read with all below it, so its own files could not be told from theirs.
        found.left_out[folder] = LOOSE_SLICES
    return found, studies


def _is_result(path: Path) -> bool:
    """Return whether this program wrote an image: by its ending, or because the report beside it lists the file."""
    if path.name.lower().endswith(RESULT_ENDINGS):
        return True
    report = read_object(path.with_name(f"{case_name(path)}.report.json")) or {}
    asked = report.get("asked")
    files = asked.get("files") if isinstance(asked, dict) else None
    return isinstance(files, dict | list) and path.name in files
