"""What the reader writes: the review, a training pair; and unsaved work of an earlier session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from LiverTumorSegReview.case_files import CaseFiles

if TYPE_CHECKING:
    from LiverTumorSegReview.desk import Desk


class Keeping:
    """Saves and exports, and goes on with what an earlier session left.

    Parameters
    ----------
    desk : Desk
        Whose session is written.
    files : CaseFiles
        Where to.
    training_folder : Path or None
        Where "Export for training" writes.
    """

    def __init__(self, desk: Desk, files: CaseFiles, training_folder: Path | None) -> None:
        self._desk, self._files, self._training_folder = desk, files, training_folder

    def save(self) -> None:
        """Write result, table and page; when the scan came as DICOM, the accepted lesions as DICOM objects too."""
        session = self._desk.up_to_date()
        if session is None:
            return
        from LiverTumorSegReview.storage import save, save_dicom

        with self._desk.said():
            paths = list(save(self._files, session).values())
            self._tell_saved(paths)
            if self._desk.dicom_files:
                paths.extend(save_dicom(self._files, session, self._desk.dicom_files))
                self._tell_saved(paths)

    def export(self) -> None:
        """Write a training pair."""
        session = self._desk.up_to_date()
        if session is None or self._training_folder is None:
            return
        from LiverTumorSegReview.storage import export_for_training

        with self._desk.said():
            pair = export_for_training(self._training_folder, session)
            self._desk.state.saved = f"Exported {pair.name} to {self._training_folder}"

    def answer_autosave(self, taken: bool) -> None:
        """Go on with unsaved work of an earlier session, or discard it."""
        session = self._desk.session
        if session is None:
            return
        from LiverTumorSegReview.storage import drop_autosave, take_autosave

        with self._desk.said():
            if taken:
                take_autosave(self._files, session)
            else:
                drop_autosave(self._files)
            # Not before: what cannot be taken is offered on, for the next autosave would write over it.
            self._desk.state.autosave_found = False
            if taken:
                self._desk.show()

    def _tell_saved(self, paths: list[Path]) -> None:
        names = ", ".join(path.name for path in paths)
        self._desk.state.saved = f"Saved {names} in {self._files.folder}"
