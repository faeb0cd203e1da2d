"""One table and one page over all cases of an output folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..wholefile import whole_file
from .earlier import read_report
from .report_html import TITLE, ReportCase, write_html_report
from .spreadsheet import spreadsheet_cell

TABLE, PAGE = "summary.csv", "summary.html"
DONE, BEFORE, FAILED, NOT_DONE, LEFT_OUT = "done", "finished before", "failed", "not done", "left out"
"""What may have become of an input."""
_OWN_TABLE = re.compile(r"\Acase,status,(.*_ml,)*lesions,largest_lesion_mm,warnings,seconds,reason\n")
_OWN_PAGE = re.compile(f"<title>{TITLE}</title>")
INLINE_PICTURES = 20
"""A page of more cases refers to the pictures beside it: with all of them inside, no browser would open it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input (`DONE`, `BEFORE`, `FAILED`, `NOT_DONE`, `LEFT_OUT`), why, and the exit code."""

    case: str
    status: str
    reason: str = ""
    exit_code: int = 0

    @property
    def has_result(self) -> bool:
        """Whether a result of this input lies in the output folder."""
        return self.status in (DONE, BEFORE)


def require_own_summary(folder: Path) -> None:
    """Refuse, with a UsageError, a folder whose table or page of this name somebody else made or gave more columns."""
    for file, own in ((TABLE, _OWN_TABLE), (PAGE, _OWN_PAGE)):
        path = folder / file
        if path.exists() and not own.search(_beginning(path)):
            raise UsageError(
                f"{path} was not written by this program, and a run would replace it: rename it, or name another "
                "folder with --output."
            )


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write summary.csv, a row for each case, and where jinja2 is installed summary.html; return the table's path.

    Both name the cases without a result with the reasons.
    """
    reports = {one.case: read_report(folder, one.case) for one in outcomes if one.has_result}
    volumes = list(dict.fromkeys(name for report in reports.values() if report for name in report["volumes_ml"]))
    table = folder / TABLE
    with whole_file(table) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        columns = [*(f"{name}_ml" for name in volumes), "lesions", "largest_lesion_mm", "warnings", "seconds"]
        writer.writerow(["case", "status", *columns, "reason"])
        for one in outcomes:
            figures = _figures(reports[one.case] if one.has_result else None, volumes)
            writer.writerow([spreadsheet_cell(one.case), one.status, *figures, one.reason])
    cases = [
        ReportCase(name, report, folder / f"{name}.png") for name, report in reports.items() if report is not None
    ]
    failed = {one.case: one.reason for one in outcomes if not one.has_result}
    try:
        write_html_report(folder / PAGE, cases, failed=failed, inline=len(cases) <= INLINE_PICTURES)
    except ImportError:
        return table
    return table


def _beginning(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return stream.read(4096)


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
