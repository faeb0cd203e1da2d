"""Bringing two livers of one patient together: rigid, then affine, by the distance maps of their outlines.

Outlines rather than grey values: contrast phase, scanner and treatment change the grey values between dates, and the
tumour that grows or dies is the very thing that must not drive the alignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .timepoints import Points, TimePoint, array_index, physical_points

LEAST_OVERLAP = 0.5
"""Dice of two livers after alignment, below which they are not taken for one organ."""
_GRID_MM = 3.0
_MARGIN_MM = 30.0
_CLIP_MM = 25.0
_WORTH_AFFINE = 0.003
_MOST_STRETCH = 1.35
_MOST_POINTS = 60000


@dataclass(frozen=True)
class Alignment:
    """An affine map of patient coordinates: ``q = matrix @ p + offset``.

    Attributes
    ----------
    matrix : ndarray (3, 3)
    offset : ndarray (3,)
        mm.
    kind : {"identity", "rigid", "affine"}
    liver_dice : float
        Overlap of the livers after the map; 1 for identity.
    liver_dice_before : float
        The same after moving only the centres onto each other.
    shift_mm : float
        How far the liver's centre moves.
    """

    matrix: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    kind: str
    liver_dice: float
    liver_dice_before: float
    shift_mm: float

    def apply(self, points: Points) -> Points:
        """Map points (n, 3)."""
        return points @ self.matrix.T + self.offset

    def inverse(self, points: Points) -> Points:
        """Map points (n, 3) back."""
        return (points - self.offset) @ np.linalg.inv(self.matrix).T


IDENTITY = Alignment(np.eye(3), np.zeros(3), "identity", 1.0, 1.0, 0.0)


def align_livers(baseline: TimePoint, later: TimePoint) -> Alignment:
    """Return the map from the baseline's patient coordinates to the later scan's.

    The affine map is taken only when it improves the livers' overlap and stretches no direction beyond reason; a cut
    liver, for instance, would otherwise be stretched onto a whole one.
    """
    fixed, moving = _distance_map(baseline), _distance_map(later)
    centres = [_centre(point) for point in (baseline, later)]
    overlap = _Overlap(baseline, later)
    start = sitk.Euler3DTransform()
    start.SetCenter(centres[0].tolist())
    start.SetTranslation((centres[1] - centres[0]).tolist())
    rigid = sitk.Euler3DTransform(_optimise(fixed, moving, start))
    maps = {"rigid": _parameters(rigid)}
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    stretched = _parameters(sitk.AffineTransform(_optimise(fixed, moving, affine)))
    stretch = np.linalg.svd(stretched[0], compute_uv=False)
    kind = "rigid"
    if stretch.max() < _MOST_STRETCH and stretch.min() > 1.0 / _MOST_STRETCH:
        maps["affine"] = stretched
        if overlap.dice(*stretched) > overlap.dice(*maps["rigid"]) + _WORTH_AFFINE:
            kind = "affine"
    matrix, offset = maps[kind]
    moved = matrix @ centres[0] + offset - centres[0]
    return Alignment(
        matrix,
        offset,
        kind,
        overlap.dice(matrix, offset),
        overlap.dice(np.eye(3), centres[1] - centres[0]),
        float(np.linalg.norm(moved)),
    )


class _Overlap:
    """The Dice of two organs after a map, from the baseline's voxel centres looked up in the later scan."""

    def __init__(self, baseline: TimePoint, later: TimePoint) -> None:
        # Indices of all voxels would take more memory than the scan.
        flat = np.flatnonzero(baseline.organ)
        at = np.stack(np.unravel_index(flat[:: max(1, len(flat) // _MOST_POINTS)], baseline.organ.shape), axis=1)
        self._points = physical_points(baseline.labelmap, at)
        self._volumes = [
            np.count_nonzero(point.organ) * float(np.prod(point.labelmap.GetSpacing())) for point in (baseline, later)
        ]
        self._later, self._grid = later.organ, later.labelmap

    def dice(self, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> float:
        """Return the Dice after ``q = matrix @ p + offset``."""
        at = array_index(self._grid, self._points @ matrix.T + offset)
        within = np.all((at >= 0) & (at < self._later.shape), axis=1)
        share = np.count_nonzero(self._later[tuple(at[within].T)]) / len(at)
        first = self._volumes[0] * abs(float(np.linalg.det(matrix)))
        return 2.0 * share * first / (first + self._volumes[1])


def _distance_map(point: TimePoint) -> sitk.Image:
    """Return the signed distance to the organ's surface in mm, clipped, on a 3 mm grid around it."""
    organ = sitk.GetImageFromArray(point.organ.astype(np.uint8))
    organ.CopyInformation(point.labelmap)
    corners = _corners(point)
    low, high = corners.min(axis=0) - _MARGIN_MM, corners.max(axis=0) + _MARGIN_MM
    size = [int(n) for n in np.ceil((high - low) / _GRID_MM)]
    soft = sitk.Resample(
        sitk.Cast(organ, sitk.sitkFloat32), size, sitk.Transform(), sitk.sitkLinear, low.tolist(), [_GRID_MM] * 3
    )
    distance = sitk.SignedMaurerDistanceMap(soft > 0.5, squaredDistance=False, useImageSpacing=True)
    return sitk.Cast(sitk.Clamp(distance, sitk.sitkFloat32, -_CLIP_MM, _CLIP_MM), sitk.sitkFloat32)


def _corners(point: TimePoint) -> Points:
    """Return the corners of the organ's box in patient coordinates."""
    hits = [np.flatnonzero(point.organ.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    low, high = [hit[0] for hit in hits], [hit[-1] for hit in hits]
    picks = np.array(list(product(*zip(low, high, strict=True))))
    return physical_points(point.labelmap, picks)


def _centre(point: TimePoint) -> npt.NDArray[np.float64]:
    counts = [np.count_nonzero(point.organ, axis=other) for other in ((1, 2), (0, 2), (0, 1))]
    index = np.array([[float(np.average(np.arange(len(count)), weights=count)) for count in counts]])
    centre: npt.NDArray[np.float64] = physical_points(point.labelmap, index)[0]
    return centre


def _optimise(fixed: sitk.Image, moving: sitk.Image, start: sitk.Transform) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=120, gradientMagnitudeTolerance=1e-5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0])
    method.SetInitialTransform(start, inPlace=False)
    result = method.Execute(fixed, moving)
    return result.GetNthTransform(0) if isinstance(result, sitk.CompositeTransform) else result


def _parameters(
    transform: sitk.Euler3DTransform | sitk.AffineTransform,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return matrix and offset of a transform that turns about a centre."""
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.asarray(transform.GetCenter())
    return matrix, np.asarray(transform.GetTranslation()) + centre - matrix @ centre
