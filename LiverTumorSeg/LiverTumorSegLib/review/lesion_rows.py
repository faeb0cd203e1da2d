"""The lesions of a session as rows of JSON types: kept with a scene, written as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..wholefile import whole_file
from .figures import MEASURES, LesionFigures

_COLUMNS = ("number", "verdict", "place", "slice", *MEASURES)


def row_of(figures: LesionFigures) -> dict[str, Any]:
    """Return what is kept of one lesion, in JSON types."""
    lesion, place = figures.lesion, figures.place
    return {
        "number": figures.number,
        "verdict": figures.verdict,
        "place": ", ".join(word for word in (place.lobe, place.height) if word),
        "slice": place.slice_number,
        "longest_lps_mm": figures.longest_lps_mm.tolist(),
        "perpendicular_lps_mm": figures.perpendicular_lps_mm.tolist(),
        **{key: value for key, value in vars(lesion).items() if key != "id"},
    }


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line of CSV for each lesion, verdict included; coordinates are LPS millimetres.

    Raises
    ------
    UsageError
        When the folder or the disk does not take it.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*_COLUMNS, "x_lps_mm", "y_lps_mm", "z_lps_mm"])
        for row in rows:
            figures = ["" if row.get(column) is None else row[column] for column in _COLUMNS]
            writer.writerow([*figures, *row["centroid_lps_mm"]])
