"""DICOM slices to one volume on a rectangular grid: uneven gaps are interpolated, gantry tilt is undone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import MAX_SHEAR, Floats, nearest_orthonormal, shear_of
from ..labels import AIR_HU
from .itk import itk_warnings_off

# A slice this far (in slice distances, or pixels) from its even place counts as displaced.
_DISPLACED = 0.1
_MAX_GAP = 2.5
_MAX_GAP_MM = 12.0

Voxels = npt.NDArray[np.int16] | npt.NDArray[np.float32]


def stack_slices(
    files: Sequence[Path], positions: Floats, orientation: Sequence[float], pixel_spacing: Sequence[float]
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read slices in the given order as one volume.

    Parameters
    ----------
    files : sequence of Path
        DICOM slices ordered along the slice normal.
    positions : ndarray (n, 3)
        Centre of the first pixel of each slice, LPS mm.
    orientation : sequence of 6 floats
        Direction cosines along a row and down a column.
    pixel_spacing : sequence of 2 floats
        Distance between rows and between columns in mm, as DICOM orders them.

    Returns
    -------
    image : sitk.Image
        int16 (float32 where the values do not fit), right-handed, axes at right angles.
    findings : tuple of Finding
        Gantry tilt or uneven gaps that were resampled away.

    Raises
    ------
    InputError
        Several images at one place, missing slices, or slices that do not form a stack.
    """
    if len(files) == 1:
        return _single(files[0]), ()
    axes = _axes(files[0], orientation)
    local = (positions - positions[0]) @ axes
    heights = local[:, 2]
    gaps = np.diff(heights)
    gap = float(np.median(gaps))
    _require_stack(files, heights, gaps, gap)
    count = round(heights[-1] / gap) + 1
    step = heights[-1] / (count - 1) if count > 1 else gap
    uneven = count != len(files) or np.abs(heights - step * np.arange(count)).max() > _DISPLACED * step
    # Gantry tilt moves every slice sideways by the same amount a millimetre of height.
    slope = local[-1, :2] / heights[-1]
    stray = float(np.abs(local[:, :2] - heights[:, None] * slope).max())
    if stray > 0.5 * min(pixel_spacing):
        raise InputError(
            f"The slices beside {files[0]} are displaced sideways by up to {stray:.1f} mm and form no straight stack. "
            "Export the series again."
        )
    tilted = float(np.abs(slope).max() * heights[-1]) > _DISPLACED * min(pixel_spacing)
    voxels = _read(files)
    findings = []
    if uneven:
        voxels = _even(voxels, heights, step * np.arange(count))
        findings.append(
            Finding(
                "uneven_slices",
                "warning",
                f"The slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; the volume was interpolated to "
                f"{step:.2f} mm. The segmentation lies on the interpolated slices.",
            )
        )
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin(positions[0].tolist())
    image.SetSpacing((pixel_spacing[1], pixel_spacing[0], step))
    image.SetDirection(axes.ravel().tolist())
    if tilted:
        image = _upright(image, axes, slope, step)
        angle = np.degrees(np.arctan(np.linalg.norm(slope)))
        findings.append(
            Finding(
                "gantry_tilt",
                "warning",
                f"The scanner's gantry was tilted by {angle:.1f} degrees; the volume was resampled to a rectangular "
                "grid. The segmentation lies on that grid.",
            )
        )
    return image, tuple(findings)


def _axes(file: Path, orientation: Sequence[float]) -> Floats:
    """Return row direction, column direction and normal as columns of a rotation."""
    rows, columns = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    direction = np.stack([rows, columns, np.cross(rows, columns)], axis=1)
    shear = shear_of(direction)
    if shear > MAX_SHEAR:
        raise InputError(
            f"{file}: the image axes are not at right angles (cosine {shear:.3g}). Export the series again."
        )
    return nearest_orthonormal(direction)


def _require_stack(files: Sequence[Path], heights: Floats, gaps: Floats, gap: float) -> None:
    where = f"The series of {files[0]}"
    if gaps.min() < 0.01:
        same = int(np.count_nonzero(gaps < 0.01))
        raise InputError(
            f"{where} has {same + 1} or more images at the same place: several phases or time points in one series. "
            "Split it into one series a phase."
        )
    if gaps.max() > max(_MAX_GAP * gap, gap + 0.5) or (gaps.max() > _MAX_GAP_MM and gaps.max() > 1.5 * gap):
        worst = int(np.argmax(gaps))
        raise InputError(
            f"{where} lacks slices: {gaps[worst]:.1f} mm between slices {worst + 1} and {worst + 2} "
            f"({heights[worst]:.0f} mm from the first), {gap:.1f} mm elsewhere. Copy the whole series."
        )


def _single(file: Path) -> sitk.Image:
    try:
        with itk_warnings_off():
            return sitk.ReadImage(str(file), imageIO="GDCMImageIO")
    except RuntimeError as error:
        raise InputError(
            f"{file} is damaged or in an unknown encoding: its pixels cannot be read. Copy it again."
        ) from error


def _read(files: Sequence[Path]) -> Voxels:
    """Return the rescaled values of all slices, [z, y, x]: int16 where they fit, else float32."""
    volume: Voxels | None = None
    for index, file in enumerate(files):
        piece = sitk.GetArrayFromImage(_single(file)).squeeze(0)
        if volume is None:
            volume = np.empty((len(files), *piece.shape), dtype=np.int16)
        if volume.dtype == np.int16 and not _fits(piece):
            volume = volume.astype(np.float32)
        volume[index] = piece
    if volume is None:
        raise InputError("The series has no slices.")
    return volume


def _fits(piece: npt.NDArray[np.generic]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(np.issubdtype(piece.dtype, np.integer) and piece.min() >= limits.min and piece.max() <= limits.max)


def _even(voxels: Voxels, heights: Floats, wanted: Floats) -> Voxels:
    """Interpolate slices at their heights to evenly spaced heights."""
    result = np.empty((len(wanted), *voxels.shape[1:]), dtype=voxels.dtype)
    places = np.interp(wanted, heights, np.arange(len(heights)))
    for index, place in enumerate(places):
        below = min(int(place), len(heights) - 2)
        part = np.float32(place - below)
        mixed = voxels[below] * (1 - part) + voxels[below + 1] * part
        result[index] = np.rint(mixed) if voxels.dtype == np.int16 else mixed
    return result


def _upright(image: sitk.Image, axes: Floats, slope: Floats, step: float) -> sitk.Image:
    """Resample a stack whose slices move sideways (slope mm a mm of height) onto the rectangular grid around it."""
    shift = axes @ np.array([slope[0], slope[1], 1.0])
    sheared = sitk.Image(image)
    length = float(np.linalg.norm(shift))
    sheared.SetDirection(np.column_stack([axes[:, 0], axes[:, 1], shift / length]).ravel().tolist())
    sheared.SetSpacing((*image.GetSpacing()[:2], step * length))
    size, spacing = list(image.GetSize()), image.GetSpacing()
    drift = slope * step * (size[2] - 1)
    start = np.minimum(drift, 0.0)
    for axis in range(2):
        size[axis] += int(np.ceil(abs(drift[axis]) / spacing[axis]))
    origin = np.asarray(image.GetOrigin()) + axes @ np.array([start[0], start[1], 0.0])
    return sitk.Resample(
        sheared,
        size,
        sitk.Transform(),
        sitk.sitkLinear,
        origin.tolist(),
        spacing,
        image.GetDirection(),
        float(AIR_HU),
        image.GetPixelID(),
    )
