"""Everything the lesion table of a session shows: measures, place, the ends of the diameters, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..grid import Grid, superior_axis
from ..labels import LIVER
from ..pipeline.diameters import draw_diameters
from ..pipeline.lesions import Lesion, LesionParts, measure_parts
from ..pipeline.organ_surface import OrganSurface
from ..pipeline.postprocess import Box, Mask, widened
from .place import LiverFrame, Place, liver_frame, place_of
from .region import Labels, Region, common_box, filled_box
from .verdicts import Judged, Verdict, Verdicts

Floats = npt.NDArray[np.float64]
_Key = tuple[tuple[tuple[int, int], ...], bytes]

MEASURES = (
    "volume_ml",
    "diameter_mm",
    "perpendicular_mm",
    "mean_hu",
    "sd_hu",
    "mean_probability",
    "distance_to_liver_surface_mm",
    "voxels",
)
"""The measures of a `Lesion` that a session's table of lesions writes, in this order."""


@dataclass(frozen=True, eq=False)
class LesionFigures:
    """One row of the table.

    Attributes
    ----------
    number : int
        Of the lesion in the session.
    verdict : {"", "accept", "reject", "unsure"}
        What the reader said.
    lesion : Lesion
        Its measures; its id is the number.
    place : Place
        Where it lies; its slice is that of the diameters.
    longest_lps_mm, perpendicular_lps_mm : ndarray (2, 3)
        Ends of the two diameters in patient coordinates.
    """

    number: int
    verdict: Verdict
    lesion: Lesion
    place: Place
    longest_lps_mm: Floats
    perpendicular_lps_mm: Floats


def measure_session(
    verdicts: Verdicts, labels: Labels, image: sitk.Image, probability: sitk.Image | None = None
) -> tuple[LesionFigures, ...]:
    """Measure every lesion of a session, the rejected ones too, in the order of their numbers.

    Parameters
    ----------
    verdicts : Verdicts
        Of this labelmap.
    labels : ndarray of uint8, [z, y, x]
        0, 1 liver, 2 tumour.
    image : sitk.Image
        CT in HU on the same grid.
    probability : sitk.Image, optional
        The kept tumour probability; leave it out after an edit by hand if the mean over what was drawn is unwanted.

    Raises
    ------
    InputError
        When labelmap and image are of different sizes.
    """
    return SessionFigures(sitk.GetArrayViewFromImage(image), Grid.of(image)).measure(verdicts, labels, probability)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What depends on a lesion's own voxels, and the gap, which depends on the organ as well."""

    lesion: Lesion
    longest_lps_mm: Floats
    perpendicular_lps_mm: Floats
    slice_index: int


