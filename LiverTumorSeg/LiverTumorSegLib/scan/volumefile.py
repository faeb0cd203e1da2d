"""One volume from a NIfTI, NRRD or MetaImage file, with a grid of right angles or a clear refusal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import MAX_SHEAR, Floats, affine_of, corner_distance_mm, nearest_orthonormal, shear_of
from .checks import describe_wrong_shape
from .headers import image_format, read_header
from .itkwarnings import itk_warnings_off
from .niftiheader import NiftiHeader, read_nifti_header
from .niftivoxels import read_voxels

# Below this, two descriptions of a grid are the same one, rounded differently.
_SAME_GRID_MM = 0.1
_SAME_SPACING = 1e-3


def read_volume(path: Path) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read one three-dimensional scalar image.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.

    Returns
    -------
    image : sitk.Image
        3D, pixel type as stored, axes at right angles.
    findings : tuple of Finding
        What had to be put right or decided about its grid.

    Raises
    ------
    InputError
        Unknown, damaged, incomplete, not one volume, or sheared by more than 1e-3.
    """
    header = read_header(path)
    problem = describe_wrong_shape(header.size, header.components)
    if problem is not None:
        raise InputError(f"{path}: {problem}")
    if image_format(path) == "NIfTI":
        return _read_nifti(path)
    image = read_pixels(path)
    shear = shear_of(image.GetDirection())
    if shear > MAX_SHEAR:
        raise _sheared(path, shear)
    if shear > 0.0:
        image.SetDirection(nearest_orthonormal(image.GetDirection()).ravel().tolist())
    return image, ()


def read_pixels(path: Path) -> sitk.Image:
    """Read an image file of any shape; trailing axes of length one are dropped.

    Raises
    ------
    InputError
        When SimpleITK cannot read it.
    """
    try:
        with itk_warnings_off():
            image = sitk.ReadImage(str(path))
    except (RuntimeError, UnicodeError) as error:
        raise _unreadable(path) from error
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    return image


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"{path} cannot be read: it is incomplete, damaged or not of the format its name says. "
        "Copy or export it again."
    )


def _read_nifti(path: Path) -> tuple[sitk.Image, tuple[Finding, ...]]:
    header = read_nifti_header(path)
    _require_finite(path, header)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    image = sitk.GetImageFromArray(read_voxels(path, header))
    try:
        reader.SetFileName(str(path))
        with itk_warnings_off():
            reader.ReadImageInformation()
    except (RuntimeError, UnicodeError) as error:
        if "orthonormal" not in str(error):
            raise _unreadable(path) from error
        return image, _straighten(image, path, header)
    # The grid is the one that ITK, and with it 3D Slicer, makes of the header.
    dimension = reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    _place(image, path, reader.GetSpacing()[:3], reader.GetOrigin()[:3], direction)
    return image, _doubt_orientation(path, header, image)


def _require_finite(path: Path, header: NiftiHeader) -> None:
    if not all(0.0 < s < np.inf for s in header.spacing_mm):
        raise InputError(
            f"{path}: its header gives a voxel spacing of {_mm(header.spacing_mm)}. Export the image again."
        )
    for name, affine in (("sform", header.sform), ("qform", header.qform)):
        if affine is None:
            continue
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputError(
                f"{path}: the {name} of its header holds no usable orientation (zero or not a number). "
                "Export the image again."
            )


def _straighten(image: sitk.Image, path: Path, header: NiftiHeader) -> tuple[Finding, ...]:
    """Give an image whose only orientation is not quite orthonormal the nearest orthonormal grid."""
    affine = header.sform if header.sform is not None else header.qform
    if affine is None:
        raise InputError(f"{path}: the orientation in its header is damaged. Export the image again.")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / lengths
    shear = shear_of(direction)
    if shear > MAX_SHEAR:
        raise _sheared(path, shear)
    _place(image, path, lengths.tolist(), affine[:3, 3].tolist(), nearest_orthonormal(direction))
    message = f"The axes in the header were not quite at right angles (cosine {shear:.1e}) and were put right."
    return (Finding("orthonormalised", "info", message),)


def _place(
    image: sitk.Image, path: Path, spacing: Sequence[float], origin: Sequence[float], direction: Floats
) -> None:
    try:
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction.ravel().tolist())
    except RuntimeError as error:
        raise InputError(
            f"{path}: its header gives a voxel spacing ({_mm(spacing)}) or axes that cannot be. Export it again."
        ) from error


def _doubt_orientation(path: Path, header: NiftiHeader, image: sitk.Image) -> tuple[Finding, ...]:
    """Return findings where the header contradicts itself; the grid stays the one that 3D Slicer shows."""
    if header.sform is None and header.qform is None:
        message = f"{path.name} stores no orientation; left, right and the direction of its slices are a guess."
        return (Finding("orientation_unknown", "warning", message),)
    findings = []
    if header.sform is not None:
        lengths = np.linalg.norm(header.sform[:3, :3], axis=0)
        sheared = shear_of(header.sform[:3, :3] / lengths) > MAX_SHEAR
        if not sheared and not np.allclose(lengths, image.GetSpacing(), rtol=_SAME_SPACING):
            findings.append(
                Finding(
                    "spacing_contradiction",
                    "error",
                    f"{path.name} gives two voxel spacings, {_mm(image.GetSpacing())} (pixdim) and {_mm(lengths)} "
                    "(sform); volumes and diameters would be wrong with one of them. Export the image again.",
                    overridable=True,
                )
            )
            return tuple(findings)
    if header.sform is not None and header.qform is not None:
        distance = corner_distance_mm(header.sform, header.qform, image.GetSize())
        if distance > _SAME_GRID_MM:
            used = "sform" if _is_nearer(affine_of(image), header, image.GetSize()) else "qform"
            findings.append(
                Finding(
                    "orientation_contradiction",
                    "warning",
                    f"{path.name} stores two orientations (sform and qform) up to {distance:.1f} mm apart; the {used} "
                    "is used, as 3D Slicer does. Check that left and right are as expected.",
                )
            )
    return tuple(findings)


def _is_nearer(affine: Floats, header: NiftiHeader, size: tuple[int, ...]) -> bool:
    """Tell whether a grid is the one of the sform rather than that of the qform."""
    if header.sform is None or header.qform is None:
        return header.sform is not None
    return corner_distance_mm(affine, header.sform, size) < corner_distance_mm(affine, header.qform, size)


def _mm(spacing: Sequence[float] | Floats) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing) + " mm"


def _sheared(path: Path, shear: float) -> InputError:
    return InputError(
        f"{path}: the image axes are not at right angles (cosine {shear:.3g}; up to {MAX_SHEAR:g} is put right). "
        "Resample it to a rectangular grid (in Slicer: harden its transform) and try again."
    )
