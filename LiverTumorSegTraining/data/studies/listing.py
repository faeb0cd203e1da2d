"""What the structures of all studies of a data set are: which label each one is, and who lacks which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.labels import LIVER, TUMOR, value_of

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.studies.label_objects import label_files, label_objects, read_object
from LiverTumorSegTraining.data.studies.structure_names import StructureMap, advice_for, structure_map


@dataclass(frozen=True)
class Structure:
    """One structure of one study: its name in the file, the label it is (None: left out), and where it lies."""

    case: str
    name: str
    label: str | None
    object: str


def labels_of_studies(root: Path) -> list[str]:
    """Return the label of every structure below a folder, liver and tumour first, without those that are left out."""
    found: set[str] = set()
    for path in label_files(root):
        one, mapping = read_object(path), structure_map(path.parent)
        found |= {label for name in (one.names if one else ()) if (label := mapping.label_of(name)) is not None}
    first = [name for name in (LIVER.name, TUMOR.name) if name in found]
    return [*first, *sorted(found - set(first))]


def structures_of(cases: Sequence[Case], labels: list[str]) -> list[Structure]:
    """Return every structure of the cases that are studies, in their order."""
    found = []
    for case in cases:
        if case.label is None or not case.label.is_dir():
            continue
        mapping = structure_map(case.label)
        for one in label_objects(case.label):
            for name in one.names:
                found.append(Structure(case.name, name, mapping.label_of(name, labels), one.path.name))
    return found


def structures_in_words(cases: Sequence[Case], labels: list[str]) -> list[str]:
    """Return a line for each label: under which names it was found, and which studies lack it."""
    structures = structures_of(cases, labels)
    studies = [case.name for case in cases if case.label is not None and case.label.is_dir()]
    lines = []
    for label in [*labels, None]:
        mine = [one for one in structures if _same(one.label, label)]
        if label is None and not mine:
            continue
        names = ", ".join(f"{name!r} ({count})" for name, count in Counter(one.name for one in mine).most_common())
        holders = {one.case for one in mine}
        lacking = [name for name in studies if name not in holders] if label is not None else []
        told = f"{label or 'left out'}: {names or 'no structure'}"
        lines.append(told + (f"; not in {', '.join(lacking)}" if lacking else ""))
    return lines if studies else []


def doubtful_unions(cases: Sequence[Case], labels: list[str]) -> list[str]:
    """Return a sentence for each study in which several objects hold one label: two versions of it, perhaps."""
    places: dict[tuple[str, str], set[str]] = {}
    for one in structures_of(cases, labels):
        if one.label is not None:
            places.setdefault((one.case, canonical_name(one.label)), set()).add(one.object)
    return [
        f"{case} holds {label} in {len(objects)} objects ({', '.join(sorted(objects))}), whose union is taken: remove "
        "what is an older version."
        for (case, label), objects in places.items()
        if len(objects) > 1
    ]


def refuse_unknown(root: Path, labels: list[str]) -> None:
    """Refuse structures that are no label and not left out, before anything is read.

    Raises
    ------
    InputError
        Naming them, how many objects hold each, and where to say what they are.
    """
    count: Counter[str] = Counter()
    mapping: StructureMap | None = None
    for path in label_files(root):
        one, here = read_object(path), structure_map(path.parent)
        strange = [
            name
            for name in (one.names if one else ())
            if (label := here.label_of(name, labels)) is not None and value_of(label, labels) is None
        ]
        count.update(strange)
        mapping = here if strange else mapping
    if mapping is not None:
        listed = ", ".join(f"{name} ({number})" for name, number in count.most_common())
        if not mapping.names:
            mapping = StructureMap(Path(root) / mapping.path.name)
        raise InputError(f"{root} holds the structures {listed}, which are {advice_for(count, mapping, labels)}.")


def _same(one: str | None, other: str | None) -> bool:
    return one is other if one is None or other is None else canonical_name(one) == canonical_name(other)
