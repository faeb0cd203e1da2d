"""Text in tables that a spreadsheet opens."""

from __future__ import annotations


def spreadsheet_cell(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text
