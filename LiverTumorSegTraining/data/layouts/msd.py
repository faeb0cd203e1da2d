"""Medical Segmentation Decathlon: dataset.json with the list "training", imagesTr, labelsTr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case, without_suffix


def matches(root: Path) -> bool:
    """Return whether dataset.json lists the training cases."""
    return isinstance(read_description(root).get("training"), list)


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the cases of the list "training"; several channels lie in one 4D file."""
    cases = []
    for entry in read_description(root).get("training", []):
        # An entry is {"image": ..., "label": ...}, or only the image when there is no annotation.
        image = entry if isinstance(entry, str) else entry.get("image")
        label = None if isinstance(entry, str) else entry.get("label")
        if not isinstance(image, str):
            raise InputError(f"{root / 'dataset.json'}: an entry of training names no image: {entry!r}.")
        name = without_suffix(Path(image))
        cases.append(Case(name, "", (root / image,), root / label if label else None))
    return cases


def read_description(root: Path) -> dict[str, Any]:
    """Return the content of dataset.json; empty when there is none.

    Raises
    ------
    InputError
        If it is not valid JSON.
    """
    path = root / "dataset.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): correct it or copy the data set again.") from error
    return content if isinstance(content, dict) else {}
