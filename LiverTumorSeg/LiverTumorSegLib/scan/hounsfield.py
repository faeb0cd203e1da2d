"""Are the values of an image Hounsfield units? Each way of losing them is recognised and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..findings import Finding

_LABEL_SAMPLE = 4_000_000
_LABEL_EQUAL = 0.9
_LEAP_HU, _LEAP_OF_CHANGE = 100.0, 2.0
"""Mean HU by which a slice may differ from its neighbours, and that many times what these differ from each other."""
ADVICE = "The result cannot be trusted; use the original CT."


@dataclass(frozen=True)
class _Values:
    """Extremes, and the shares (0..1) of voxels that tell a CT of the trunk from everything else.

    Such a CT has air (below -900 HU: around the body, in lung or bowel) and soft tissue (fat to enhanced organs).
    """

    low: float
    high: float
    air: float
    soft: float
    at_low: float
    at_high: float
    shifted: bool

    @property
    def worded(self) -> str:
        return f"Values run from {self.low:.4g} to {self.high:.4g}"


def doubt_hounsfield(values: npt.NDArray[np.float32], assume_ct: bool = False) -> Finding | None:
    """Return the finding for values that are not those of a CT in Hounsfield units, or None.

    Parameters
    ----------
    values : ndarray of float32
        Finite voxel values, any order; a sample of some million is enough.
    assume_ct : bool
        The DICOM header says CT: values like those of an MR are then a warning, not a refusal.
    """
    if values.size == 0:
        return None
    seen = _describe(values)
    if seen.low < -200.0 and seen.air > 1e-3 and seen.soft > 0.02:
        return None
    for doubt in (_constant, _normalised, _gray_values, _shifted, _clipped, _without_air):
        finding = doubt(seen)
        if finding is not None:
            return finding
    return Finding(
        "not_hounsfield",
        "warning" if assume_ct else "error",
        f"{seen.worded}, without the air (-1000) and soft tissue (0 to 100) of a CT in Hounsfield units: "
        "an MR image, or a CT whose rescale slope was lost. Choose the original CT.",
        overridable=True,
    )


def is_labelmap(array: npt.NDArray[Any]) -> bool:
    """Tell labels from measurements: whole numbers from 0 to 255 that hardly ever differ from voxel to voxel.

    Parameters
    ----------
    array : ndarray
        [z, y, x].
    """
    part = array[:: max(1, array.size // _LABEL_SAMPLE)]
    if part.min() < 0 or part.max() > 255 or part.min() == part.max() or not np.array_equal(part, np.round(part)):
        return False
    one, other = part[..., 1:], part[..., :-1]
    foreground = (one > 0) & (other > 0)
    count = int(np.count_nonzero(foreground))
    equal = int(np.count_nonzero(foreground & (one == other)))
    # Without foreground neighbours there is nothing to measure in either kind of image.
    return count > 0 and equal > _LABEL_EQUAL * count


def odd_slices(array: npt.NDArray[Any]) -> list[int]:
    """Return the indices of slices whose mean density leaps away from both neighbours, which are alike.

    Parameters
    ----------
    array : ndarray
        [slice, ...], HU.
    """
    rows, columns = (max(1, n // 128) for n in array.shape[1:])
    means = array[:, ::rows, ::columns].clip(-1024, 3071).mean(axis=(1, 2), dtype=np.float64)
    leap = np.abs(means[1:-1] - (means[:-2] + means[2:]) / 2)
    usual = np.abs(means[2:] - means[:-2])
    return [int(index) + 1 for index in np.flatnonzero(leap > _LEAP_HU + _LEAP_OF_CHANGE * usual)]


def _describe(values: npt.NDArray[np.float32]) -> _Values:
    low, high = float(values.min()), float(values.max())

    def share(above: float, below: float) -> float:
        return float(np.count_nonzero((values > above) & (values < below))) / values.size

    # A CT that lost its intercept of about -1024 has air near 0, tissue near 1024 and little between.
    soft_shifted = share(850.0, 1300.0)
    return _Values(
        low=low,
        high=high,
        air=share(-np.inf, -900.0),
        soft=share(-150.0, 250.0),
        at_low=float(np.mean(values == low)),
        at_high=float(np.mean(values == high)),
        shifted=share(-np.inf, 150.0) > 0.02 and soft_shifted > 0.15 and share(300.0, 800.0) < 0.5 * soft_shifted,
    )


def _constant(seen: _Values) -> Finding | None:
    if seen.low < seen.high:
        return None
    return Finding("constant", "error", f"Every voxel has the value {seen.low:.4g}: the image is empty.")


def _normalised(seen: _Values) -> Finding | None:
    if seen.high - seen.low >= 20.0:
        return None
    message = f"{seen.worded}: the image has been normalised and is not in Hounsfield units. {ADVICE}"
    return Finding("hu_normalised", "error", message, overridable=True)


def _gray_values(seen: _Values) -> Finding | None:
    if seen.low < 0.0 or seen.high > 255.0:
        return None
    message = f"{seen.worded}: an 8-bit picture that has already been windowed, not Hounsfield units. {ADVICE}"
    return Finding("hu_gray_values", "error", message, overridable=True)


def _shifted(seen: _Values) -> Finding | None:
    if seen.low <= -200.0 or not seen.shifted:
        return None
    message = f"{seen.worded}, with air near 0: the rescale intercept (-1024) was lost. {ADVICE}"
    return Finding("hu_shifted", "error", message, overridable=True)


def _clipped(seen: _Values) -> Finding | None:
    bounded_above = seen.at_high > 1e-5 or seen.low <= -200.0
    if seen.low >= 0.0 or seen.soft < 0.15 or seen.at_low < 0.01 or not bounded_above:
        return None
    return Finding(
        "hu_clipped",
        "warning",
        f"{seen.worded} with {100 * seen.at_low:.0f} % of the voxels at the lower bound: the image has already been "
        "windowed. Air and fat look alike in it; use the original CT if you have it.",
    )


def _without_air(seen: _Values) -> Finding | None:
    if seen.low > -200.0 or seen.soft < 0.02:
        return None
    return Finding(
        "hu_no_air",
        "warning",
        f"{seen.worded} and there is no air (-1000 HU) anywhere: the image was cropped, windowed or rescaled wrongly. "
        "Check that it is in Hounsfield units.",
    )
