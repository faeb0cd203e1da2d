"""All files of one case: segmentation, lesion table and report or nothing, and beside them the extras that succeed."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import CancelledError, UsageError
from ..findings import Finding
from ..jsonfile import write_json
from ..labels import label_table
from ..model.bundle import Bundle
from ..pipeline.result import Result
from ..scan.imageio import CaseImage, sha256_of
from ..wholefile import cannot_write, write_image
from .dicomseg import write_dicom_seg
from .earlier import (
    ascii_name,
    files_of,
    note_of_moves,
    place_of,
    read_report,
    require_nothing_lost,
    require_same_scan,
    told_of,
)
from .picture import write_case_picture
from .report import build_report, write_lesions_csv
from .segfile import write_segmentation

_BYTES_A_VOXEL = 0.05
"""A labelmap compresses to a hundredth, a probability map to a tenth of a byte for each voxel of the organ's box."""

_ENDINGS = {
    "report": "report.json",
    "lesions": "lesions.csv",
    "picture": "png",
    "probabilities": "tumor-probability.nrrd",
    "uncertainty": "uncertainty.nrrd",
    "attention": "attention.nrrd",
    "dicom_seg": "seg.dcm",
}
_EXTRAS = {"probabilities": ("probabilities",), "maps": ("uncertainty", "attention"), "dicom_seg": ("dicom_seg",)}
"""Option -> the kinds of file that it asks for."""


@dataclass(frozen=True)
class Wanted:
    """Which files beside segmentation, report and lesion table, and in which format.

    Attributes
    ----------
    format : str
        Of the segmentation: "seg.nrrd" or "nii.gz".
    probabilities, maps, dicom_seg : bool
        Extras; probabilities and maps are written when the result holds them.
    """

    format: str = "seg.nrrd"
    probabilities: bool = False
    dicom_seg: bool = False
    maps: bool = False

    def files(self, name: str) -> dict[str, str]:
        """Return kind of file -> name, for every kind that a case may have."""
        return {kind: f"{name}.{ending}" for kind, ending in {"segmentation": self.format, **_ENDINGS}.items()}

    def to_write(self, name: str) -> list[str]:
        """Return the names of the files that a run may write for a case."""
        left_out = {kind for option, kinds in _EXTRAS.items() if not getattr(self, option) for kind in kinds}
        return [file for kind, file in self.files(name).items() if kind not in left_out]


@dataclass(frozen=True)
class WrittenCase:
    """What was written: kind of file -> path, None where it was not; and a warning for each extra that failed."""

    files: dict[str, str | None]
    failures: tuple[Finding, ...]


def room_for(case: CaseImage) -> int:
    """Return how many bytes the files of a case take at least."""
    return (1 << 20) + int(case.image.GetNumberOfPixels() * _BYTES_A_VOXEL)


def write_case(
    folder: Path,
    case: CaseImage,
    result: Result,
    bundles: list[Bundle],
    quality: str,
    wanted: Wanted,
    cancelled: Callable[[], bool],
    asked: Mapping[str, Any] | None = None,
) -> WrittenCase:
    """Write all files of a case into a private folder, then move them into place, the report last.

    An extra that fails (picture, probabilities, maps, DICOM SEG) becomes a warning among the findings of the report,
    whose ``asked`` holds what the parameter of this name says, where the scan lies, the files with their SHA-256 and
    the extras that are whole. What an earlier run of this scan made and this one did not is removed.

    Raises
    ------
    UsageError
        When the folder or the disk does not take the segmentation, the table or the report, or what another scan's
        run wrote, or none, would be replaced; nothing is left then.
    CancelledError
        When `cancelled` says so before the files are moved.
    """
    labels = label_table(result.labels)
    with _private_folder(folder, case.name) as private:

        def at(ending: str) -> Path:
            return private / f"{case.name}.{ending}"

        write_segmentation(at(wanted.format), result.labelmap, labels, _provenance(case, bundles))
        write_lesions_csv(at("lesions.csv"), result.lesions)
        extras: dict[str, Callable[[], object]] = {
            "picture": lambda: write_case_picture(
                at("png"),
                case.image,
                result.labelmap,
                result.lesions,
                case.name,
                labels,
                bundles[0].intensity.window_hu,
                bundles[0].channels[0],
            )
        }
        probability = result.tumor_probability
        if wanted.probabilities and probability is not None:
            extras["probability map"] = partial(write_image, at("tumor-probability.nrrd"), probability)
        for kind, image in result.maps.items():
            extras[f"{kind} map"] = partial(write_image, at(f"{kind}.nrrd"), image)
        if wanted.dicom_seg:
            model = bundles[0]
            extras["DICOM SEG"] = lambda: write_dicom_seg(
                at("seg.dcm"), result.labelmap, labels, case.dicom_files, model.id, model.version
            )
        failed = {name: finding for name, write in extras.items() if (finding := _attempt(name, write)) is not None}
        failures = tuple(failed.values())
        result = dataclasses.replace(result, findings=(*result.findings, *failures))
        files = {path.name: sha256_of([path]) for path in sorted(private.iterdir())}
        whole = _whole_extras(wanted, failed)
        asked = {**(asked or {}), "scan": place_of(case.path), "extras": whole, "files": files}
        write_json(at("report.json"), build_report(case, result, quality=quality, asked=asked))
        if cancelled():
            raise CancelledError("Cancelled; nothing was written.")
        require_nothing_lost(folder, case.name, [path.name for path in private.iterdir()])
        require_same_scan(folder, case)
        written = _into_place(private, folder, case.name)
    names = wanted.files(case.name)
    return WrittenCase({kind: str(folder / n) if n in written else None for kind, n in names.items()}, failures)


