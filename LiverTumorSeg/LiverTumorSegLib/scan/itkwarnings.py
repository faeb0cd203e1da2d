"""ITK's own warnings, silenced where this program reports the same thing as a finding or an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk


@contextmanager
def itk_warnings_off() -> Iterator[None]:
    """Keep ITK from writing warnings to the standard error stream inside the block."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
