"""Where to save: asked in the folder of the last export, with the ending that the file needs."""

from __future__ import annotations

from pathlib import Path

import qt

FOLDER_SETTING = "LiverTumorSeg/ExportFolder"


def chooseFolder(title: str) -> Path | None:
    """Return the folder that the reader chose to write into, or None."""
    settings = qt.QSettings()
    chosen = qt.QFileDialog.getExistingDirectory(None, title, str(settings.value(FOLDER_SETTING) or ""))
    if not chosen:
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
    settings.setValue(FOLDER_SETTING, str(path.parent))
    return path