def _provenance(case: CaseImage, bundles: list[Bundle]) -> dict[str, str]:
    models = {
        f"LiverTumorSeg_model{number or ''}": f"{bundle.id} {bundle.version} {bundle.sha256}"
        for number, bundle in enumerate(bundles)
    }
    return {"LiverTumorSeg_version": __version__, "LiverTumorSeg_input_sha256": case.sha256, **models}


def _attempt(name: str, write: Callable[[], Any]) -> Finding | None:
    """Write an extra; return the warning when that fails, for whatever reason: a library's defect costs no result."""
    try:
        write()
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        words = f"The {name} could not be written: {reason[0].rstrip('.')}. The other results are complete."
        return Finding("extra_failed", "warning", words)
    return None


def _whole_extras(wanted: Wanted, failed: Mapping[str, Finding]) -> list[str]:
    """Return the options of extras that were asked for and did not fail."""
    of = {"probability map": "probabilities", "DICOM SEG": "dicom_seg"}
    lost = {of.get(name, "maps") for name in failed}
    return [option for option in _EXTRAS if getattr(wanted, option) and option not in lost]


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what a process that was killed left of a case it was writing; nobody may be writing it any more."""
    for private in folder.glob(f"{_prefix(name)}*"):
        shutil.rmtree(private, ignore_errors=True)


def _prefix(name: str) -> str:
    return f".part-{ascii_name(name)}-"


@contextmanager
def _private_folder(folder: Path, name: str) -> Iterator[Path]:
    try:
        # Only its name: from Python 3.12 on mkdtemp returns an absolute path, and what lies above may not be ASCII.
        private = folder / Path(tempfile.mkdtemp(prefix=_prefix(name), dir=folder)).name
    except OSError as error:
        raise UsageError(cannot_write(folder, error)) from error
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _into_place(private: Path, folder: Path, name: str) -> set[str]:
    """Move the files, the report last: where it lies, all others do and none of an earlier run; return their names."""
    report = f"{name}.report.json"
    written = {path.name for path in private.iterdir()}
    outdated = files_of(told_of(folder, name), name) - written
    note = _note_moves(private, folder, name, written | outdated)
    # An earlier report goes first: a process killed between two moves must not leave it beside newer files.
    earlier = private / "earlier"
    with suppress(OSError):
        (folder / report).replace(earlier)
    for number, file in enumerate([*sorted(written - {report}), *sorted(outdated), report]):
        try:
            if file in outdated:
                (folder / file).unlink(missing_ok=True)
            else:
                (private / file).replace(folder / file)
        except OSError as error:
            if number == 0 and earlier.exists():
                earlier.replace(folder / report)
            raise UsageError(cannot_write(folder / file, error)) from error
    with suppress(OSError):
        note.unlink()
    return written


def _note_moves(private: Path, folder: Path, name: str, files: Iterable[str]) -> Path:
    """Tell of which scan the files are and what their checksums may be, for a run after one that was killed here."""
    checksums = {file: [sha256_of([at]) for at in (folder / file, private / file) if at.is_file()] for file in files}
    report = read_report(private, name) or {}
    note = note_of_moves(folder, name)
    write_json(note, {"input": report["input"], "asked": {"scan": report["asked"]["scan"], "files": checksums}})
    return note
