"""One volume from a NIfTI, NRRD or MetaImage file, with a grid of right angles or a clear refusal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import MAX_SHEAR, nearest_orthonormal, shear_of
from .checks import describe_wrong_shape
from .headers import ImageHeader, read_header
from .itk import itk_path, itk_warnings_off
from .niftifile import NiftiHeader, read_voxels
from .niftigrid import place, sheared


def read_volume(path: Path, header: ImageHeader | None = None) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read one three-dimensional scalar image.

    Parameters
    ----------
    path : Path
        NIfTI, NRRD or MetaImage.
    header : ImageHeader, optional
        Of this file, where it has been read already.

    Returns
    -------
    image : sitk.Image
        3D, pixel type as stored, axes at right angles.
    findings : tuple of Finding
        What had to be put right or decided about its grid, or is missing in its header.

    Raises
    ------
    InputError
        Unknown, damaged, incomplete, not one volume, or sheared by more than 1e-3.
    """
    header = header or read_header(path)
    problem = describe_wrong_shape(header.size, header.components)
    if problem is not None:
        raise InputError(f"{path}: {problem}")
    if isinstance(header.own, NiftiHeader):
        return _read_nifti(path, header.own)
    image = read_pixels(path)
    shear = shear_of(image.GetDirection())
    if not np.isfinite([*image.GetOrigin(), *image.GetSpacing(), shear]).all():
        raise InputError(f"{path}: the position or axes in its header are no numbers. Export the image again.")
    if shear > MAX_SHEAR:
        raise sheared(path, shear)
    if shear > 0.0:
        image.SetDirection(nearest_orthonormal(image.GetDirection()).ravel().tolist())
    return image, header.own.doubts(path)


def read_volumes(path: Path) -> list[sitk.Image]:
    """Read the volumes of a 4D scalar image, each as `read_volume` would read it.

    Raises
    ------
    InputError
        Unknown, damaged, incomplete, or not a series of volumes.
    """
    header = read_header(path)
    if len(header.size) != 4 or header.components != 1:
        raise InputError(
            f"{path} has the shape {' x '.join(map(str, header.size))}, with {header.components} values a voxel; "
            "a series of volumes (4D) is needed."
        )
    if isinstance(header.own, NiftiHeader):
        one = dataclasses.replace(header.own, size=header.size[:3])
        volumes = [sitk.GetImageFromArray(voxels) for voxels in read_voxels(path, header.own)[0]]
        for volume in volumes:
            place(volume, path, one)
        return volumes
    image = read_pixels(path)
    whole = [*image.GetSize()[:3], 0]
    return [sitk.Extract(image, whole, [0, 0, 0, number]) for number in range(header.size[3])]


def read_pixels(path: Path) -> sitk.Image:
    """Read an image file of any shape; trailing axes of length one are dropped.

    Raises
    ------
    InputError
        When SimpleITK cannot read it.
    """
    try:
        with itk_path(path) as name, itk_warnings_off():
            image = sitk.ReadImage(name)
    except (RuntimeError, UnicodeError) as error:
        raise InputError(
            f"{path} cannot be read: it is incomplete, damaged or not of the format its name says. "
            "Copy or export it again."
        ) from error
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    return image


def _read_nifti(path: Path, header: NiftiHeader) -> tuple[sitk.Image, tuple[Finding, ...]]:
    voxels, trailing = read_voxels(path, header)
    image = sitk.GetImageFromArray(voxels)
    findings = place(image, path, header)
    if trailing:
        message = f"{path.name} goes on after its last voxel; what follows was left out. Was it copied whole?"
        findings = (*findings, Finding("trailing_bytes", "warning", message))
    return image, findings
