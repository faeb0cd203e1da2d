"""From voxel values to network input: noise reduction, window, scale; the same code trains and infers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage


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
    liver_hu : float or None
        Before all this, a scan is brought to this density of the liver; None: it is taken as it is. The liver's own
        density changes with contrast medium and fat; tumours are told by their difference from it.
    within_body : bool
        Mean and standard deviation are those of what is not 0 (holes filled); everything else stays 0.
    """

    window_hu: tuple[float, float] | None = (-150.0, 250.0)
    clip_percentiles: tuple[float, float] | None = None
    denoise: str = "none"
    normalisation: str = "unit"
    mean: float | None = None
    sd: float | None = None
    liver_hu: float | None = None
    within_body: bool = False

    def __post_init__(self) -> None:
        if self.denoise not in ("none", "median", "gaussian"):
            raise ValueError(f"denoise is {self.denoise!r}; it must be none, median or gaussian.")
        if self.normalisation not in ("unit", "zscore"):
            raise ValueError(f"normalisation is {self.normalisation!r}; it must be unit or zscore.")
        if self.window_hu is not None and self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu is {list(self.window_hu)}; the first value must be below the second.")
        if self.liver_hu is not None and self.window_hu is None:
            raise ValueError("liver_hu needs a window_hu: other values than HU have no density.")

    def at(self, liver_hu: float) -> Intensity:
        """Return the same steps for a scan whose liver has this density: its window is moved instead of the scan."""
        if self.liver_hu is None or self.window_hu is None:
            return self
        low, high = self.window_hu
        difference = liver_hu - self.liver_hu
        return replace(self, window_hu=(low + difference, high + difference), liver_hu=None)


def normalise(array: np.ndarray, intensity: Intensity, body: np.ndarray | None = None) -> np.ndarray:
    """Return float32 network input of the same shape.

    Parameters
    ----------
    array : ndarray
        Voxel values [z, y, x], HU for CT.
    intensity : Intensity
        The steps.
    body : ndarray of bool, optional
        [z, y, x], what `within_body` means; what is not 0, holes filled, when None.
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
    inside = values
    if intensity.within_body:
        body = ndimage.binary_fill_holes(array != 0) if body is None else body
        inside = values[body]
    # The mean of nothing is not a number, and there is nothing it would be taken from.
    mean = (float(inside.mean()) if inside.size else 0.0) if intensity.mean is None else intensity.mean
    sd = (float(inside.std()) if inside.size else 1.0) if intensity.sd is None else intensity.sd
    if intensity.within_body:
        values[body] = (inside - mean) / max(sd, 1e-6)
        return values
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
