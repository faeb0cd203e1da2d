"""What a voxel value means: label tables with names, codes and colours, and the density of air."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from .labelnames import canonical_name

IGNORE = 255
"""Voxel value for "unknown": left out of every loss and metric."""
NO_LABEL = 254
"""A voxel value that no class has; training keeps it for "some class of the foreground"."""
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
TISSUE = Code("85756007", "Tissue")

LIVER = Label(1, "liver", ANATOMY, Code("10200004", "Liver"), (0.87, 0.72, 0.45))
TUMOR = Label(2, "tumor", MORPHOLOGY, Code("108369006", "Neoplasm"), (0.90, 0.25, 0.20))

LIVER_TUMOR = (LIVER, TUMOR)
"""The shipped table: "liver" is the healthy parenchyma, "tumor" lies within the organ."""

_KNOWN = {label.name: (label.category, label.type, label.color) for label in LIVER_TUMOR} | {
    canonical_name(name): (category, Code(value, meaning), color)
    for name, category, value, meaning, color in (
        ("spleen", ANATOMY, "78961009", "Spleen", (0.62, 0.44, 0.31)),
        ("kidney", ANATOMY, "64033007", "Kidney", (0.73, 0.40, 0.32)),
        ("left kidney", ANATOMY, "64033007", "Kidney", (0.73, 0.40, 0.32)),
        ("right kidney", ANATOMY, "64033007", "Kidney", (0.83, 0.50, 0.42)),
        ("pancreas", ANATOMY, "15776009", "Pancreas", (0.98, 0.71, 0.62)),
        ("gallbladder", ANATOMY, "28231008", "Gallbladder", (0.55, 0.68, 0.20)),
        ("stomach", ANATOMY, "69695003", "Stomach", (0.85, 0.52, 0.53)),
        ("duodenum", ANATOMY, "38848004", "Duodenum", (1.00, 0.99, 0.90)),
        ("esophagus", ANATOMY, "32849002", "Esophagus", (0.83, 0.67, 0.62)),
        ("aorta", ANATOMY, "15825003", "Aorta", (0.88, 0.38, 0.30)),
        ("inferior vena cava", ANATOMY, "64131007", "Inferior vena cava", (0.00, 0.59, 0.81)),
        ("portal vein", ANATOMY, "32764006", "Portal vein", (0.00, 0.45, 0.70)),
        ("hepatic vein", ANATOMY, "8993003", "Hepatic vein", (0.20, 0.60, 0.85)),
        ("hepatic vessel", ANATOMY, "59820001", "Blood vessel", (0.15, 0.50, 0.80)),
        ("vessel", ANATOMY, "59820001", "Blood vessel", (0.15, 0.50, 0.80)),
        ("bile duct", ANATOMY, "28273000", "Bile duct", (0.00, 0.57, 0.12)),
        ("lung", ANATOMY, "39607008", "Lung", (0.77, 0.64, 0.47)),
        ("heart", ANATOMY, "80891009", "Heart", (0.81, 0.43, 0.34)),
        ("brain", ANATOMY, "12738006", "Brain", (0.98, 0.98, 0.88)),
        ("cyst", MORPHOLOGY, "441457006", "Cyst", (0.35, 0.65, 0.85)),
        ("necrotic core", MORPHOLOGY, "6574001", "Necrosis", (0.85, 0.80, 0.30)),
        ("edema", MORPHOLOGY, "79654002", "Edema", (0.55, 0.88, 0.89)),
        ("non enhancing tumor", MORPHOLOGY, "108369006", "Neoplasm", (0.70, 0.45, 0.75)),
        ("enhancing tumor", MORPHOLOGY, "108369006", "Neoplasm", (0.93, 0.35, 0.30)),
        ("bladder", ANATOMY, "89837001", "Bladder", (0.87, 0.60, 0.13)),
        ("prostate", ANATOMY, "41216001", "Prostate", (0.90, 0.62, 0.55)),
    )
}
"""Category, type and colour by canonical name; organs have the colours of Slicer's own table where it has them."""
_GOLDEN_RATIO = 0.618


def label_table(names: tuple[str, ...] | list[str]) -> tuple[Label, ...]:
    """Return the labels 1..n for class names as a bundle stores them (background left out).

    Names that are known, in whatever spelling, get their SNOMED code and colour; any other name is a tissue with a
    colour of its own.
    """
    table = []
    for value, name in enumerate(names, start=1):
        known = _KNOWN.get(canonical_name(name))
        if known is not None:
            category, code, color = known
        else:
            category, code, color = TISSUE, TISSUE, _spare_color(value)
        table.append(Label(value, name, category, code, color))
    return tuple(table)


def value_of(name: str, names: tuple[str, ...] | list[str]) -> int | None:
    """Return the voxel value of a class, by any word for it, in the order of a bundle; None when it has none."""
    wanted = canonical_name(name)
    return next((value for value, other in enumerate(names, 1) if canonical_name(other) == wanted), None)


def _spare_color(value: int) -> tuple[float, float, float]:
    """Return a colour for a value: hues far apart for neighbours, three levels of brightness."""
    red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN_RATIO % 1, 0.55, (0.95, 0.8, 0.65)[value % 3])
    return round(red, 3), round(green, 3), round(blue, 3)
