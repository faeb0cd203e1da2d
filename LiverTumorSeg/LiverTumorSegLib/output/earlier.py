"""What an earlier run left in the output folder about a case: whether it is finished, of which scan, which files.

A file that lies there is a run's own when the run's report lists it and its checksum is still the one in the report;
every other file is a reader's and is never replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..jsonfile import plain, read_object
from ..scan.imageio import CaseImage, sha256_of

_NOT_KEPT = ""


def read_report(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the report of a case; None where there is none that can be read."""
    return read_object(folder / f"{name}.report.json")


def note_of_moves(folder: Path, name: str) -> Path:
    """Return the file that tells what a report does, while no report lies there because a case's files are moved.

    It stays where the process was killed meanwhile.
    """
    return folder / f".moves-{ascii_name(name)}.json"


def ascii_name(name: str) -> str:
    """Return twelve characters that stand for the name of a case, plain ASCII whatever it is."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


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
    report = told_of(folder, case.name)
    told = report.get("input", {})
    if not told or told.get("sha256") == case.sha256:
        return
    uids = [record.get("uid") for record in told.get("series", ()) if record.get("taken")]
    if _place(report) == place_of(case.path) and uids == [record.uid for record in case.series if record.taken]:
        return
    other = f"{told.get('path')}, series {uids[0]}" if uids else told.get("path")
    raise UsageError(
        f"{folder} holds the results of another scan called {case.name} ({other}), which would be lost: name another "
        "folder with --output, or rename the scan."
    )


def require_nothing_lost(folder: Path, name: str, files: Iterable[str]) -> None:
    """Refuse to replace or remove what no run wrote, or what was changed since; no byte of the scan is read.

    Parameters
    ----------
    folder : Path
        Output folder.
    name : str
        Of the case.
    files : iterable of str
        Names of the files that the run may write. Those that an earlier run wrote are looked at too: what is not made
        again is removed.

    Raises
    ------
    UsageError
        One sentence that names the files.
    """
    told = told_of(folder, name)
    listed = files_of(told, name)
    lost = [
        f"{file} ({'changed since a run wrote it' if file in listed else 'no report has its checksum'})"
        for file in sorted({*files, *listed})
        if (folder / file).exists() and not _is_as_written(folder, name, file, told)
    ]
    if lost:
        raise UsageError(
            f"A run would replace {', '.join(lost)} in {folder}: move what is to be kept to another folder, or name "
            "another one with --output."
        )


def files_of(report: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the names of the files that a run made for a case, as its report lists them; never of others beside."""
    return frozenset(file for file in _checksums(report) if file.startswith(f"{name}.") and Path(file).name == file)


def told_of(folder: Path, name: str) -> Mapping[str, Any]:
    """Return what tells of which scan the files of a case are: its report, else the note; empty without either."""
    told = (read_report(folder, name), read_object(note_of_moves(folder, name)))
    return next((each for each in told if each is not None and isinstance(each.get("input"), dict)), {})


def _is_as_written(folder: Path, name: str, file: str, told: Mapping[str, Any]) -> bool:
    if file == f"{name}.report.json":
        return read_report(folder, name) == told
    checksums = _checksums(told)
    try:
        if checksums.get(file) == _NOT_KEPT:
            # The report is written last: what is newer was saved by somebody else.
            return (folder / file).stat().st_mtime <= (folder / f"{name}.report.json").stat().st_mtime
        # A report has one checksum for a file, the note those from before and after its move.
        return file in checksums and sha256_of([folder / file]) in checksums[file]
    except OSError:  # a folder of this name, or what nobody may read
        return False


def _checksums(told: Mapping[str, Any]) -> Mapping[str, str | list[str]]:
    """Return file name -> SHA-256, or `_NOT_KEPT` of the reports of earlier versions, which list names only."""
    files = _asked(told).get("files")
    if isinstance(files, list):
        files = dict.fromkeys(map(str, files), _NOT_KEPT)
    if not isinstance(files, dict):
        return {}
    return {file: checksum for file, checksum in files.items() if isinstance(checksum, str | list)}


def _place(report: Mapping[str, Any]) -> str:
    told = report.get("input")
    path = told.get("path") if isinstance(told, dict) else None
    return str(_asked(report).get("scan") or place_of(Path(str(path))))


def _asked(report: Mapping[str, Any]) -> Mapping[str, Any]:
    told = report.get("asked")
    return told if isinstance(told, dict) else {}
