"""One table and one page over all cases of an output folder, and whether a case is finished already."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..jsonfile import plain
from ..wholefile import whole_file
from .report_html import ReportCase, write_html_report
from .spreadsheet import spreadsheet_cell

TABLE, PAGE = "summary.csv", "summary.html"


@dataclass(frozen=True)
class Outcome:
    """What became of one input: "done", "finished before" or "failed", and why."""

    case: str
    status: str
    reason: str = ""


def finished_report(
    folder: Path, name: str, endings: Sequence[str], wanted: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the report of a case that was made with the same models and options; None otherwise.

    Parameters
    ----------
    folder : Path
        Output folder.
    name : str
        Of the case.
    endings : sequence of str
        Of the files NAME.ENDING that must be there.
    wanted : mapping
        Entries that the report must have, such as "model", "threshold" and "quality".
    """
    if not all((folder / f"{name}.{ending}").is_file() for ending in endings):
        return None
    report = _read(folder / f"{name}.report.json")
    if report is None or any(report.get(key) != plain(value) for key, value in wanted.items()):
        return None
    # A report of an ensemble has an entry that one of a single model lacks.
    return report if ("models" in report) == ("models" in wanted) else None


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write summary.csv, a row for each case, and where jinja2 is installed summary.html; return the table's path."""
    reports = {one.case: _read(folder / f"{one.case}.report.json") for one in outcomes if one.status != "failed"}
    volumes = list(dict.fromkeys(name for report in reports.values() if report for name in report["volumes_ml"]))
    table = folder / TABLE
    with whole_file(table) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        columns = [*(f"{name}_ml" for name in volumes), "lesions", "largest_lesion_mm", "warnings", "seconds"]
        writer.writerow(["case", "status", *columns, "reason"])
        for one in outcomes:
            writer.writerow(
                [spreadsheet_cell(one.case), one.status, *_figures(reports.get(one.case), volumes), one.reason]
            )
    cases = [
        ReportCase(name, report, folder / f"{name}.png") for name, report in reports.items() if report is not None
    ]
    try:
        write_html_report(folder / PAGE, cases)
    except ImportError:
        return table
    return table


def _figures(report: Mapping[str, Any] | None, volumes: Sequence[str]) -> list[Any]:
    if report is None:
        return [""] * (len(volumes) + 4)
    diameters = [lesion["diameter_mm"] for lesion in report["lesions"]]
    return [
        *(f"{report['volumes_ml'][name]:.2f}" if name in report["volumes_ml"] else "" for name in volumes),
        len(diameters),
        f"{max(diameters):.1f}" if diameters else "",
        "; ".join(finding["code"] for finding in report["findings"] if finding["grade"] != "info"),
        report["seconds"]["total"],
    ]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
