"""RTSTRUCT: closed contours in patient coordinates become voxels of the CT they were drawn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.scan.dicomheader import quiet_pydicom

_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"})
_BETWEEN_SLICES = 0.25
"""Part of the slice distance by which a contour may lie beside its slice."""

Mask = npt.NDArray[np.bool_]


def contour_masks(path: Path, grid: Grid) -> list[tuple[str, Mask]]:
    """Return the structures of an RTSTRUCT with a closed contour.

    A voxel belongs to a structure when its centre lies inside an odd number of the structure's contours of that slice:
    a contour within another is a hole.

    Parameters
    ----------
    path : Path
        The RTSTRUCT.
    grid : Grid
        Of the CT, the slices along its third axis.

    Returns
    -------
    list of (str, ndarray of bool, [z, y, x])
        Name as it stands in the file, and voxels; one entry for each ROI, several may have one name.

    Raises
    ------
    InputError
        If it cannot be read, or contours lie between the slices, outside of the CT, or on every n-th slice only.
    """
    with quiet_pydicom() as pydicom:
        try:
            content = pydicom.dcmread(path, force=True)
            names = {int(one.ROINumber): str(one.get("ROIName", "")) for one in content.StructureSetROISequence}
            drawn = [
                (names.get(int(one.ReferencedROINumber), ""), _contours(one))
                for one in content.get("ROIContourSequence", [])
            ]
        except Exception as error:  # pydicom converts values late and raises whatever a damaged one provokes
            raise InputError(f"{path} is damaged or holds no structures: export it again.") from error
    return [(name, _filled(contours, grid, f"{path}: the structure {name!r}")) for name, contours in drawn if contours]


def _contours(roi: Any) -> list[npt.NDArray[np.float64]]:
    found = []
    for contour in roi.get("ContourSequence", []):
        kind = str(contour.get("ContourGeometricType", "")).upper()
        points = np.asarray(contour.get("ContourData", []), dtype=float).reshape(-1, 3)
        if kind in _CLOSED and len(points) > 2:
            found.append(points)
    return found


def _filled(contours: list[npt.NDArray[np.float64]], grid: Grid, what: str) -> Mask:
    try:
        from skimage.draw import polygon
    except ImportError as error:
        raise UsageError(
            "Reading RTSTRUCT needs the package scikit-image: install it with 'pip install scikit-image'."
        ) from error
    columns, rows, slices = grid.size
    mask = np.zeros((slices, rows, columns), dtype=bool)
    for points in contours:
        index = grid.index(points)
        number = round(float(index[:, 2].mean()))
        if np.abs(index[:, 2] - number).max() > _BETWEEN_SLICES:
            raise InputError(
                f"{what} has a contour between the slices of the CT: it was drawn on another series or other planes. "
                "Export it with the CT it was drawn on."
            )
        if not 0 <= number < slices or index[:, :2].min() < -1 or (index[:, :2].max(0) > (columns, rows)).any():
            raise InputError(f"{what} reaches beyond the CT: export it with the CT it was drawn on.")
        inside = polygon(index[:, 1], index[:, 0], (rows, columns))
        # What lies in an odd number of contours is inside: a second one cuts a hole, in whatever order they come.
        mask[number][inside] ^= True
    _refuse_stripes(mask, what)
    return mask


def _refuse_stripes(mask: Mask, what: str) -> None:
    """Refuse contours on every second or third slice, of which a network would learn stripes."""
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    if len(drawn) > 2 and (step := float(np.median(np.diff(drawn)))) >= 2:
        raise InputError(
            f"{what} has contours on one slice in {step:g} only: let the program that drew it interpolate "
            "the slices between, and export it again."
        )
