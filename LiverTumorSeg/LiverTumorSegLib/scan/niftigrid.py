"""The grid of a NIfTI file: the one that ITK, and with it 3D Slicer, makes of the header; contradictions are told."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..findings import Finding
from ..grid import MAX_SHEAR, Floats, affine_of, corner_distance_mm, nearest_orthonormal, shear_of
from .itk import itk_warnings_off
from .niftifile import NiftiHeader

# Below this, two descriptions of a grid are the same one, rounded differently.
_SAME_GRID_MM = 0.1
_SAME_SPACING = 1e-3
# What 32-bit numbers of a header leave of right angles, and of one grid written in two ways.
_ROUNDING = 1e-5
_SMALLEST_DETERMINANT = 1e-9
_COPIED = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")


@dataclass(frozen=True)
class _Orientations:
    """The orientations of a header that can be used (LPS), and what was said about the others."""

    sform: Floats | None
    qform: Floats | None
    findings: tuple[Finding, ...]


def place(image: sitk.Image, path: Path, header: NiftiHeader) -> tuple[Finding, ...]:
    """Give an image the grid of its NIfTI header; return what had to be put right or decided.

    Raises
    ------
    InputError
        No possible spacing, no usable orientation, or axes sheared by more than 1e-3.
    """
    usable = _usable(path, header)
    only = _only_orientation(usable, header)
    if only is not None:
        direction = nearest_orthonormal(only[:3, :3] / np.abs(header.spacing_mm))
        _set_grid(image, path, [abs(s) for s in header.spacing_mm], only[:3, 3].tolist(), direction)
        return usable.findings
    try:
        grid = _grid_of_itk(header, usable)
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise InputError(f"{path}: the orientation in its header is damaged. Export the image again.") from error
        return (*usable.findings, _straighten(image, path, usable))
    _set_grid(image, path, *grid)
    return (*usable.findings, *_doubts(path, usable, image))


def _usable(path: Path, header: NiftiHeader) -> _Orientations:
    """Sort out what no grid can be made of: it is refused unless the other of two orientations is good."""
    name, spacing = path.name, header.spacing_mm
    good: dict[str, Floats | None] = {}
    bad = []
    for form, affine in (("sform", header.sform), ("qform", header.qform)):
        fine = affine is not None and np.isfinite(affine).all()
        fine = fine and abs(np.linalg.det(np.asarray(affine)[:3, :3])) > _SMALLEST_DETERMINANT
        good[form] = affine if fine else None
        if affine is not None and not fine:
            bad.append(form)
    negative = all(np.isfinite(s) and s != 0.0 for s in spacing) and good["sform"] is not None
    if not all(0.0 < s < np.inf for s in spacing) and not negative:
        raise InputError(f"{path}: its header gives a voxel spacing of {_mm(spacing)}. Export the image again.")
    findings = []
    if bad and good["sform"] is None and good["qform"] is None:
        raise InputError(
            f"{path}: the {bad[0]} of its header holds no usable orientation (zero or not a number). "
            "Export the image again."
        )
    if bad:
        used = "qform" if bad == ["sform"] else "sform"
        findings.append(
            Finding(
                "orientation_damaged",
                "warning",
                f"The {bad[0]} of {name} holds no usable orientation (zero or not a number); its {used} is used. "
                "Check that left and right are as expected.",
            )
        )
    if min(spacing) < 0.0:
        findings.append(
            Finding(
                "spacing_negative",
                "info",
                f"{name} gives negative voxel spacings ({_mm(spacing)}, pixdim); the scan is oriented by its sform.",
            )
        )
        # Signs belong to the axes; with a negative length the qform says nothing.
        good["qform"] = None
    return _Orientations(good["sform"], good["qform"], tuple(findings))


def _only_orientation(usable: _Orientations, header: NiftiHeader) -> Floats | None:
    """Return the one orientation that all of a header agrees on; None where ITK's rules have to decide."""
    forms = [form for form in (usable.sform, usable.qform) if form is not None]
    spacing = np.abs(header.spacing_mm)
    for form in forms:
        if shear_of(form[:3, :3] / spacing) > _ROUNDING or corner_distance_mm(form, forms[0], header.size) > _ROUNDING:
            return None
    return forms[0] if forms else None


