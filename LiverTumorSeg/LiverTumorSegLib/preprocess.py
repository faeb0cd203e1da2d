"""From an image of any geometry to the array a network sees; the same code trains and infers.

Arrays are [z, y, x] on a *canonical* grid: the image's own axes, permuted and flipped so that x runs to the patient's
left, y to posterior, z to superior (LPS), as closely as the axes allow. Oblique images stay oblique, so no voxel is
interpolated more than once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

AIR_HU = -1024.0


@dataclass(frozen=True)
class Grid:
    """A regular grid in physical space (LPS, mm): size and spacing in x, y, z; direction row-major 3x3."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @staticmethod
    def of(image: sitk.Image) -> Grid:
        """Return the grid of a 3D image."""
        return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def point_mm(self, index: np.ndarray) -> np.ndarray:
        """Return the physical points (..., 3) of continuous indices (..., 3) in x, y, z."""
        axes = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_mm)
        return np.asarray(self.origin_mm) + index @ axes.T

    def index(self, point_mm: np.ndarray) -> np.ndarray:
        """Return the continuous indices (..., 3) in x, y, z of physical points (..., 3)."""
        axes = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_mm)
        return (point_mm - np.asarray(self.origin_mm)) @ np.linalg.inv(axes).T

    def crop(self, start: np.ndarray, stop: np.ndarray) -> Grid:
        """Return the part from index `start` up to, not including, `stop` (x, y, z)."""
        origin = self.point_mm(np.asarray(start, float))
        size = np.asarray(stop) - np.asarray(start)
        return Grid(_three(int(n) for n in size), self.spacing_mm, _three(float(v) for v in origin), self.direction)

    def image(self, array: np.ndarray) -> sitk.Image:
        """Return an image of `array` [z, y, x] on this grid."""
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image


def _three(values) -> tuple:  # type: ignore[no-untyped-def]  # a tuple of three of whatever is given
    first, second, third = values
    return first, second, third


def canonical_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the canonical (nearest to LPS) grid that covers the voxels of `grid` at another spacing.

    Parameters
    ----------
    grid : Grid
        Any orientation, also left-handed.
    spacing_mm : tuple of float
        Wanted spacing along the canonical x, y, z.
    """
    direction = np.reshape(grid.direction, (3, 3))
    order, signs = _nearest_axes(direction)
    size, spacing = np.asarray(grid.size)[order], np.asarray(grid.spacing_mm)[order]
    axes = direction[:, order] * signs
    # The canonical grid covers the same box, voxel borders included.
    extent = size * spacing
    target = np.asarray(spacing_mm, float)
    new_size = np.maximum(np.round(extent / target).astype(int), 1)
    centre = grid.point_mm((np.asarray(grid.size) - 1) / 2)
    origin = centre - axes @ ((new_size - 1) / 2 * target)
    return Grid(
        _three(int(n) for n in new_size),
        _three(float(v) for v in target),
        _three(float(v) for v in origin),
        # Denormal numbers upset the matrix inversion of ITK.
        tuple(float(v) for v in np.round(axes, 12).ravel() + 0.0),
    )


def _nearest_axes(direction: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return which image axis lies nearest to each of L, P, S, and its sign."""
    strength = np.abs(direction).copy()
    order = [-1, -1, -1]
    for _ in range(3):
        world, axis = np.unravel_index(np.argmax(strength), (3, 3))
        order[world] = int(axis)
        strength[world, :] = -1
        strength[:, axis] = -1
    signs = np.array([np.sign(direction[world, order[world]]) or 1.0 for world in range(3)])
    return order, signs


def bounding_box(inner: Grid, outer: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the index box (start, stop) of `outer` that covers `inner`, clipped to `outer`; x, y, z order."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in inner.size], indexing="ij")).reshape(3, -1).T
    indices = outer.index(inner.point_mm(corners))
    # Voxel i covers i - 0.5 to i + 0.5.
    start = np.clip(np.floor(indices.min(0) + 0.5 + 1e-6).astype(int), 0, np.asarray(outer.size) - 1)
    stop = np.clip(np.ceil(indices.max(0) + 0.5 - 1e-6).astype(int), start + 1, outer.size)
    return start, stop


def resample(image: sitk.Image, grid: Grid, nearest: bool = False, outside: float = AIR_HU) -> sitk.Image:
    """Sample `image` on `grid`.

    Only the part of the image under the grid is touched. Where the grid is coarser by two or more, whole voxels are
    averaged first, so that noise of thin slices does not alias. The voxel type stays.

    Parameters
    ----------
    image : sitk.Image
        3D scalar image.
    grid : Grid
        Wanted grid.
    nearest : bool
        Nearest neighbour, for labels.
    outside : float
        Value beyond the image.
    """
    start, stop = bounding_box(grid, Grid.of(image))
    # One voxel more on each side, so that interpolation at the border sees its neighbours.
    start = np.maximum(start - 1, 0)
    stop = np.minimum(stop + 1, image.GetSize())
    part = sitk.RegionOfInterest(image, [int(n) for n in stop - start], [int(n) for n in start])
    if not nearest:
        part = _average_down(part, grid)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing_mm)
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetDefaultPixelValue(outside)
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    sampled = resampler.Execute(part)
    return sampled if _covers(Grid.of(image), grid) else _blank_outside(sampled, image, outside)


