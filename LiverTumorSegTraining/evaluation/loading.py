"""Reading one case: labelmaps in the scheme's values on one grid, refused when they do not lie on the same voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.checks import superior_axis
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.imageio import read_segmentation

from .pairing import CasePaths
from .regions import Scheme, canonical_labels

GEOMETRY_TOLERANCE = 1e-3
"""mm for spacing and origin, cosine for axes."""


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory.

    Attributes
    ----------
    grid : sitk.Image
        The reference image, for its geometry.
    reference : ndarray of uint8, [z, y, x]
    prediction : ndarray of uint8, [z, y, x], or None
    """

    grid: sitk.Image
    reference: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8] | None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm, [z, y, x]."""
        x, y, z = self.grid.GetSpacing()
        return z, y, x

    @property
    def axial_axis(self) -> int:
        """Array axis across which the axial slices lie."""
        return 2 - superior_axis(self.grid.GetDirection())


def load_case(paths: CasePaths, scheme: Scheme) -> LoadedCase:
    """Read reference and prediction.

    Raises
    ------
    InputError
        For unreadable files, unknown label values, or grids that differ; never resampled silently.
    """
    grid, names = read_segmentation(paths.reference)
    _require_3d(grid, f"Case {paths.name}, reference")
    reference = canonical_labels(
        sitk.GetArrayFromImage(grid), names, scheme, f"Case {paths.name}, reference {paths.reference.name}"
    )
    prediction = None
    if paths.prediction is not None:
        other, names = read_segmentation(paths.prediction)
        what = f"Case {paths.name}, prediction {paths.prediction.name}"
        _require_3d(other, what)
        require_same_grid(grid, other, what)
        prediction = canonical_labels(sitk.GetArrayFromImage(other), names, scheme, what)
    return LoadedCase(grid, reference, prediction)


def require_same_grid(reference: sitk.Image, other: sitk.Image, what: str) -> None:
    """Refuse an image whose size, spacing, origin or axes differ from the reference's."""
    if reference.GetSize() != other.GetSize():
        raise InputError(
            f"{what} has {_times(other.GetSize())} voxels but the reference {_times(reference.GetSize())}; "
            "both must lie on the grid of the scan."
        )
    for name, ours, theirs in (
        ("spacing", reference.GetSpacing(), other.GetSpacing()),
        ("origin", reference.GetOrigin(), other.GetOrigin()),
        ("axes", reference.GetDirection(), other.GetDirection()),
    ):
        if not np.allclose(ours, theirs, rtol=0.0, atol=GEOMETRY_TOLERANCE):
            raise InputError(
                f"{what} has {name} {_rounded(theirs)} but the reference {_rounded(ours)}; "
                "both must lie on the grid of the scan."
            )


def _require_3d(image: sitk.Image, what: str) -> None:
    if image.GetDimension() != 3:
        raise InputError(f"{what} has {image.GetDimension()} dimensions; a labelmap has three.")


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _rounded(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