def _grid_of_itk(header: NiftiHeader, usable: _Orientations) -> tuple[Sequence[float], Sequence[float], Floats]:
    """Let ITK read a header with the same orientations, without voxels, under a name that it can open everywhere."""
    import nibabel

    plain = nibabel.Nifti1Header()
    plain.set_data_shape((2, 2, 2))
    plain.set_data_dtype(np.int16)
    with np.errstate(over="ignore"):
        for field in _COPIED:
            plain[field] = header.fields[field]
        plain["pixdim"][:4] = np.abs(header.fields["pixdim"][:4])
    if header.fields["pixdim"][0] < 0:
        plain["pixdim"][0] = -1.0
    plain["xyzt_units"] = int(header.fields["xyzt_units"]) & 7
    for form, affine in (("sform_code", usable.sform), ("qform_code", usable.qform)):
        # NIfTI-2 has room for codes that NIfTI-1 has not; none of them means anything.
        plain[form] = min(int(header.fields[form]), np.iinfo(np.int16).max) if affine is not None else 0
    plain["vox_offset"] = len(plain.binaryblock) + 4
    if usable.sform is None:
        plain["srow_x"] = plain["srow_y"] = plain["srow_z"] = 0.0
    if usable.qform is None:
        for field in _COPIED[:6]:
            plain[field] = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "header.nii"
        file.write_bytes(plain.binaryblock + bytes(4))
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NiftiImageIO")
        reader.SetFileName(str(file))
        with itk_warnings_off():
            reader.ReadImageInformation()
    return reader.GetSpacing(), reader.GetOrigin(), np.reshape(reader.GetDirection(), (3, 3))


def _straighten(image: sitk.Image, path: Path, usable: _Orientations) -> Finding:
    """Give an image whose only orientation is not quite orthonormal the nearest orthonormal grid."""
    affine = usable.sform if usable.sform is not None else usable.qform
    if affine is None:
        raise InputError(f"{path}: the orientation in its header is damaged. Export the image again.")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / lengths
    shear = shear_of(direction)
    if shear > MAX_SHEAR:
        raise sheared(path, shear)
    _set_grid(image, path, lengths.tolist(), affine[:3, 3].tolist(), nearest_orthonormal(direction))
    message = f"The axes in the header were not quite at right angles (cosine {shear:.1e}) and were put right."
    return Finding("orthonormalised", "info", message)


def _set_grid(
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


def _doubts(path: Path, usable: _Orientations, image: sitk.Image) -> tuple[Finding, ...]:
    """Return findings where the header contradicts itself; the grid stays the one that 3D Slicer shows."""
    sform, qform = usable.sform, usable.qform
    if sform is None and qform is None:
        return (orientation_unknown(path),)
    if sform is not None:
        lengths = np.linalg.norm(sform[:3, :3], axis=0)
        is_sheared = shear_of(sform[:3, :3] / lengths) > MAX_SHEAR
        if not is_sheared and not np.allclose(lengths, image.GetSpacing(), rtol=_SAME_SPACING):
            message = (
                f"{path.name} gives two voxel spacings, {_mm(image.GetSpacing())} (pixdim) and {_mm(lengths)} "
                "(sform); volumes and diameters would be wrong with one of them. Export the image again."
            )
            return (Finding("spacing_contradiction", "error", message, overridable=True),)
    if sform is None or qform is None:
        return ()
    distance = corner_distance_mm(sform, qform, image.GetSize())
    if distance <= _SAME_GRID_MM:
        return ()
    to_sform, to_qform = (corner_distance_mm(affine_of(image), form, image.GetSize()) for form in (sform, qform))
    message = (
        f"{path.name} stores two orientations (sform and qform) up to {distance:.1f} mm apart; the "
        f"{'sform' if to_sform < to_qform else 'qform'} is used, as 3D Slicer does. "
        "Check that left and right are as expected."
    )
    return (Finding("orientation_contradiction", "warning", message),)


def orientation_unknown(path: Path) -> Finding:
    """Return the finding for a file that does not say how the patient lies in it."""
    message = f"{path.name} stores no orientation; left, right and the direction of its slices are a guess."
    return Finding("orientation_unknown", "warning", message)


def sheared(path: Path, shear: float) -> InputError:
    """Return the refusal of axes that are not at right angles."""
    return InputError(
        f"{path}: the image axes are not at right angles (cosine {shear:.3g}; up to {MAX_SHEAR:g} is put right). "
        "Resample it to a rectangular grid (in Slicer: harden its transform) and try again."
    )


def _mm(spacing: Sequence[float] | Floats) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing) + " mm"