def _average_down(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Average whole voxels along each axis that the target samples at half the rate or less."""
    axes = np.abs(np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(grid.direction, (3, 3)))
    target_along_axis = np.asarray(grid.spacing_mm)[axes.argmax(1)]
    factors = np.maximum(np.floor(target_along_axis / np.asarray(image.GetSpacing()) + 1e-6), 1).astype(int)
    factors = np.minimum(factors, image.GetSize())
    return sitk.BinShrink(image, [int(f) for f in factors]) if factors.max() > 1 else image


def _covers(outer: Grid, inner: Grid) -> bool:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in inner.size], indexing="ij")).reshape(3, -1).T
    indices = outer.index(inner.point_mm(corners))
    # Half a voxel of the target beyond the outermost centre still belongs to the border voxel.
    return bool((indices > -1.0).all() and (indices < np.asarray(outer.size)).all())


def _blank_outside(sampled: sitk.Image, image: sitk.Image, outside: float) -> sitk.Image:
    """Set the voxels of `sampled` whose centre lies beyond the border voxels of `image` to `outside`."""
    inside = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    inside.CopyInformation(image)
    inside = sitk.Resample(inside, sampled, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return sitk.Mask(sampled, inside, outside)


@dataclass(frozen=True)
class Intensity:
    """How voxel values become network input; each step is optional, in this order.

    Attributes
    ----------
    window_hu : tuple of float or None
        Clip to (low, high); None for images that are not CT.
    clip_percentiles : tuple of float or None
        Clip to these percentiles of the voxels above the minimum, for MR.
    denoise : {"none", "median", "gaussian"}
        3x3x3 median, or Gaussian of 0.7 voxels.
    normalisation : {"unit", "zscore"}
        Window to [0, 1], or mean 0 and standard deviation 1 of the image (or of `mean`, `sd` where given).
    mean, sd : float or None
        Fixed statistics for "zscore".
    """

    window_hu: tuple[float, float] | None = (-150.0, 250.0)
    clip_percentiles: tuple[float, float] | None = None
    denoise: str = "none"
    normalisation: str = "unit"
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        if self.denoise not in ("none", "median", "gaussian"):
            raise ValueError(f"denoise is {self.denoise!r}; it must be none, median or gaussian.")
        if self.normalisation not in ("unit", "zscore"):
            raise ValueError(f"normalisation is {self.normalisation!r}; it must be unit or zscore.")
        if self.window_hu is not None and self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu is {list(self.window_hu)}; the first value must be below the second.")


def normalise(array: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Return float32 network input of the same shape.

    Parameters
    ----------
    array : ndarray
        Voxel values [z, y, x], HU for CT.
    intensity : Intensity
        The steps.
    """
    values = array.astype(np.float32)
    if intensity.denoise == "median":
        values = ndimage.median_filter(values, 3)
    elif intensity.denoise == "gaussian":
        values = ndimage.gaussian_filter(values, 0.7)
    low, high = _limits(values, intensity)
    np.clip(values, low, high, out=values)
    if intensity.normalisation == "unit":
        values -= low
        values /= max(high - low, 1e-6)
        return values
    mean = float(values.mean()) if intensity.mean is None else intensity.mean
    sd = float(values.std()) if intensity.sd is None else intensity.sd
    values -= mean
    values /= max(sd, 1e-6)
    return values


def _limits(values: np.ndarray, intensity: Intensity) -> tuple[float, float]:
    if intensity.window_hu is not None:
        return intensity.window_hu
    low, high = float(values.min()), float(values.max())
    if intensity.clip_percentiles is not None:
        foreground = values[values > low]
        if foreground.size:
            low, high = (float(v) for v in np.percentile(foreground, intensity.clip_percentiles))
    return low, high
