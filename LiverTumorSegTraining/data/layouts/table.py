"""A plain CSV of paths: case, image (or one column a channel), label, and optionally patient, fold, liver_only."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case, without_suffix

TRUE, FALSE = ("true", "yes"), ("false", "no")


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
        If a column is missing, two rows have one name, or a cell says what its column does not know.
    """
    rows = csv.DictReader(lines_of(root))
    columns = channels if len(channels) > 1 else ["image"]
    present = set(rows.fieldnames or ())
    missing = [column for column in (*columns, "label") if column not in present]
    if missing:
        raise InputError(
            f"{root} has no column {', '.join(missing)}: its first line must name {', '.join(columns)}, label."
        )
    cases: dict[str, Case] = {}
    for row in rows:
        where = f"{root}, line {rows.line_num}"
        cell = {column: (text or "").strip() for column, text in row.items() if column is not None}
        if not any(cell.values()):
            continue  # spreadsheets end in lines of nothing but commas
        empty = [column for column in columns if not cell[column]]
        if empty:
            raise InputError(f"{where}: {', '.join(empty)} is empty; give the path of the image or delete the line.")
        images = tuple(root.parent / cell[column] for column in columns)
        name = cell.get("case") or without_suffix(images[0])
        if name in cases:
            raise InputError(f"{where}: the case {name} is there twice; give each row its own name.")
        cases[name] = Case(
            name,
            cell.get("patient", ""),
            images,
            root.parent / cell["label"] if cell["label"] else None,
            _truth(cell.get("liver_only", ""), where),
            _fold(cell.get("fold", ""), where),
        )
    return list(cases.values())


def _truth(text: str, where: str) -> bool:
    """Return what a cell of liver_only says: words, or a number as a spreadsheet writes it (1.0)."""
    if text.lower() in (*TRUE, *FALSE):
        return text.lower() in TRUE
    number = _number(text) if text else 0.0
    if number not in (0.0, 1.0):
        raise InputError(f"{where}: liver_only is {text!r}; write 1 or yes, 0 or no, or leave it empty.")
    return number == 1.0


def _fold(text: str, where: str) -> int | None:
    if not text:
        return None
    number = _number(text)
    if number is None or number < 0 or number != int(number):
        raise InputError(f"{where}: fold is {text!r}; write a whole number from 0 on, or leave it empty.")
    return int(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
