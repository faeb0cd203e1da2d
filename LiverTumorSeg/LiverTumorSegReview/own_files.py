"""Whether what lies beside a case is of its scan: the work on another scan is neither shown nor written over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from LiverTumorSegLib.errors import InputError

from LiverTumorSegReview.case_files import ACCEPTED, AUTOSAVE, REVIEWED, CaseFiles
from LiverTumorSegReview.result_scan import difference_from_grid, is_result_of, recorded_sha256

if TYPE_CHECKING:
    from LiverTumorSegLib.scan.imageio import CaseImage


def require_own_files(files: CaseFiles, scan: CaseImage) -> None:
    """Refuse a case whose result, review or unsaved work is of another scan.

    The SHA-256 decides; what has none is of the scan that its report names. Where the reader named the scan of a
    result, such as one that was exported a second time, the result may have another SHA-256 but not another grid.

    Raises
    ------
    InputError
        Which file it is, and what to do.
    """
    result = files.of("seg.nrrd")
    recorded = recorded_sha256(result) if files.has_result else ""
    if files.has_result:
        own = files.scan_named or (recorded == scan.sha256 if recorded else is_result_of(result, files.scan))
        if not own:
            raise InputError(
                f"{result} was made from another scan, or {files.scan} has changed since: name the scan that it "
                "belongs to with --scan, or segment this one into another folder with --output."
            )
        difference = difference_from_grid(result, scan.image)
        if difference is not None:
            raise InputError(
                f"{result} does not lie on the grid of {files.scan} (it has {difference}): name its own scan with "
                "--scan."
            )
    for kind in (REVIEWED, ACCEPTED, AUTOSAVE):
        path = files.of(f"{kind}.seg.nrrd")
        if not path.is_file():
            continue
        reviewed = recorded_sha256(path)
        if (reviewed and reviewed != (recorded or scan.sha256)) or difference_from_grid(path, scan.image) is not None:
            raise InputError(
                f"{path} is the review of another scan, or of this one before it changed, and saving would write over "
                "it: move it to another folder."
            )
