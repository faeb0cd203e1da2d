"""References that lie in a data set of any layout: which label belongs to which case, under which names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.scan.channels import name_of_case

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import list_cases
from LiverTumorSegTraining.data.description import Description
from LiverTumorSegTraining.data.layouts import brats, lits, msd, nnunet, studies, table
from LiverTumorSegTraining.recipe.config import DataConfig

from .pairing import SUFFIXES, KnownReference, case_name

_NOT_CHANNELS = ("case", "patient", "label", "fold", "liver_only")


def references_in(root: Path, description: Description | None) -> list[KnownReference] | None:
    """Return the labelled cases of a data set; None for a plain folder of labelmaps, whose names tell the cases.

    Parameters
    ----------
    root : Path
        Folder or CSV.
    description : Description or None
        What it says of itself.
    """
    found = _layout(root, description)
    if found is None:
        return None
    layout, channels = found
    cases = list_cases(root, DataConfig(layout=layout, channels=channels))
    return [
        KnownReference(case.name, case.label, case.images[0], _aliases(case, channels), case.patient, case.liver_only)
        for case in cases
        if case.label is not None and case.label.exists()
    ]


def _layout(root: Path, description: Description | None) -> tuple[str, list[str]] | None:
    if table.matches(root):
        header = next(csv.reader(table.lines_of(root)), [])
        return "csv", [column for column in header if column not in (*_NOT_CHANNELS, "image")] or ["CT"]
    if not root.is_dir():
        return None
    channels = list(description.channels) if description is not None and description.channels else ["CT"]
    whole = (root / "imagesTr").is_dir()
    found = {
        "nnunet": whole and nnunet.matches(root),
        "msd": whole and msd.matches(root),
        "brats": brats.matches(root),
        "lits": lits.matches(root) and not any(root.glob("segmentation-*")),
    }
    layout = next((name for name, matches in found.items() if matches), None)
    if layout is None and not _has_labelmaps(root) and studies.matches(root):
        layout = "dicom"
    return None if layout is None else (layout, ["FLAIR"] if layout == "brats" else channels)


def _has_labelmaps(root: Path) -> bool:
    return any(path.name.lower().endswith(SUFFIXES) for path in root.iterdir())


def _aliases(case: Case, channels: list[str]) -> frozenset[str]:
    """Return every name under which a prediction of the case may be stored."""
    names = {case.name, case_name(case.images[0]), name_of_case(case.images, channels)}
    if case.label is not None:
        names.add(case_name(case.label))
    return frozenset(names)


def wanted_cases(words: list[str] | None) -> frozenset[str] | None:
    """Return the names that --cases asks for: names, a file with one a line, or a training run (its held-out cases).

    Raises
    ------
    UsageError
        If a run tells no held-out cases, or nothing is named.
    """
    if words is None:
        return None
    names: set[str] = set()
    for word in words:
        path = Path(word)
        if (path / "provenance.json").is_file():
            told = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
            held_out = {case["case"] for case in told.get("cases", []) if case["part"] == "validation"}
            if not held_out:
                raise UsageError(f"--cases: the run {path} held no case out.")
            names |= held_out
        elif path.is_file():
            names |= {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
        else:
            names.add(word)
    if not names:
        raise UsageError(f"--cases {' '.join(words)} names no case.")
    return frozenset(names)
