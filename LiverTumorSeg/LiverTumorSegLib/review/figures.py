"""Everything the lesion table of a session shows: measures, place, the ends of the diameters, the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..grid import Grid, superior_axis
from ..labels import LIVER
from ..pipeline.diameters import draw_diameters
from ..pipeline.lesions import Lesion, LesionParts, measure_parts
from .place import Place, liver_frame, place_of
from .region import Labels, Region, common_box
from .verdicts import Judged, Verdict, Verdicts

Floats = npt.NDArray[np.float64]

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
    grid = Grid.of(image)
    if labels.shape != grid.size[::-1]:
        raise InputError(f"The labelmap has {labels.shape} voxels and the scan {grid.size[::-1]}: open its own scan.")
    parts = _as_parts([lesion.region for lesion in verdicts.lesions])
    if parts is None:
        return ()
    measured = measure_parts(parts, labels == LIVER.value, image, probability)
    frame = liver_frame(labels, grid)
    rows = []
    for judged, lesion in zip(verdicts.lesions, measured, strict=True):
        longest, perpendicular = _diameter_ends(judged, grid)
        axis = 2 - superior_axis(grid.direction)
        place = place_of(frame, lesion.centroid_lps_mm, int(longest[0, axis]), grid)
        ends = (grid.point_mm(index[:, ::-1]) for index in (longest, perpendicular))
        rows.append(LesionFigures(judged.number, judged.verdict, replace(lesion, id=judged.number), place, *ends))
    return tuple(rows)


def _diameter_ends(judged: Judged, grid: Grid) -> tuple[Floats, Floats]:
    """Return the ends of both diameters as indices (z, y, x) of the whole grid."""
    found = draw_diameters(judged.region.mask, grid.spacing_mm[::-1], 2 - superior_axis(grid.direction))
    assert found is not None  # a lesion has voxels
    corner = np.array([float(s.start) for s in judged.region.box])
    return found.longest_zyx + corner, found.perpendicular_zyx + corner


def _as_parts(regions: Sequence[Region]) -> LesionParts | None:
    box = common_box(regions)
    if box is None:
        return None
    corner = tuple(s.start for s in box)
    labels = np.zeros(tuple(s.stop - s.start for s in box), np.int32)
    for value, region in enumerate(regions, 1):
        region.paint(labels, value, corner)
    local = np.nonzero(labels)
    index = np.stack(local) + np.array(corner)[:, None]
    return LesionParts(box, labels, len(regions), index, labels[local])
