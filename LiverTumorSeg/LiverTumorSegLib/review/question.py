"""A place to segment again, asked of a process that stays: question and answer are files in its output folder.

A launcher between the two need not hand on standard input, files it cannot hold back. Questions are numbered 1, 2, ...
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Question:
    """Where a lesion was missed.

    Attributes
    ----------
    point_mm : tuple of float
        The click, LPS mm; with `other_mm` one corner of a box.
    other_mm : tuple of float or None
        The opposite corner.
    liver_hu : float or None
        Density of the liver, where the asker knows it: a place alone does not show it.
    """

    point_mm: Point
    other_mm: Point | None = None
    liver_hu: float | None = None


def question_file(folder: Path, number: int) -> Path:
    """Return the file of a question; its answer, the tumour probability, has the suffix ``.nrrd``."""
    return folder / f"place_{number}.json"


def ask(folder: Path, number: int, question: Question) -> None:
    """Ask; the file appears whole."""
    path = question_file(folder, number)
    partial = path.with_suffix(".part")
    asked = {
        "point_lps_mm": question.point_mm,
        "other_lps_mm": question.other_mm,
        "liver_hu": question.liver_hu,
    }
    partial.write_text(json.dumps(asked), encoding="utf-8")
    partial.replace(path)


def read_question(path: Path) -> Question:
    """Return what was asked.

    Raises
    ------
    InputError
        When the file holds no place.
    """
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        point, other, liver_hu = _point(asked["point_lps_mm"]), asked.get("other_lps_mm"), asked.get("liver_hu")
        return Question(point, None if other is None else _point(other), None if liver_hu is None else float(liver_hu))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} asks for no place: it needs point_lps_mm, three numbers in mm.") from error


def _point(values: Sequence[float]) -> Point:
    x, y, z = map(float, values)
    return x, y, z
