"""followup.json and followup.csv."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..jsonfile import write_json
from ..output.spreadsheet import spreadsheet_cell
from ..wholefile import whole_file
from .changes import Change, sum_of_diameters
from .registration import Alignment
from .response import Assessment
from .timepoints import TimePoint

SCHEMA_VERSION = 1


def write_followup_json(
    path: Path,
    points: list[TimePoint],
    alignments: list[Alignment],
    changes: list[Change],
    assessments: list[Assessment],
    targets: tuple[int, ...],
    warnings: Sequence[str] = (),
) -> None:
    """Write everything that was measured, and what a reader must know before trusting it."""
    tracks = [change.track for change in changes]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "note": "Measured change; an aid for a reader, not a diagnosis.",
        "scans": [
            {
                "name": point.name,
                "date": point.day.isoformat() if point.day else None,
                "liver_ml": point.liver_ml,
                "tumor_ml": point.tumor_ml,
                "lesions": [dataclasses.asdict(lesion) for lesion in point.lesions],
                "alignment": {
                    "kind": alignment.kind,
                    "matrix": alignment.matrix.tolist(),
                    "offset_mm": alignment.offset.tolist(),
                    "liver_dice": alignment.liver_dice,
                    "liver_dice_centres_only": alignment.liver_dice_before,
                    "shift_mm": alignment.shift_mm,
                },
            }
            for point, alignment in zip(points, alignments, strict=True)
        ],
        "warnings": list(warnings),
        "target_lesions": list(targets),
        "target_sums_mm": [sum_of_diameters(points, tracks, targets, scan) for scan in range(len(points))],
        "tracks": [dataclasses.asdict(change) for change in changes],
        "assessments": [dataclasses.asdict(assessment) for assessment in assessments],
    }
    write_json(path, document, indent=1)


def write_csv(path: Path, points: list[TimePoint], changes: list[Change]) -> None:
    """Write one row for each lesion and scan."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track", "event", "target", "scan", "date", "parts", "volume_ml", "diameter_mm"])
        for change in changes:
            for scan, point in enumerate(points):
                writer.writerow(
                    [
                        change.track.number,
                        change.event,
                        "yes" if change.target else "no",
                        spreadsheet_cell(point.name),
                        point.day.isoformat() if point.day else "",
                        change.parts[scan],
                        f"{change.volumes_ml[scan]:.4g}",
                        f"{change.diameters_mm[scan]:.2f}",
                    ]
                )
