"""NIfTI files through nibabel: what the header declares, and the voxels whole or not at all.

ITK's own reader takes what a cut or damaged file lacks as zeros, and NaN or infinity as zero as well: soft tissue in a
CT.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UsageError
from ..grid import Floats
from .packed import is_packed, unpack

_CHUNK = 1 << 20
_FAR = 1e9
_UNITS_MM = {1: 1000.0, 3: 0.001}
_LENGTHS = {348: "Nifti1Header", 540: "Nifti2Header"}
_PAIRS = {".hdr": ".img", ".img": ".img", ".hdr.gz": ".img.gz", ".img.gz": ".img.gz"}


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header declares.

    Attributes
    ----------
    fields : nibabel header
        As it stands in the file.
    voxel_file : Path
        The file with the voxels: another one than the header's for ``.hdr`` / ``.img``.
    size : tuple of int
        (x, y, z, ...), trailing ones beyond the third dropped.
    components, voxel_bytes : int
        Values a voxel (3 for RGB, 2 for complex), and its bytes on disk.
    dtype : dtype or None
        Of the voxels as stored; None for colours, complex and exotic numbers.
    offset : int
        First byte of the voxels.
    spacing_mm : tuple of float
        ``pixdim`` of the first three axes, as it stands.
    sform, qform : ndarray (4, 4) or None
        Index to LPS mm; None where the header's code says unknown.
    """

    fields: Any
    voxel_file: Path
    size: tuple[int, ...]
    components: int
    voxel_bytes: int
    dtype: npt.DTypeLike | None
    offset: int
    spacing_mm: tuple[float, ...]
    sform: Floats | None
    qform: Floats | None


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the header of a NIfTI-1 or NIfTI-2 file: ``.nii``, or either file of a ``.hdr`` / ``.img`` pair.

    Raises
    ------
    UsageError
        nibabel is not installed.
    InputError
        When this is no NIfTI header, or it declares an impossible shape.
    """
    header_file, voxel_file = _files(path)
    fields = _fields(header_file)
    dim, offset = [int(n) for n in fields["dim"]], float(fields["vox_offset"])
    shape = [max(1, n) if axis > 2 else n for axis, n in enumerate(dim[1 : max(0, dim[0]) + 1])]
    if not 1 <= dim[0] <= 7 or min(shape, default=0) < 1 or not abs(offset) < _FAR:
        raise InputError(f"{path} has a damaged NIfTI header (dimensions {dim}). Export the image again.")
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    dtype = _stored_type(header_file, fields)
    components = len(dtype.names) if dtype.names else 1 + (dtype.kind == "c")
    voxel_bytes = dtype.itemsize
    if len(shape) == 5 and shape[3] == 1:
        # The fifth axis of NIfTI holds the values of a vector.
        components, voxel_bytes, shape = components * shape[4], voxel_bytes * shape[4], shape[:3]
    unit = _UNITS_MM.get(int(fields["xyzt_units"]) & 7, 1.0)
    sform = np.vstack([*(np.asarray(fields[f"srow_{row}"], dtype=float) for row in "xyz"), [0.0, 0.0, 0.0, 1.0]])
    lps = np.array([[-unit], [-unit], [unit], [1.0]])
    return NiftiHeader(
        fields=fields,
        voxel_file=voxel_file,
        size=tuple(shape),
        components=components,
        voxel_bytes=voxel_bytes,
        dtype=dtype if components == 1 and dtype.itemsize <= 8 else None,
        offset=max(int(offset), 0 if voxel_file != header_file else len(fields.binaryblock) + 4),
        spacing_mm=tuple(float(p) * unit for p in fields["pixdim"][1:4]),
        sform=sform * lps if fields["sform_code"] > 0 else None,
        qform=_quaternion_affine(fields) * lps if fields["qform_code"] > 0 else None,
    )


def read_voxels(path: Path, header: NiftiHeader) -> tuple[npt.NDArray[Any], bool]:
    """Return the voxels of a three-dimensional NIfTI file.

    Parameters
    ----------
    path : Path
        Named in messages.
    header : NiftiHeader
        Of this file.

    Returns
    -------
    voxels : ndarray [z, y, x]
        In their stored type, or floats where they must be rescaled.
    trailing : bool
        Whether the file goes on after its last voxel.

    Raises
    ------
    InputError
        When the file is cut short, fails its checksum, or holds numbers of an exotic type.
    """
    from nibabel.volumeutils import array_from_file

    if header.dtype is None:
        raise InputError(f"{path} holds a number type that is not used for CT. Convert it to 16-bit integers.")
    dtype = np.dtype(header.dtype)
    if is_packed(header.voxel_file):
        length = math.prod(header.size) * dtype.itemsize
        try:
            content, trailing = unpack(header.voxel_file, header.offset, length)
        except (EOFError, zlib.error) as error:
            raise _damaged(header.voxel_file) from error
        stored = content.view(dtype).reshape(header.size[::-1])
    else:
        with header.voxel_file.open("rb") as file:
            try:
                stored = array_from_file(header.size, dtype, file, header.offset, mmap=False).T
            except (EOFError, OSError) as error:
                raise _damaged(header.voxel_file) from error
            trailing = _goes_on(file)
    slope, intercept = (float(header.fields[name]) for name in ("scl_slope", "scl_inter"))
    slope = slope if np.isfinite(slope) and slope != 0.0 else 1.0
    intercept = intercept if np.isfinite(intercept) else 0.0
    if slope == 1.0 and intercept == 0.0:
        return stored.astype(stored.dtype.newbyteorder("="), copy=False), trailing
    floats = stored.astype(np.float64 if stored.dtype.itemsize == 8 else np.float32)
    # An absurd slope gives infinities, which the checks report.
    with np.errstate(over="ignore", invalid="ignore"):
        floats *= slope
        floats += intercept
    return floats, trailing


def _files(path: Path) -> tuple[Path, Path]:
    """Return the file with the header and that with the voxels."""
    name = path.name.lower()
    ending = next((e for e in sorted(_PAIRS, key=len, reverse=True) if name.endswith(e)), None)
    if ending is None:
        return path, path
    stem = path.name[: -len(ending)]
    wanted = (_PAIRS[ending].replace(".img", ".hdr"), _PAIRS[ending])
    there = {item.name.lower(): item for item in path.parent.iterdir()}
    found = []
    for suffix in wanted:
        partner = there.get((stem + suffix).lower())
        if partner is None:
            raise InputError(f"{path} is half of a pair: {stem + suffix} is not beside it. Copy both files.")
        found.append(partner)
    return found[0], found[1]


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged or incomplete: its voxels are not all there. Copy or export it again.")


def _goes_on(file: BinaryIO) -> bool:
    """Read on to the end and tell whether anything but zeros is there."""
    return any(piece.strip(b"\0") for piece in iter(lambda: file.read(_CHUNK), b""))


def _fields(path: Path) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise UsageError(
            "Reading NIfTI needs the package nibabel: install it with 'pip install nibabel' (in 3D Slicer: by the "
            "button of the module), or save the scan as NRRD."
        ) from error
    try:
        with _opened(path) as file:
            block = file.read(max(_LENGTHS))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or incomplete (gzip: {error}). Copy or export it again.") from error
    for order, sign in (("little", "<"), ("big", ">")):
        length = int.from_bytes(block[:4], cast(Any, order))
        if length in _LENGTHS and len(block) >= length:
            fields = getattr(nibabel, _LENGTHS[length])(block[:length], sign, check=False)
            if bytes(fields["magic"])[:1] == b"n":
                return fields
            raise InputError(
                f"{path} is ANALYZE 7.5, which stores no orientation, or a damaged NIfTI file. "
                "Export the image again as NIfTI (.nii.gz) or NRRD."
            )
    raise InputError(f"{path} is not a NIfTI file: its header is missing or cut short. Copy or export it again.")


def _stored_type(path: Path, fields: Any) -> np.dtype[Any]:
    from nibabel.spatialimages import HeaderDataError

    bits = int(fields["bitpix"])
    try:
        dtype: np.dtype[Any] = np.dtype(fields.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype("V0")
    if dtype.itemsize == 0 or dtype.itemsize * 8 != bits:
        raise InputError(
            f"{path} has a damaged NIfTI header ({bits} bits a voxel of type {int(fields['datatype'])}), or a number "
            "type that is not used for CT. Export it again as 16-bit integers."
        )
    return dtype


def _quaternion_affine(fields: Any) -> Floats:
    """Return the affine (RAS) of quaternion and offsets; one that is not quite of length one is normalised."""
    from nibabel.quaternions import quat2mat

    bcd = np.array([float(fields[f"quatern_{part}"]) for part in "bcd"])
    pixdim = np.array([float(p) for p in fields["pixdim"][:4]])
    affine = np.eye(4)
    affine[:3, 3] = [float(fields[f"qoffset_{axis}"]) for axis in "xyz"]
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    # A quaternion of infinities gives NaN, which is refused as no usable orientation.
    with np.errstate(all="ignore"):
        rotation = quat2mat([np.sqrt(max(0.0, 1.0 - bcd @ bcd)), *bcd])
        affine[:3, :3] = rotation * (np.abs(pixdim[1:]) * [1.0, 1.0, handedness])
    return affine
