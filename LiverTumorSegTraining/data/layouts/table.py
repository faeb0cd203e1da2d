"""A plain CSV of paths: case, image (or one column a channel), label, and optionally patient, fold, liver_only."""

from __future__ import annotations

import csv
from pathlib import Path

from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case, without_suffix

TRUE = ("1", "true", "yes")


def matches(root: Path) -> bool:
    """Return whether `root` is a CSV file."""
    return root.is_file() and root.suffix.lower() == ".csv"


def lines_of(root: Path) -> list[str]:
    """Return the lines of a CSV file in UTF-8, with or without a byte order mark.

    Raises
    ------
    InputError
        If it is in another encoding.
    """
    try:
        return root.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        number = root.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(
            f"{root}, line {number}: the text is not UTF-8. Save the table again as 'CSV UTF-8'."
        ) from error


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the rows; relative paths start at the folder of the CSV.

    Raises
    ------
    InputError
        If a column is missing or two rows have one name.
    """
    rows = list(csv.DictReader(lines_of(root)))
    columns = channels if len(channels) > 1 else ["image"]
    present = set(rows[0]) if rows else set()
    missing = [column for column in (*columns, "label") if column not in present]
    if missing:
        raise InputError(
            f"{root} has no column {', '.join(missing)}: its first line must name {', '.join(columns)}, label."
        )
    cases: dict[str, Case] = {}
    for number, row in enumerate(rows, 2):
        images = tuple(root.parent / row[column].strip() for column in columns)
        name = (row.get("case") or without_suffix(images[0])).strip()
        if name in cases:
            raise InputError(f"{root}, line {number}: the case {name} is there twice; give each row its own name.")
        label, fold = (row.get("label") or "").strip(), (row.get("fold") or "").strip()
        cases[name] = Case(
            name,
            (row.get("patient") or "").strip(),
            images,
            root.parent / label if label else None,
            (row.get("liver_only") or "").strip().lower() in TRUE,
            int(fold) if fold.isdigit() else None,
        )
    return list(cases.values())
