"""Regions: which voxel values of a labelmap make up the thing that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.labels import IGNORE, LIVER, TUMOR
from LiverTumorSegLib.output.labelvalues import meant_values

from .pairing import CasePaths


@dataclass(frozen=True)
class Region:
    """A union of label values under one name.

    Attributes
    ----------
    name : str
        Shown in tables and used as a key in files.
    values : tuple of int
        Voxel values, 1..254, whose union is the region.
    lesions : bool
        Whether its connected components are counted as lesions.
    """

    name: str
    values: tuple[int, ...]
    lesions: bool = False

    def mask(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Return the region's voxels of a labelmap [z, y, x]."""
        table = np.zeros(256, dtype=bool)
        table[list(self.values)] = True
        return table[labels]


@dataclass(frozen=True)
class Scheme:
    """The regions of one evaluation and the names their label values go by in segmentation files.

    Attributes
    ----------
    regions : tuple of Region
    names : dict of str to int
        Canonical name (`LiverTumorSegLib.labelnames`) -> label value, for files whose values have names.
    ignore : int or None
        Value of voxels whose truth is unknown, or None when the data have none.
    """

    regions: tuple[Region, ...]
    names: dict[str, int]
    ignore: int | None = IGNORE

    @property
    def values(self) -> frozenset[int]:
        """Every label value some region uses."""
        return frozenset(value for region in self.regions for value in region.values)

    def region(self, name: str) -> Region:
        """Return a region by name."""
        return next(region for region in self.regions if region.name == name)

    def needs_tumors(self, region: Region) -> bool:
        """Tell whether a region cannot be judged where only the liver was annotated: it parts liver from tumour."""
        organ = {self.names.get(label.name, label.value) for label in (LIVER, TUMOR)}
        return bool(organ & set(region.values)) and not organ <= set(region.values)


LIVER_TUMOR = Scheme(
    regions=(Region("liver", (1, 2)), Region("tumor", (2,), lesions=True)),
    names={"liver": 1, "tumor": 2},
)
"""The product's convention: 1 is parenchyma, 2 tumour, so the organ is the union (as in LiTS)."""

BRATS = Scheme(
    regions=(
        Region("WT", (1, 2, 3, 4), lesions=True),
        Region("TC", (1, 3, 4), lesions=True),
        Region("ET", (4,), lesions=True),
    ),
    names={"necrotic core": 1, "edema": 2, "non enhancing tumor": 3, "enhancing tumor": 4},
)
"""Whole tumour, tumour core, enhancing tumour; value 3 exists up to BraTS 2016 and is merged into 1 later."""

PRESETS = {"liver-tumor": LIVER_TUMOR, "brats": BRATS}


def parse_regions(words: list[str]) -> Scheme:
    """Return the scheme that the command line asks for.

    Parameters
    ----------
    words : list of str
        One preset name (``liver-tumor``, ``brats``), or definitions such as ``liver=1,2 tumor=2``.

    Raises
    ------
    UsageError
        For an unknown preset or a malformed definition.
    """
    if len(words) == 1 and words[0] in PRESETS:
        return PRESETS[words[0]]
    regions = tuple(_parse_region(word) for word in words)
    names = [region.name for region in regions]
    if not regions or len(set(names)) != len(names):
        raise UsageError("--regions needs at least one region, each under its own name, such as liver=1,2 tumor=2.")
    single = {canonical_name(region.name): region.values[0] for region in regions if len(region.values) == 1}
    known = {name: value for name, value in LIVER_TUMOR.names.items() if set(names) <= {"liver", "tumor"}}
    regions = (*regions[:-1], Region(regions[-1].name, regions[-1].values, lesions=True))
    return Scheme(regions, {**known, **single})


def with_lesions(scheme: Scheme, lesion_regions: list[str] | None) -> Scheme:
    """Return a scheme with the components of these regions as lesions; unchanged when None.

    Raises
    ------
    UsageError
        For a region that the scheme does not have.
    """
    if lesion_regions is None:
        return scheme
    unknown = sorted(set(lesion_regions) - {region.name for region in scheme.regions})
    if unknown:
        raise UsageError(f"--lesion-regions names {', '.join(unknown)}, which --regions does not define.")
    chosen = tuple(Region(r.name, r.values, lesions=r.name in lesion_regions) for r in scheme.regions)
    return Scheme(chosen, scheme.names, scheme.ignore)


def judged_scheme(scheme: Scheme, cases: Sequence[CasePaths]) -> Scheme:
    """Return the scheme without the regions that no case can be judged by: tumours, if only livers were annotated.

    Raises
    ------
    InputError
        If no region is left.
    """
    if not cases or not all(case.liver_only for case in cases):
        return scheme
    regions = tuple(region for region in scheme.regions if not scheme.needs_tumors(region))
    if not regions:
        raise InputError(
            "Only the liver was annotated in every reference (column liver_only), so there is nothing to score "
            f"{', '.join(region.name for region in scheme.regions)} against: give references with tumours, or score "
            "the organ with --regions liver=1,2."
        )
    return Scheme(regions, scheme.names, scheme.ignore)


def _parse_region(word: str) -> Region:
    name, equals, listed = word.partition("=")
    values = listed.split(",")
    if not name or not equals or not all(value.strip().isdigit() for value in values):
        raise UsageError(
            f"'{word}' is neither a preset ({', '.join(PRESETS)}) nor a region such as tumor=2 or liver=1,2."
        )
    numbers = tuple(sorted({int(value) for value in values}))
    if not all(1 <= number <= 254 for number in numbers):
        raise UsageError(f"Region '{name}': label values lie between 1 and 254 (255 means ignore).")
    return Region(name, numbers)


def canonical_labels(
    labels: npt.NDArray[np.generic], segments: dict[str, int], scheme: Scheme, what: str
) -> npt.NDArray[np.uint8]:
    """Return a labelmap in the scheme's values, using segment names where the file has them.

    Parameters
    ----------
    labels : ndarray, [z, y, x]
        As read from the file.
    segments : dict of str to int
        Name -> value in this file; empty where nothing tells names.
    scheme : Scheme
    what : str
        Case and role, for error messages ("case 12, prediction").

    Returns
    -------
    ndarray of uint8, [z, y, x]

    Raises
    ------
    InputError
        For values that are not whole numbers or that no region uses, and when only some segment names are known.
    """
    allowed = {region.name: region.values for region in scheme.regions}
    return meant_values(labels, segments, scheme.names, allowed, scheme.ignore, what)
