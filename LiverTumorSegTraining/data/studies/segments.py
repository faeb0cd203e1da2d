"""DICOM SEG: the segments become voxels of the CT they were drawn on, read with highdicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.output.dicomseg import require_highdicom
from LiverTumorSegLib.scan.dicomheader import quiet_pydicom

_LOST = 0.05
"""Part of a segment's volume that may be lost where its grid is another than the CT's."""
_SET = 0.5


def segment_masks(path: Path, grid: Grid) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Return the segments of a DICOM SEG that are not empty.

    Slices for which the object holds no frame are empty. Its frames may lie in any order, on a part of the CT's slices
    or on another grid; each voxel of the CT takes the nearest of the segment.

    Parameters
    ----------
    path : Path
        The SEG.
    grid : Grid
        Of the CT.

    Returns
    -------
    list of (str, ndarray of bool, [z, y, x])
        Segment label and voxels; several may have one label.

    Raises
    ------
    InputError
        If it cannot be read, is no regular volume, or reaches beyond the CT.
    """
    require_highdicom()
    import highdicom

    with quiet_pydicom():
        try:
            content = highdicom.seg.segread(path)
            volume = content.get_volume(combine_segments=False, dtype=np.float32)
            labels = [str(content.get_segment_description(number).segment_label) for number in content.segment_numbers]
            voxels, affine = np.asarray(volume.array), np.asarray(volume.affine)
        except Exception as error:  # highdicom raises whatever a damaged or irregular object provokes
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(
                f"{path} cannot be read as a segmentation ({reason}): export it again, or as RTSTRUCT."
            ) from error
    return [
        (label, _on_grid(voxels[..., place] >= _SET, affine, grid, f"{path}: the segment {label!r}"))
        for place, label in enumerate(labels)
        if (voxels[..., place] >= _SET).any()
    ]


def _on_grid(
    voxels: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64], grid: Grid, what: str
) -> npt.NDArray[np.bool_]:
    """Return a mask, whose axes the affine maps to LPS mm in their order, on a grid."""
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    own = Grid(
        _three(voxels.shape), _three(spacing), _three(affine[:3, 3]), tuple(float(v) for v in (axes / spacing).ravel())
    )
    image = own.image(voxels.transpose(2, 1, 0).astype(np.uint8))
    target = grid.image(np.zeros(grid.size[::-1], np.uint8))
    placed = sitk.GetArrayFromImage(sitk.Resample(image, target, sitk.Transform(), sitk.sitkNearestNeighbor))
    before = float(voxels.sum() * np.prod(spacing))
    after = float(placed.sum() * np.prod(grid.spacing_mm))
    if abs(after - before) > _LOST * before + np.prod(grid.spacing_mm):
        raise InputError(
            f"{what} has {before / 1000:.3g} ml, of which the slices of the CT take {after / 1000:.3g} ml: it reaches "
            "beyond the CT, or was drawn on another series. Export it with the CT it was drawn on."
        )
    return placed.astype(bool)


def _three(values) -> tuple:  # type: ignore[no-untyped-def, type-arg]  # a tuple of three numbers of one kind
    return tuple(value.item() if hasattr(value, "item") else value for value in values)
