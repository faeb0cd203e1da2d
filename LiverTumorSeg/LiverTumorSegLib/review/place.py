"""Where a lesion lies, in words: lobe and height by the organ's own shape, and the slice to look at.

The words are an aid for finding it, not anatomy: the plane between the lobes runs through gallbladder fossa and vena
cava, which no label holds. A sagittal plane that leaves 35 % of the organ's volume on the left stands for it (the
usual share of the left hemiliver: Abdalla et al., Surgery 2004); near it nothing is said about the lobe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..grid import Grid, superior_axis
from ..pipeline.postprocess import Box
from .region import Labels

LEFT_SHARE = 0.35
BORDER_MM = 10.0
_STEP = 3

Lobe = Literal["right lobe", "left lobe", "between the lobes", ""]
Height = Literal["superior", "mid-height", "inferior", ""]


@dataclass(frozen=True)
class LiverFrame:
    """The organ's extent in patient coordinates.

    Attributes
    ----------
    lobe_border_mm : float
        Of the sagittal plane between the lobes, towards the patient's left.
    low_mm, high_mm : float
        Lower and upper end of the organ, towards superior.
    """

    lobe_border_mm: float
    low_mm: float
    high_mm: float

    def lobe(self, point_mm: tuple[float, float, float]) -> Lobe:
        """Return the lobe in which a point (LPS mm) lies."""
        beyond = point_mm[0] - self.lobe_border_mm
        if abs(beyond) < BORDER_MM:
            return "between the lobes"
        return "left lobe" if beyond > 0 else "right lobe"

    def height(self, point_mm: tuple[float, float, float]) -> Height:
        """Return the third of the organ's height in which a point (LPS mm) lies."""
        share = (point_mm[2] - self.low_mm) / max(self.high_mm - self.low_mm, 1e-6)
        return "superior" if share > 2 / 3 else "inferior" if share < 1 / 3 else "mid-height"


@dataclass(frozen=True)
class Place:
    """Where a lesion lies.

    Attributes
    ----------
    lobe, height : str
        Empty when there is no liver to go by.
    slice_index : int
        Index of the slice to look at along the axial axis of the array, from 0.
    slice_number, slices : int
        The same counted from 1 at the patient's head, as a reader scrolls, and how many there are.
    """

    lobe: Lobe
    height: Height
    slice_index: int
    slice_number: int
    slices: int

    def words(self) -> str:
        """Return it in words, such as "right lobe, superior, slice 41 of 120 from the top"."""
        parts = [self.lobe, self.height, f"slice {self.slice_number} of {self.slices} from the top"]
        return ", ".join(part for part in parts if part)


def liver_frame(labels: Labels, grid: Grid, box: Box | None) -> LiverFrame | None:
    """Return the extent of the organ (liver and tumour) of a labelmap [z, y, x]; None where there is none.

    Parameters
    ----------
    labels : ndarray of uint8, [z, y, x]
        The whole labelmap.
    grid : Grid
        Of the scan.
    box : tuple of 3 slices or None
        The ``filled_box`` of the labelmap.
    """
    if box is None:
        return None
    corner = np.array([s.start for s in box])
    step = tuple(_STEP if s.stop - s.start > 4 * _STEP else 1 for s in box)
    organ = labels[box][tuple(slice(None, None, n) for n in step)] > 0
    if not organ.any():
        step, organ = (1, 1, 1), labels[box] > 0
    index = np.stack(np.nonzero(organ), axis=1) * np.array(step) + corner
    points = grid.point_mm(index[:, ::-1].astype(float))
    low, high = np.percentile(points[:, 2], (1, 99))
    return LiverFrame(float(np.quantile(points[:, 0], 1 - LEFT_SHARE)), float(low), float(high))


def place_of(frame: LiverFrame | None, centre_mm: tuple[float, float, float], slice_index: int, grid: Grid) -> Place:
    """Return the place of a lesion.

    Parameters
    ----------
    frame : LiverFrame or None
        Of the organ.
    centre_mm : tuple of float
        Centre of the lesion, LPS mm.
    slice_index : int
        The axial slice to look at, usually that of the longest diameter, from 0.
    grid : Grid
        Of the scan.
    """
    axis = superior_axis(grid.direction)
    slices = grid.size[axis]
    upwards = np.reshape(grid.direction, (3, 3))[2, axis] > 0
    number = slices - slice_index if upwards else slice_index + 1
    if frame is None:
        return Place("", "", slice_index, number, slices)
    return Place(frame.lobe(centre_mm), frame.height(centre_mm), slice_index, number, slices)
