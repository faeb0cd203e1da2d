"""Checks of an input image: every doubt becomes a graded finding, every refusal one readable sentence.

The limits are those of abdominal CT; each finding says what is wrong, what was measured and what to do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..findings import Finding
from ..grid import MAX_SHEAR, shear_of, superior_axis
from .hounsfield import doubt_hounsfield, is_labelmap, odd_slices
from .padding import is_missing, outside_view

MIN_SPACING_MM = 0.2
MAX_SPACING_MM = 10.0
MIN_SLICES = 8
THICK_SLICE_MM = 5.0
MAX_EXTENT_MM = 2500.0
MIN_FIELD_OF_VIEW_MM = 200.0
MIN_COVERAGE_MM = 80.0
MAX_NONFINITE_SHARE = 1e-3

# Enough voxels for shares of 1e-4, few enough that a large scan is judged in a fraction of a second.
_SAMPLE_VOXELS = 4_000_000


def check_image(image: sitk.Image, modality: str | None = None) -> list[Finding]:
    """Return all findings about shape, grid and values of an image that is to be segmented as CT.

    Parameters
    ----------
    image : sitk.Image
        Any image; what is not a 3D scalar image is reported and not looked at further.
    modality : str, optional
        DICOM modality when known (``CT``, ``MR``, ...).
    """
    shape_findings = check_shape(image)
    if shape_findings:
        return shape_findings
    findings = check_grid(image)
    if modality is not None and modality != "CT":
        findings.append(
            Finding(
                "modality",
                "error",
                f"The image modality is {modality}, but the network was trained on CT only. Choose a CT series.",
                overridable=True,
            )
        )
    return findings + check_values(image, assume_ct=modality == "CT")


def check_shape(image: sitk.Image) -> list[Finding]:
    """Report an image that is not one three-dimensional volume of real numbers."""
    shape = " x ".join(str(n) for n in image.GetSize())
    problem = describe_wrong_shape(image.GetSize(), image.GetNumberOfComponentsPerPixel())
    if problem is None and "complex" in image.GetPixelIDTypeAsString():
        problem = f"The image ({shape} voxels) holds complex numbers. Give the magnitude image, or a CT."
    return [] if problem is None else [Finding("shape", "error", problem)]


def describe_wrong_shape(size: tuple[int, ...], components: int) -> str | None:
    """Return the sentence that refuses an image of this size (x, y, z, ...) and components a voxel, or None."""
    shape = " x ".join(str(n) for n in size)
    if len(size) != 3:
        kind = "a single slice" if len(size) < 3 else "a series of volumes"
        return f"The image has {len(size)} dimensions ({shape}): {kind}, not one volume. Give a three-dimensional CT."
    if components != 1:
        return (
            f"The image has {components} values a voxel ({shape} voxels: a colour or vector image). "
            "Give a CT with one value a voxel."
        )
    return None


def check_grid(image: sitk.Image) -> list[Finding]:
    """Report spacing, slice count, extent and axes that no abdominal CT has."""
    findings: list[Finding] = []
    size, spacing = image.GetSize(), image.GetSpacing()
    worded = " x ".join(f"{s:.3g}" for s in spacing) + " mm"
    if not all(np.isfinite(spacing)) or min(spacing) < MIN_SPACING_MM or max(spacing) > MAX_SPACING_MM:
        findings.append(
            Finding(
                "spacing",
                "error",
                f"The voxel spacing is {worded}; a CT has {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm. "
                "The header is wrong or this is not a CT of a person: export the image again.",
            )
        )
    if min(size) < MIN_SLICES:
        findings.append(
            Finding(
                "slices",
                "error",
                f"The image has {size[0]} x {size[1]} x {size[2]} voxels: at least {MIN_SLICES} slices are needed. "
                "Load the whole series, not one or a few of its slices.",
            )
        )
    shear = shear_of(image.GetDirection())
    if shear > MAX_SHEAR:
        findings.append(
            Finding(
                "sheared",
                "error",
                f"The image axes are not at right angles (cosine {shear:.3f}). "
                "Resample the image to a rectangular grid (in Slicer: harden its transform) and try again.",
            )
        )
    if not findings:
        findings += _check_extent(image)
    return findings


def _check_extent(image: sitk.Image) -> list[Finding]:
    findings: list[Finding] = []
    size, spacing = image.GetSize(), image.GetSpacing()
    extent = [n * s for n, s in zip(size, spacing, strict=True)]
    worded = " x ".join(f"{e:.0f}" for e in extent) + " mm"
    long_axis = superior_axis(image.GetDirection())
    in_plane = [extent[a] for a in range(3) if a != long_axis]
    if max(extent) > MAX_EXTENT_MM:
        findings.append(
            Finding(
                "extent",
                "error",
                f"The image spans {worded}, more than a person. The voxel spacing in the header is probably wrong.",
                overridable=True,
            )
        )
    if min(in_plane) < MIN_FIELD_OF_VIEW_MM or extent[long_axis] < MIN_COVERAGE_MM:
        findings.append(
            Finding(
                "small_field_of_view",
                "warning",
                f"The image spans only {worded}; the liver may be cut off, and what is cut off is not measured.",
            )
        )
    if max(spacing) > THICK_SLICE_MM + 1e-3:
        findings.append(
            Finding(
                "thick_slices",
                "warning",
                f"Slices are {max(spacing):.1f} mm apart; small lesions are missed and volumes are less exact.",
            )
        )
    if spacing == (1.0, 1.0, 1.0) and sum(n == 512 for n in size) >= 2:
        findings.append(
            Finding(
                "spacing_identity",
                "warning",
                "The voxel spacing is exactly 1 x 1 x 1 mm at 512 x 512 pixels: the true spacing may have been lost, "
                "and every volume and diameter with it. Compare with the original series.",
            )
        )
    return findings


def check_values(image: sitk.Image, assume_ct: bool = False) -> list[Finding]:
    """Report values that are not finite, no scan at all, or not Hounsfield units.

    Parameters
    ----------
    image : sitk.Image
        3D scalar image.
    assume_ct : bool
        The DICOM header says CT: values like those of an MR then are a warning, not a refusal.
    """
    array = sitk.GetArrayViewFromImage(image)
    findings = _check_missing(array)
    if any(finding.grade == "error" for finding in findings):
        return findings
    if is_labelmap(array):
        message = (
            f"The image holds labels ({array.min():g} to {array.max():g}), not densities: it is a segmentation. "
            "Give the CT that it was drawn on."
        )
        return [*findings, Finding("labelmap", "error", message)]
    doubt = doubt_hounsfield(_sample(array), assume_ct)
    return [*findings, *([] if doubt is None else [doubt]), *_check_slices(array, superior_axis(image.GetDirection()))]


def _check_missing(array: npt.NDArray[np.generic]) -> list[Finding]:
    missing = is_missing(array)
    if not missing.any():
        return []
    outside = outside_view(missing)
    inside = ~outside
    if np.issubdtype(array.dtype, np.floating):
        inside &= ~np.isfinite(array)
    else:
        inside[:] = False
    findings, bad, padded = [], int(inside.sum()), int(outside.sum())
    if padded:
        share = f"{padded} voxels ({100 * padded / array.size:.2g} %) at the border hold no measurement"
        words = f"{share} (NaN or a fill value); they were taken as air."
        findings.append(Finding("padding_replaced", "warning", words))
    if bad > MAX_NONFINITE_SHARE * array.size:
        message = (
            f"{bad} voxels ({100 * bad / array.size:.2g} %) are not numbers (NaN or infinite). Export the image again."
        )
        return [Finding("nonfinite", "error", message)]
    if bad:
        message = f"{bad} of {array.size} voxels are not numbers (NaN or infinite); they were taken as air."
        findings.append(Finding("nonfinite_replaced", "warning", message))
    return findings


def _check_slices(array: npt.NDArray[np.generic], axis: int) -> list[Finding]:
    odd = odd_slices(np.moveaxis(array, 2 - axis, 0))
    if not odd:
        return []
    named = ", ".join(str(index + 1) for index in odd[:10]) + (", ..." if len(odd) > 10 else "")
    which = f"Slices {named} differ" if len(odd) > 1 else f"Slice {named} differs"
    message = (
        f"{which} in density from the slices on both sides: another rescale, or damaged. "
        "The result there cannot be trusted."
    )
    return [Finding("slice_rescale", "warning", message)]


def _sample(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the measured values of every n-th voxel of every slice, as float32, one-dimensional."""
    step = max(1, int(np.ceil(np.sqrt(array.size / _SAMPLE_VOXELS))))
    values = array[:, ::step, ::step]
    return values[~is_missing(values)].astype(np.float32)
