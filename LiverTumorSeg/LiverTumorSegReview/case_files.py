"""From what was named on the command line to the files of one case."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.imageio import case_name

RESULT_ENDING = ".seg.nrrd"
REVIEWED, ACCEPTED, AUTOSAVE = "reviewed", "accepted", "autosave"
"""What comes after a case's name in the files of a review; the result of the run itself is never overwritten."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes
    ----------
    name : str
        Stem of every result file.
    scan : Path
        The CT: a file or a DICOM folder.
    folder : Path
        Where results are read and written.
    """

    name: str
    scan: Path
    folder: Path

    def of(self, ending: str) -> Path:
        """Return a result file of this case by its ending, such as ``report.json``."""
        return self.folder / f"{self.name}.{ending}"

    @property
    def has_result(self) -> bool:
        """Return whether the case was segmented."""
        return self.of("seg.nrrd").is_file()

    @property
    def has_autosave(self) -> bool:
        """Return whether unsaved work of an earlier session lies beside the result."""
        return self.of(f"{AUTOSAVE}.json").is_file() and self.of(f"{AUTOSAVE}.seg.nrrd").is_file()


def find_case(path: Path, scan: Path | None = None, output: Path | None = None) -> CaseFiles:
    """Return the files of what was named.

    Parameters
    ----------
    path : Path
        A result (``NAME.seg.nrrd``, ``NAME.report.json`` or a folder with one of them), or a scan.
    scan : Path, optional
        The CT of a result, where it does not lie where the report says.
    output : Path, optional
        Folder for the results of a scan that was not segmented yet; ``results/review`` when None.

    Raises
    ------
    InputError
        Nothing there, several results, or a result whose scan is not found.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    result = _result_of(path)
    if result is None:
        name = case_name(path)
        return CaseFiles(name, path, output or Path("results") / "review" / name)
    name = result.name[: -len(RESULT_ENDING)]
    found = scan or _scan_of(result, name)
    if not found.exists():
        raise InputError(f"The scan {found} of {result.name} does not exist: name it with --scan.")
    return CaseFiles(name, found, result.parent)


def _result_of(path: Path) -> Path | None:
    """Return the segmentation that was named, or None for a scan."""
    if path.is_dir():
        results = sorted({_of_the_run(each) for each in path.glob(f"*{RESULT_ENDING}")})
        if len(results) > 1:
            names = ", ".join(each.name for each in results[:8])
            raise InputError(f"{path} holds {len(results)} results: name one of {names}.")
        return results[0] if results else None
    if path.name.endswith(RESULT_ENDING):
        return _of_the_run(path)
    if path.name.endswith(".report.json"):
        segmentation = path.with_name(path.name[: -len(".report.json")] + RESULT_ENDING)
        if not segmentation.is_file():
            raise InputError(f"{segmentation} does not exist beside its report.")
        return segmentation
    return None


def _of_the_run(path: Path) -> Path:
    """Return the segmentation of the run for one that a review wrote beside it."""
    for kind in (REVIEWED, ACCEPTED, AUTOSAVE):
        ending = f".{kind}{RESULT_ENDING}"
        if path.name.endswith(ending):
            return path.with_name(path.name[: -len(ending)] + RESULT_ENDING)
    return path


def _scan_of(result: Path, name: str) -> Path:
    """Return where the report says that the scan is; a relative path starts here or at a folder above the result."""
    report = result.with_name(f"{name}.report.json")
    try:
        stored = Path(json.loads(report.read_text(encoding="utf-8"))["input"]["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{result.name} has no readable report beside it: name its CT with --scan.") from error
    places = [stored, *(folder / stored for folder in result.resolve().parents), result.parent / stored.name]
    return next((each for each in places if each.exists()), stored)
