"""What a voxel value means: label tables with names, codes and colours, and the density of air."""

from __future__ import annotations

from dataclasses import dataclass

IGNORE = 255
"""Voxel value for "unknown": left out of every loss and metric."""
AIR_HU = -1024.0
"""Value of a voxel outside of what a CT covers."""


@dataclass(frozen=True)
class Code:
    """A coded concept: scheme, value, meaning (SNOMED CT unless said otherwise)."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class Label:
    """One class of a labelmap.

    Attributes
    ----------
    value : int
        Voxel value, 1..254.
    name : str
        Segment name shown to a reader; also the segment ID in files.
    category, type : Code
        DICOM segmented property category and type.
    color : tuple of float
        RGB in 0..1.
    """

    value: int
    name: str
    category: Code
    type: Code
    color: tuple[float, float, float]


ANATOMY = Code("123037004", "Anatomical Structure")
MORPHOLOGY = Code("49755003", "Morphologically Altered Structure")

LIVER = Label(1, "liver", ANATOMY, Code("10200004", "Liver"), (0.87, 0.72, 0.45))
TUMOR = Label(2, "tumor", MORPHOLOGY, Code("108369006", "Neoplasm"), (0.90, 0.25, 0.20))

LIVER_TUMOR = (LIVER, TUMOR)
"""The shipped table: "liver" is the healthy parenchyma, "tumor" lies within the organ."""

_KNOWN = {label.name: label for label in LIVER_TUMOR}
_SPARE_COLORS = ((0.35, 0.65, 0.85), (0.95, 0.80, 0.30), (0.55, 0.75, 0.40), (0.70, 0.45, 0.75), (0.60, 0.60, 0.60))


def label_table(names: tuple[str, ...] | list[str]) -> tuple[Label, ...]:
    """Return the labels 1..n for class names as a bundle stores them (background left out).

    Names the product knows get their SNOMED code and colour; any other name is a generic tissue.
    """
    table = []
    for value, name in enumerate(names, start=1):
        known = _KNOWN.get(name)
        if known is not None:
            table.append(Label(value, known.name, known.category, known.type, known.color))
        else:
            color = _SPARE_COLORS[(value - 1) % len(_SPARE_COLORS)]
            table.append(Label(value, name, MORPHOLOGY, Code("52988006", "Lesion"), color))
    return tuple(table)
