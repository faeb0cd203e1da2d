"""Where to save: asked in the folder of the last export, with the ending that the file needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

FOLDER_SETTING = "LiverTumorSeg/ExportFolder"


def chooseFolder(title: str, names: Sequence[str] = ()) -> Path | None:
    """Return the folder that the reader chose to write into, or None.

    Parameters
    ----------
    title : str
        Of the dialog.
    names : sequence of str
        Files that will be written there; none that exists is replaced unless the reader says so.
    """
    settings = qt.QSettings()
    chosen = qt.QFileDialog.getExistingDirectory(None, title, str(settings.value(FOLDER_SETTING) or ""))
    if not chosen or not _mayReplace([Path(chosen) / name for name in names]):
        return None
    settings.setValue(FOLDER_SETTING, chosen)
    return Path(chosen)


def chooseFileToSave(title: str, name: str, kind: str) -> Path | None:
    """Return the path that the reader chose, or None.

    Parameters
    ----------
    title : str
        Of the dialog.
    name : str
        File name to suggest; its last ending is added to a path that has none.
    kind : str
        Filter, such as "CSV (*.csv)".
    """
    settings = qt.QSettings()
    folder = settings.value(FOLDER_SETTING)
    suggestion = str(Path(str(folder)) / name) if folder else name
    chosen = qt.QFileDialog.getSaveFileName(None, title, suggestion, kind)
    if not chosen:
        return None
    path = Path(chosen)
    ending = Path(name).suffix
    if path.suffix.lower() != ending:
        path = path.with_name(path.name + ending)
        if not _mayReplace([path]):  # the dialog asked about the name without the ending
            return None
    settings.setValue(FOLDER_SETTING, str(path.parent))
    return path


def _mayReplace(paths: Sequence[Path]) -> bool:
    """Return whether these files may be written; asks where there are such files already."""
    there = [path.name for path in paths if path.exists()]
    if not there:
        return True
    question = _("{files}: in {folder} there is such a file already. Replace it?")
    if len(there) > 1:
        question = _("{files}: in {folder} there are such files already. Replace them?")
    return slicer.util.confirmOkCancelDisplay(question.format(files=", ".join(there), folder=paths[0].parent))
