"""How far a lesion lies from the outside of the organ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from .postprocess import Mask, bounding_box, fill_holes, widened

Floats = npt.NDArray[np.float64]


class OrganSurface:
    """The outside of an organ, ready to be measured to: made once in a second or two, asked for any lesion in it.

    Parameters
    ----------
    outside : ndarray of bool, [z, y, x]
        What is not the organ, in a box one voxel wider than it where the scan goes on.
    shell : ndarray of int, (n, 3)
        Indices of the voxels outside that touch the organ, in that box; at least one.
    corner : ndarray of int, (3,)
        First voxel of the box in the whole scan.
    spacing_zyx : sequence of float
        Voxel size in mm in array order.
    """

    def __init__(
        self,
        outside: Mask,
        shell: npt.NDArray[np.int64],
        corner: npt.NDArray[np.int64],
        spacing_zyx: Sequence[float],
    ) -> None:
        self._corner, self._spacing = corner[:, None], np.asarray(spacing_zyx, float)
        field = sitk.GetImageFromArray(outside.astype(np.uint8))
        field.SetSpacing(self._spacing[::-1].tolist())
        # A tree query for each voxel deep inside the organ takes ten times as long as one distance map.
        distance = sitk.SignedMaurerDistanceMap(
            field, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
        )
        self._depth = sitk.GetArrayFromImage(distance)
        self._shell, self._tree = shell, cKDTree(shell * self._spacing)

    @staticmethod
    def of(organ: Mask, spacing_zyx: Sequence[float], corner: Sequence[int] = (0, 0, 0)) -> OrganSurface | None:
        """Return the surface of an organ, its holes filled; None without organ or without surface.

        The edge of the array is no surface.

        Parameters
        ----------
        organ : ndarray of bool, [z, y, x]
            The organ, lesions included.
        spacing_zyx : sequence of float
            Voxel size in mm in array order.
        corner : sequence of int
            First voxel of the array in the whole scan.
        """
        tight = bounding_box(organ)
        if tight is None:
            return None
        box = widened(tight)
        outside = ~fill_holes(organ[box])
        shell = np.argwhere(outside & ndimage.binary_dilation(~outside))
        start = np.array([s.start for s in box]) + np.asarray(corner)
        return OrganSurface(outside, shell, start, spacing_zyx) if shell.size else None

    def gaps_mm(self, index_zyx: npt.NDArray[np.int64], ids: npt.NDArray[np.int32]) -> Floats:
        """Return the gap between each lesion and the outside of the organ, in mm, by rising id.

        The gap is measured between voxel faces: a lesion voxel next to an outside voxel has gap 0.

        Parameters
        ----------
        index_zyx : ndarray of int, (3, n)
            Voxels of lesions, in the whole scan; all inside the organ.
        ids : ndarray of int, (n,)
            The lesion of each.
        """
        index = index_zyx - self._corner
        order = np.lexsort((self._depth[tuple(index)], ids))
        _, first = np.unique(ids[order], return_index=True)
        nearest = index[:, order[first]].T
        _, hit = self._tree.query(nearest * self._spacing, workers=-1)
        steps = np.maximum(np.abs(self._shell[hit] - nearest) - 1, 0) * self._spacing
        gaps: Floats = np.sqrt((steps**2).sum(axis=1))
        return gaps
