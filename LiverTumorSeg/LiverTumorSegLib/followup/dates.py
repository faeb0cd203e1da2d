"""When a scan was made: from the headers of the series that is read, or as the user writes it; and which was first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ..errors import UsageError
from ..scan.dicomheader import quiet_pydicom

_KEYWORDS = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
"""The first that holds a date counts."""
_FIRST_CT = date(1971, 10, 1)
"""What is older stands for a date that was taken out."""


def acquisition_day(dicom_files: Sequence[str]) -> date | None:
    """Return the date of a series.

    Parameters
    ----------
    dicom_files : sequence of str
        ``CaseImage.dicom_files``; empty for formats that hold no date.

    Returns
    -------
    date or None
        None where no header holds a real one.
    """
    if not dicom_files:
        return None
    with quiet_pydicom() as pydicom:
        header = pydicom.dcmread(
            Path(dicom_files[0]), stop_before_pixels=True, specific_tags=list(_KEYWORDS), force=True
        )
        found = (_written_day(header, keyword) for keyword in _KEYWORDS)
        return next((day for day in found if day is not None), None)


def parse_day(text: str) -> date:
    """Return a date written YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is not a date; write it as YYYY-MM-DD.") from error


def require_order(dated: Sequence[tuple[str, date | None]]) -> None:
    """Refuse scans, given by name and date, of which a later one has an earlier date.

    Raises
    ------
    UsageError
        Naming the dates.
    """
    known = [(name, day) for name, day in dated if day is not None]
    days = [day for _, day in known]
    if days != sorted(days):
        told = ", ".join(f"{name} of {day}" for name, day in known)
        raise UsageError(f"The scans are not in order of time ({told}). Give the oldest first.")


def _written_day(header: object, keyword: str) -> date | None:
    """Return a header's date, also as old files write it (2024.01.05); None for what is none."""
    text = str(getattr(header, keyword, "")).strip().replace(".", "")
    if len(text) != 8 or not text.isdecimal():
        return None
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return day if day >= _FIRST_CT else None
