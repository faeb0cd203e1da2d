"""DICOM slices to one volume on a rectangular grid: uneven gaps are interpolated, gantry tilt is undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import MAX_SHEAR, Floats, nearest_orthonormal, shear_of
from ..labels import AIR_HU
from .dicomheader import Slice
from .dicompixels import rescaled, stored_planes

SAME_PLACE_MM = 0.01
"""Slices nearer to each other lie at one place."""

# A slice this far (in slice distances, or pixels) from its even place counts as displaced.
_DISPLACED = 0.1
# Gaps that differ from their mean by less than this part of it come from rounded positions, not from lost slices.
_NEAR_MEAN = 0.25
_MOST_DISPLACED = 0.5
_MAX_GAP = 2.5
_MAX_GAP_MM = 12.0
# Less than this no rescale that was lost would change a value.
_LOST_RESCALE_HU = 50.0

Voxels = npt.NDArray[np.int16] | npt.NDArray[np.float32]


def stack_slices(slices: Sequence[Slice]) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read slices, ordered along their normal, as one volume.

    Returns
    -------
    image : sitk.Image
        int16 (float32 where the values do not fit), right-handed, axes at right angles.
    findings : tuple of Finding
        Gantry tilt or uneven gaps that were resampled away, missing slices, doubtful rescaling.

    Raises
    ------
    InputError
        Several images at one place, missing slices, or slices that do not form a stack.
    """
    first, pixel_spacing = slices[0], slices[0].pixel_spacing
    axes = _axes(first.path, np.mean([s.orientation for s in slices], axis=0))
    positions = np.array([s.position for s in slices])
    local = (positions - positions[0]) @ axes
    heights = local[:, 2]
    count, step, findings = _places(first.path, heights) if len(slices) > 1 else (1, 1.0, [])
    even: Floats = step * np.arange(count, dtype=np.float64)
    # Gantry tilt moves every slice sideways by the same amount a millimetre of height.
    slope = local[-1, :2] / max(heights[-1], step)
    stray = float(np.abs(local[:, :2] - heights[:, None] * slope).max())
    if stray > 0.5 * min(pixel_spacing):
        raise InputError(
            f"The slices beside {first.path} are displaced sideways by up to {stray:.1f} mm and form no straight "
            "stack. Export the series again."
        )
    tilted = float(np.abs(slope).max() * heights[-1]) > _DISPLACED * min(pixel_spacing)
    voxels = _read(slices)
    findings += _doubt_rescale(slices, voxels)
    if count != len(slices) or any(f.code == "uneven_slices" for f in findings):
        voxels = _even(voxels, heights, even)
    image = sitk.GetImageFromArray(voxels)
    del voxels
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


def _axes(file: Path, orientation: Floats) -> Floats:
    """Return row direction, column direction and normal as columns of a rotation."""
    rows, columns = orientation[:3], orientation[3:]
    direction = np.stack([rows, columns, np.cross(rows, columns)], axis=1)
    shear = shear_of(direction)
    if shear > MAX_SHEAR:
        raise InputError(
            f"{file}: the image axes are not at right angles (cosine {shear:.3g}). Export the series again."
        )
    return nearest_orthonormal(direction)


def _places(file: Path, heights: Floats) -> tuple[int, float, list[Finding]]:
    """Return number and distance of evenly spaced slices, and a finding where the slices themselves are uneven."""
    gaps = np.diff(heights)
    mean = float(heights[-1]) / len(gaps)
    _require_places(file, gaps)
    if np.abs(gaps - mean).max() <= _NEAR_MEAN * mean:
        count, step, most = len(heights), mean, _MOST_DISPLACED
    else:
        typical = float(np.median(gaps))
        typical = float(gaps[np.abs(gaps - typical) <= _NEAR_MEAN * typical].mean())
        _require_whole(file, heights, gaps, typical)
        count = round(heights[-1] / typical) + 1
        step, most = float(heights[-1]) / (count - 1), _DISPLACED
    if count == len(heights) and np.abs(heights - step * np.arange(count)).max() <= most * step:
        return count, step, []
    missing = ""
    if count > len(heights):
        after = [str(n + 1) for n in np.flatnonzero(gaps > 1.5 * step)]
        missing = f" {count - len(heights)} slices are missing, after slice {', '.join(after)}."
    message = (
        f"The slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; the volume was interpolated to "
        f"{step:.2f} mm.{missing} The segmentation lies on the interpolated slices."
    )
    return count, step, [Finding("uneven_slices", "warning", message)]


def _require_places(file: Path, gaps: Floats) -> None:
    same = int(np.count_nonzero(gaps < SAME_PLACE_MM))
    if same:
        raise InputError(
            f"The series of {file} has {same + 1} or more images at the same place: several phases or time points in "
            "one series. Split it into one series a phase."
        )


def _require_whole(file: Path, heights: Floats, gaps: Floats, gap: float) -> None:
    if gaps.max() <= max(_MAX_GAP * gap, gap + 0.5) and (gaps.max() <= _MAX_GAP_MM or gaps.max() <= 1.5 * gap):
        return
    # Where slices were lost, a gap is a multiple of the others.
    parts = gaps / gap
    if np.abs(parts - np.round(parts)).max() > _NEAR_MEAN:
        raise InputError(
            f"The slices of the series of {file} lie unevenly, {gaps.min():.1f} to {gaps.max():.1f} mm apart: several "
            "scans in one series, or a scan that is no volume. Export one scan with even slices."
        )
    worst = int(np.argmax(gaps))
    raise InputError(
        f"The series of {file} lacks slices: {gaps[worst]:.1f} mm between slices {worst + 1} and {worst + 2} "
        f"({heights[worst]:.0f} mm from the first), {gap:.1f} mm elsewhere. Copy the whole series."
    )


def _doubt_rescale(slices: Sequence[Slice], voxels: Voxels) -> list[Finding]:
    """Doubt slices that rescale otherwise than most: those without, and those nearer to their neighbour with its."""
    usual, times = Counter(s.rescale for s in slices).most_common(1)[0]
    if times == len(slices):
        return []
    told = np.flatnonzero([s.rescale == usual for s in slices])
    doubtful = []
    for index, item in enumerate(slices):
        if item.rescale is None or usual is None:
            doubtful += [index + 1] * (item.rescale is None)
        elif item.rescale != usual:
            neighbour = voxels[told[np.abs(told - index).argmin()]].astype(np.float32)
            own = voxels[index].astype(np.float32)
            other = (own - item.rescale[1]) / item.rescale[0] * usual[0] + usual[1]
            apart, nearer = (float(np.abs(values - neighbour).mean()) for values in (own, other))
            doubtful += [index + 1] * (apart > _LOST_RESCALE_HU and nearer < 0.5 * apart)
    if not doubtful:
        return []
    message = (
        f"{len(doubtful)} of {len(slices)} slices ({', '.join(map(str, doubtful[:10]))}) have lost the rescale slope "
        "and intercept that the others have, and are not in Hounsfield units. Export the series again."
    )
    return [Finding("rescale_lost", "error", message, overridable=True)]


def _read(slices: Sequence[Slice]) -> Voxels:
    """Return the rescaled values of all slices, [z, y, x]: int16 where they fit, else float32."""
    columns, rows = slices[0].size
    volume: Voxels = np.empty((len(slices), rows, columns), dtype=np.int16)
    for index, (item, stored) in enumerate(zip(slices, stored_planes(slices), strict=True)):
        plane = rescaled(stored, item.rescale)
        if volume.dtype == np.int16 and not _fits(plane):
            volume = volume.astype(np.float32)
        volume[index] = plane
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
