"""The private temporary folder that a child process works in."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import slicer


def makePrivateFolder() -> Path:
    """Return a new folder below Slicer's temporary one."""
    return Path(tempfile.mkdtemp(prefix="LiverTumorSeg-", dir=slicer.app.temporaryPath))


def removePrivateFolder(folder: Path) -> None:
    """Remove it with all it holds."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # a virus scanner may still hold a file; once more when Slicer closes
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
