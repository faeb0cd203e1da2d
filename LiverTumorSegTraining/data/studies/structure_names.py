"""Which label a structure of a study is: by its name, or as ``structures.json`` of the data set says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import canonical_name, plain_name
from LiverTumorSegLib.labels import TUMOR, value_of

FILE = "structures.json"
ALL_OTHERS = "*"
_LEVELS = 4
_USUAL = ("liver", "tumor")
_TUMOR_WORDS = frozenset(
    {"gtv", "gtvp", "gtv p", "gtv t", "gross tumor volume", "mass", "metastasis", "metastase", "hcc"}
)
"""What the tumour is called in radiotherapy and in public sets of livers."""
_NUMBER = re.compile(r"\s*\d+$")


@dataclass(frozen=True)
class StructureMap:
    """What a data set's ``structures.json`` says.

    Attributes
    ----------
    path : Path
        That file, or where it would lie.
    names : mapping of str to (str or None)
        Plain name of a structure -> label, None: left out. The key ``*`` stands for all that have no entry and no
        label of their own name.
    """

    path: Path
    names: Mapping[str, str | None] = field(default_factory=dict)

    def label_of(self, structure: str, labels: Iterable[str] | None = None) -> str | None:
        """Return the label that a structure belongs to; None when it is left out.

        Parameters
        ----------
        structure : str
            As the study names it.
        labels : iterable of str, optional
            Labels that are asked for, which ``*`` does not cover.
        """
        plain = plain_name(structure)
        if plain in self.names:
            return self.names[plain]
        found = _NUMBER.sub("", plain) or plain
        name = TUMOR.name if found in _TUMOR_WORDS else canonical_name(found)
        wanted = [*(labels or _USUAL), *filter(None, self.names.values())]
        if ALL_OTHERS in self.names and value_of(name, wanted) is None:
            return self.names[ALL_OTHERS]
        return name


def structure_map(folder: Path) -> StructureMap:
    """Return the ``structures.json`` of a study: in its folder or the nearest of those above.

    Raises
    ------
    InputError
        If the file is no object of names and labels.
    """
    folder = Path(folder).resolve()
    for above in (folder, *list(folder.parents)[:_LEVELS]):
        path = above / FILE
        if path.is_file():
            return StructureMap(path, _read(path))
    return StructureMap(folder.parent / FILE)


def _read(path: Path) -> dict[str, str | None]:
    advice = 'it must be an object of structure and label, such as {"Mass": "tumor", "BODY": null}'
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): {advice}.") from error
    if not isinstance(content, dict) or not all(value is None or isinstance(value, str) for value in content.values()):
        raise InputError(f"{path} cannot be used: {advice}; null leaves a structure out.")
    return {
        name if name == ALL_OTHERS else plain_name(name): None if label is None else canonical_name(label)
        for name, label in content.items()
    }


def unknown_structures(names: Iterable[str], mapping: StructureMap, labels: list[str]) -> list[str]:
    """Return the structures, as the studies name them, that belong to no label and are not left out."""
    unknown = []
    for name in names:
        label = mapping.label_of(name, labels)
        if label is not None and value_of(label, labels) is None:
            unknown.append(name)
    return unknown


def advice_for(unknown: Iterable[str], mapping: StructureMap, labels: list[str]) -> str:
    """Return the end of a sentence that refuses structures: what they are not, and how to say what they are."""
    example = json.dumps(dict.fromkeys(list(dict.fromkeys(unknown))[:3]))
    return (
        f"none of the labels {', '.join(labels)}: name them in data.labels, or say in {mapping.path} what they are, "
        f"such as {example} (a label in place of null; null leaves a structure out)"
    )
