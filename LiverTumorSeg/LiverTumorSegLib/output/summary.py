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
DONE, BEFORE, FAILED = "done", "finished before", "failed"
"""What may have become of an input."""
INLINE_PICTURES = 20
"""A page of more cases refers to the pictures beside it: with all of them inside, no browser would open it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input (`DONE`, `BEFORE` or `FAILED`), why, and with which exit code."""

    case: str
    status: str
    reason: str = ""
    exit_code: int = 0


def is_finished(
    folder: Path, name: str, made: Mapping[str, Any], asked: Mapping[str, Any], extras: Sequence[str]
) -> bool:
    """Return whether a case was made with the same models and options, and all its files are still there.

    Parameters
    ----------
    folder : Path
        Output folder.
    name : str
        Of the case.
    made : mapping
        Entries that the report must have: "model", "threshold", "quality" and so on.
    asked : mapping
        Entries that its "asked" must have.
    extras : sequence of str
        Options that add files; more of them may have been asked for.
    """
    report = _read(folder / f"{name}.report.json")
    if report is None or any(report.get(key) != plain(value) for key, value in made.items()):
        return False
    # A report of an ensemble, or of a localised run, has an entry that another lacks.
    if any((key in report) != (key in made) for key in ("models", "localiser")):
        return False
    told = report.get("asked")
    if not isinstance(told, dict) or any(told.get(key) != plain(value) for key, value in asked.items()):
        return False
    there = all((folder / str(file)).is_file() for file in told.get("files", ()))
    return there and set(extras) <= set(told.get("extras", ()))


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write summary.csv, a row for each case, and where jinja2 is installed summary.html; return the table's path.

    Both name the failed cases with their reasons.
    """
    reports = {one.case: _read(folder / f"{one.case}.report.json") for one in outcomes if one.status != FAILED}
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
    failed = {one.case: one.reason for one in outcomes if one.status == FAILED}
    try:
        write_html_report(folder / PAGE, cases, failed=failed, inline=len(cases) <= INLINE_PICTURES)
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
