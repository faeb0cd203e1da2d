"""What ITK needs around it: quiet where this program says the same thing itself, and file names that it can open."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError


@contextmanager
def itk_warnings_off() -> Iterator[None]:
    """Keep ITK from writing warnings to the standard error stream inside the block."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


@contextmanager
def itk_path(path: Path) -> Iterator[str]:
    """Give a name of a file that ITK can open: its own, or that of a link where its own is no text in any encoding."""
    if _is_text(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "beside"
        if path.suffix.lower() in {".mhd", ".nhdr"} and not _is_text(path.name):
            raise InputError(f"The name of {path} is no text that ITK can read. Rename it with plain letters.")
        beside.symlink_to(path.parent.resolve(), target_is_directory=True)
        link = Path(folder) / f"image{path.suffix}"
        link.symlink_to(path.resolve())
        yield str(beside / path.name if _is_text(path.name) else link)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
