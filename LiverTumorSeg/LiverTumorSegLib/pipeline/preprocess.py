"""Sample an image of any geometry on the canonical grid that a network sees; the same code trains and infers."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..grid import Grid, bounding_box, canonical_grid
from ..labels import AIR_HU


def network_grid(region: Grid, spacing_mm: tuple[float, float, float], size_zyx: tuple[int, int, int] | None) -> Grid:
    """Return the canonical grid on which a network sees a region: of a spacing (x, y, z), or of a size (z, y, x).

    Parameters
    ----------
    region : Grid
        Part of a scan, any orientation.
    spacing_mm : tuple of float
        Wanted spacing x, y, z; not used with a size.
    size_zyx : tuple of int or None
        When given, the region is squeezed into this many voxels; along an axis with 0 it is sampled at the spacing.
    """
    if size_zyx is None:
        return canonical_grid(region, spacing_mm)
    direction = np.abs(np.reshape(region.direction, (3, 3)))
    x, y, z = (float(region.spacing_mm[int(np.argmax(direction[world]))]) for world in range(3))
    own = canonical_grid(region, (x, y, z))
    x, y, z = (
        n * s / m if m else wanted
        for n, s, m, wanted in zip(own.size, own.spacing_mm, reversed(size_zyx), spacing_mm, strict=True)
    )
    return canonical_grid(region, (x, y, z))


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