class SessionFigures:
    """The figures of one scan's session, taken again only where voxels changed.

    Parameters
    ----------
    hu : ndarray, [z, y, x]
        The CT; must not change.
    grid : Grid
        Its grid.
    """

    def __init__(self, hu: npt.NDArray[np.generic], grid: Grid) -> None:
        self._hu, self._grid = hu, grid
        self._known: dict[_Key, _Measured] = {}
        self._box: Box | None = None
        self._organ: Mask | None = None
        self._frame: LiverFrame | None = None
        self._surface: OrganSurface | None = None
        self._surface_is_known = False

    def measure(
        self, verdicts: Verdicts, labels: Labels, probability: sitk.Image | None = None, gaps: bool = True
    ) -> tuple[LesionFigures, ...]:
        """Measure every lesion, the rejected ones too, in the order of their numbers.

        Parameters
        ----------
        verdicts : Verdicts
            Of this labelmap.
        labels : ndarray of uint8, [z, y, x]
            0, 1 liver, 2 tumour.
        probability : sitk.Image, optional
            For lesions that were not measured yet; one that stayed as it was keeps its mean.
        gaps : bool
            Measure the distance to the liver's surface too. Without, it is None for what changed, all of them when the
            organ's outline did: that measure alone takes a second or two on a large scan.

        Raises
        ------
        InputError
            When labelmap and image are of different sizes.
        """
        if labels.shape != self._grid.size[::-1]:
            raise InputError(
                f"The labelmap has {labels.shape} voxels and the scan {self._grid.size[::-1]}: open its own scan."
            )
        self._follow_organ(labels)
        keys = [_key(judged.region) for judged in verdicts.lesions]
        new = {key: each.region for key, each in zip(keys, verdicts.lesions, strict=True) if key not in self._known}
        self._known.update(self._measured(new, probability))
        # One that is gone may come back by undo; what was known of it is of no use after many edits.
        self._known = {key: self._known[key] for key in keys}
        if gaps:
            self._measure_gaps(dict(zip(keys, (each.region for each in verdicts.lesions), strict=True)), labels)
        return tuple(self._row(judged, self._known[key]) for judged, key in zip(verdicts.lesions, keys, strict=True))

    def adopt(self, verdicts: Verdicts, kept: Mapping[int, Mapping[str, Any]]) -> None:
        """Take over what an earlier measuring knew and this one could not: distance to the surface, network score.

        Parameters
        ----------
        verdicts : Verdicts
            As they were measured last.
        kept : mapping of int to mapping
            By number what was kept of a `Lesion`; counts only where the lesion has as many voxels as then.
        """
        for judged in verdicts.lesions:
            key, old = _key(judged.region), kept.get(judged.number, {})
            known = self._known.get(key)
            if known is None or known.lesion.voxels != old.get("voxels"):
                continue
            lesion = known.lesion
            if lesion.distance_to_liver_surface_mm is None:
                lesion = replace(lesion, distance_to_liver_surface_mm=old.get("distance_to_liver_surface_mm"))
            if lesion.mean_probability is None:
                lesion = replace(lesion, mean_probability=old.get("mean_probability"))
            self._known[key] = replace(known, lesion=lesion)

    def _follow_organ(self, labels: Labels) -> None:
        """Forget what depends on the organ's outline when that changed."""
        box = filled_box(labels)
        organ = None if box is None else labels[box] > 0
        if box == self._box and (organ is None or self._organ is None or np.array_equal(organ, self._organ)):
            return
        self._box, self._organ = box, organ
        self._frame = liver_frame(labels, self._grid, box)
        self._surface, self._surface_is_known = None, False
        self._known = {key: _with_gap(known, None) for key, known in self._known.items()}

    def _measured(self, regions: Mapping[_Key, Region], probability: sitk.Image | None) -> dict[_Key, _Measured]:
        if not regions:
            return {}
        first_voxel = self._grid.crop(np.zeros(3, int), np.ones(3, int)).image(np.zeros((1, 1, 1), np.uint8))
        lesions = measure_parts(_parts(list(regions.values())), None, self._hu, first_voxel, probability)
        measured = {}
        for (key, region), lesion in zip(regions.items(), lesions, strict=True):
            longest, perpendicular = _diameter_ends(region, self._grid)
            axis = 2 - superior_axis(self._grid.direction)
            first, second = (self._grid.point_mm(index[:, ::-1]) for index in (longest, perpendicular))
            measured[key] = _Measured(lesion, first, second, int(longest[0, axis]))
        return measured

    def _measure_gaps(self, regions: Mapping[_Key, Region], labels: Labels) -> None:
        """Measure the distance to the surface where it is not known; stays None without liver or surface."""
        wanted = {key: r for key, r in regions.items() if self._known[key].lesion.distance_to_liver_surface_mm is None}
        if not wanted or self._organ is None or self._box is None or not (labels[self._box] == LIVER.value).any():
            return
        if not self._surface_is_known:
            margin = widened(self._box)
            corner = tuple(s.start for s in margin)
            self._surface = OrganSurface.of(labels[margin] > 0, self._grid.spacing_mm[::-1], corner)
            self._surface_is_known = True
        if self._surface is None:
            return
        parts = _parts(list(wanted.values()))
        for key, gap in zip(wanted, self._surface.gaps_mm(parts.index_zyx, parts.ids), strict=True):
            self._known[key] = _with_gap(self._known[key], float(gap))

    def _row(self, judged: Judged, known: _Measured) -> LesionFigures:
        lesion = replace(known.lesion, id=judged.number)
        place = place_of(self._frame, lesion.centroid_lps_mm, known.slice_index, self._grid)
        ends = known.longest_lps_mm, known.perpendicular_lps_mm
        return LesionFigures(judged.number, judged.verdict, lesion, place, *ends)


def _key(region: Region) -> _Key:
    """Return what tells two regions apart."""
    return tuple((s.start, s.stop) for s in region.box), np.packbits(region.mask).tobytes()


def _with_gap(known: _Measured, gap_mm: float | None) -> _Measured:
    return replace(known, lesion=replace(known.lesion, distance_to_liver_surface_mm=gap_mm))


def _diameter_ends(region: Region, grid: Grid) -> tuple[Floats, Floats]:
    """Return the ends of both diameters as indices (z, y, x) of the whole grid."""
    found = draw_diameters(region.mask, grid.spacing_mm[::-1], 2 - superior_axis(grid.direction))
    assert found is not None  # a lesion has voxels
    corner = np.array([float(s.start) for s in region.box])
    return found.longest_zyx + corner, found.perpendicular_zyx + corner


def _parts(regions: Sequence[Region]) -> LesionParts:
    box = common_box(regions)
    assert box is not None  # there is a region
    corner = tuple(s.start for s in box)
    labels = np.zeros(tuple(s.stop - s.start for s in box), np.int32)
    for value, region in enumerate(regions, 1):
        region.paint(labels, value, corner)
    local = np.nonzero(labels)
    index = np.stack(local) + np.array(corner)[:, None]
    return LesionParts(box, labels, len(regions), index, labels[local])
