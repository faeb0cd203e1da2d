"""What an earlier run left in the output folder about a case: whether it is finished, of which scan, which files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..jsonfile import plain
from ..scan.imageio import CaseImage


def read_report(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the report of a case; None where there is none that can be read."""
    try:
        content = json.loads((folder / f"{name}.report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


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
    report = read_report(folder, name)
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


def place_of(path: Path) -> str:
    """Return where a scan lies, whatever folder the program was started in."""
    return str(path.resolve())


def is_of_place(folder: Path, name: str, path: Path) -> bool:
    """Return whether the results of a case are of the scan at a place; no byte of it is read."""
    return _place(read_report(folder, name) or {}) == place_of(path)


def require_same_scan(folder: Path, case: CaseImage) -> None:
    """Refuse to replace the results of another scan that goes by the same name.

    The same scan is: the same bytes anywhere, or what lies at the same place now, of DICOM the same series.

    Raises
    ------
    UsageError
        One sentence that names the other scan.
    """
    report = read_report(folder, case.name) or {}
    told = report.get("input")
    if not isinstance(told, dict) or told.get("sha256") == case.sha256:
        return
    uids = [record.get("uid") for record in told.get("series", ()) if record.get("taken")]
    if _place(report) == place_of(case.path) and uids == [record.uid for record in case.series if record.taken]:
        return
    other = f"{told.get('path')}, series {uids[0]}" if uids else told.get("path")
    raise UsageError(
        f"{folder} holds the results of another scan called {case.name} ({other}), which would be lost: name another "
        "folder with --output, or rename the scan."
    )


def files_of(report: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the names of the files that a run made for a case, as its report lists them; never of others beside."""
    listed = map(str, _asked(report).get("files", ()))
    return frozenset(file for file in listed if file.startswith(f"{name}.") and Path(file).name == file)


def _place(report: Mapping[str, Any]) -> str:
    told = report.get("input")
    path = told.get("path") if isinstance(told, dict) else None
    return str(_asked(report).get("scan") or place_of(Path(str(path))))


def _asked(report: Mapping[str, Any]) -> Mapping[str, Any]:
    told = report.get("asked")
    return told if isinstance(told, dict) else {}
