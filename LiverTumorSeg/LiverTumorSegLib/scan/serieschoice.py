"""Which of the series in a folder is read, and what is said about the choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..findings import Finding
from .dicomheader import read_slices, require_slices
from .dicomseries import MIN_VOLUME, Series


@dataclass(frozen=True)
class SeriesRecord:
    """One series that was there, as the report lists it: `number` is what ``--series`` takes."""

    number: int
    uid: str
    acquisition: int
    modality: str
    description: str
    slices: int
    taken: bool


def choose_series(
    found: tuple[Series, ...], folder: Path, wanted: str | None = None
) -> tuple[Series, tuple[Finding, ...]]:
    """Return the wanted series, or the one that is most likely the scan, and findings that name the choice.

    What can be a volume goes before what cannot, CT before other modalities, Hounsfield units of the scan before maps
    and reformats, original before derived; then the one with most slices.

    Parameters
    ----------
    found : tuple of Series
        From ``find_series``.
    folder : Path
        Named in messages.
    wanted : str, optional
        Series instance UID, or the number in the list that messages show (from 1).

    Raises
    ------
    InputError
        No such series, or every image has a series of its own.
    """
    listed = "; ".join(f"{n}: {s}" for n, s in enumerate(found, start=1))
    offered = found
    if wanted is not None:
        wanted = wanted.strip()
        offered = tuple(s for n, s in enumerate(found, start=1) if wanted in {s.first.series_uid, str(n)})
        if not offered:
            raise InputError(f"{folder} holds no series '{wanted}'. It holds {listed}.")
    # max keeps the first of equals, so the choice does not depend on file names.
    chosen = max(offered, key=_likely)
    _require_series_of_several(found, chosen, folder)
    if len(offered) == 1:
        return chosen, ()
    number = found.index(chosen) + 1
    message = f"{folder} holds {len(found)} series; taken: {number}. To take another give its number or UID: {listed}."
    findings = [Finding("series_chosen", "info", message)]
    patients = list(dict.fromkeys(s.first.patient for s in found))
    if len(patients) > 1:
        message = (
            f"{folder} holds scans of {len(patients)} patients ({', '.join(patients)}); the one of "
            f"{chosen.first.patient} was taken. Give the folder of one patient."
        )
        findings.append(Finding("several_patients", "warning", message))
    return chosen, tuple(findings)


def series_of(found: tuple[Series, ...], path: Path) -> Series:
    """Return the series that a file belongs to.

    Raises
    ------
    InputError
        The file is no slice of a scan.
    """
    target = require_slices(read_slices(path), path)[0]
    same = [s for s in found if s.first.series_uid == target.series_uid]
    chosen = next((s for s in same if target.path in s.files), max(same, key=_likely))
    _require_series_of_several(found, chosen, path.parent)
    return chosen


def records(found: tuple[Series, ...], chosen: Series) -> tuple[SeriesRecord, ...]:
    """Return what was there, for the report."""
    return tuple(
        SeriesRecord(
            number=number,
            uid=series.first.series_uid,
            acquisition=series.first.acquisition,
            modality=series.first.modality,
            description=series.first.description,
            slices=len(series.slices),
            taken=series is chosen,
        )
        for number, series in enumerate(found, start=1)
    )


def _likely(series: Series) -> tuple[bool, bool, bool, bool, int]:
    is_ct = series.first.modality == "CT"
    return series.is_volume, is_ct, series.is_plain_ct, series.is_original, len(series.slices)


def _require_series_of_several(found: tuple[Series, ...], chosen: Series, folder: Path) -> None:
    single = sum(len(s.slices) == 1 for s in found)
    if len(chosen.slices) == 1 and single >= MIN_VOLUME:
        raise InputError(
            f"{folder}: each of its {single} images has a series UID of its own, so nothing says that they are one "
            "scan. Export the series again, as one series."
        )
