"""From what was named on the command line to the files of one case."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.imageio import case_name

from LiverTumorSegReview.result_scan import RESULT_ENDING, is_result_of, scan_of

REVIEWS = Path("results") / "review"
"""Where the results of scans go that were opened without --output."""
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
    scan_named : bool
        Whether the reader named the scan of a result, not its report.
    """

    name: str
    scan: Path
    folder: Path
    scan_named: bool = False

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
        Folder for the results of a scan that was not segmented yet; when None that of earlier work on this scan in
        ``results/review``, else a new one there that no other scan has.

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
        return CaseFiles(name, path, output or _folder_of(path, name))
    name = result.name[: -len(RESULT_ENDING)]
    found = scan or scan_of(result)
    if not found.exists():
        raise InputError(f"The scan {found} of {result.name} does not exist: name it with --scan.")
    return CaseFiles(name, found, result.parent, scan_named=scan is not None)


def _folder_of(scan: Path, name: str) -> Path:
    """Return the folder of earlier work on a scan; scans of one name are told apart by where they lie."""
    place = hashlib.sha256(str(scan.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    own = REVIEWS / f"{name}-{place}"
    # Earlier versions called the folder as the scan; and a scan may have moved.
    earlier = [own, REVIEWS / name, *sorted(REVIEWS.glob(f"{glob.escape(name)}-*"))]
    return next((each for each in earlier if is_result_of(each / f"{name}{RESULT_ENDING}", scan)), own)


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
