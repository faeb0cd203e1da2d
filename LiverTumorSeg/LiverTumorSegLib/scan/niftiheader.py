"""The header of a NIfTI-1 file, read without touching the voxels."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError

_COMPONENTS = {32: 2, 1792: 2, 2048: 2, 128: 3, 2304: 4}
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_UNITS_MM = {1: 1000.0, 3: 0.001}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header declares.

    Attributes
    ----------
    size : tuple of int
        (x, y, z, ...), trailing ones beyond the third dropped.
    components : int
        Values a voxel (3 for RGB, 2 for complex).
    voxel_bytes : int
        Bytes a voxel on disk.
    offset : int
        First byte of the voxels.
    spacing_mm : tuple of float
        ``pixdim`` of the first three axes, as it stands.
    sform, qform : ndarray (4, 4) or None
        Index to LPS mm; None where the header's code says unknown.
    dtype : str or None
        numpy type of the voxels as stored, such as ``<i2``; None for colours, complex and exotic numbers.
    slope, intercept : float
        Stored values times slope plus intercept are the image's values.
    """

    size: tuple[int, ...]
    components: int
    voxel_bytes: int
    offset: int
    spacing_mm: tuple[float, ...]
    sform: Floats | None
    qform: Floats | None
    dtype: str | None = None
    slope: float = 1.0
    intercept: float = 0.0


# Where NIfTI-1 keeps its fields: struct formats and byte positions.
_LENGTH = 348
_LENGTH_2 = 540
_FIRST_VOXEL = 352
_FAR = 1e9
_DIM = ("8h", 40)
_TYPE_AND_BITS = ("2h", 70)
_PIXDIM = ("8f", 76)
_OFFSET = ("f", 108)
_SCALE = ("2f", 112)
_UNITS = ("b", 123)
_CODES = ("2h", 252)
_QUATERNION = ("6f", 256)
_SFORM = ("12f", 280)


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the header of a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    InputError
        When this is no NIfTI header, or it declares an impossible shape.
    """
    raw = _first_bytes(path, _LENGTH)
    order = _byte_order(path, raw)

    def unpack(field: tuple[str, int]) -> tuple[float, ...]:
        return struct.unpack_from(order + field[0], raw, field[1])

    dim = [int(n) for n in unpack(_DIM)]
    datatype, bits = (int(n) for n in unpack(_TYPE_AND_BITS))
    (offset,) = unpack(_OFFSET)
    dtype = f"{order}{_TYPES[datatype]}" if datatype in _TYPES else None
    if dtype is not None and np.dtype(dtype).itemsize * 8 != bits:
        raise InputError(
            f"{path} has a damaged NIfTI header ({bits} bits a voxel of type {datatype}). Export it again."
        )
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]) or bits < 1 or not abs(offset) < _FAR:
        raise InputError(f"{path} has a damaged NIfTI header (dimensions {dim}). Export the image again.")
    size = dim[1 : dim[0] + 1]
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    values = _COMPONENTS.get(datatype, 1)
    if len(size) == 5 and size[3] == 1:
        # The fifth axis of NIfTI holds the values of a vector.
        values *= size[4]
        size = size[:3]
    pixdim = unpack(_PIXDIM)
    unit = _UNITS_MM.get(int(unpack(_UNITS)[0]) & 7, 1.0)
    slope, intercept = unpack(_SCALE)
    q_code, s_code = unpack(_CODES)
    sform = np.vstack([np.reshape(unpack(_SFORM), (3, 4)), [0.0, 0.0, 0.0, 1.0]])
    qform = _quaternion_affine(unpack(_QUATERNION), pixdim)
    return NiftiHeader(
        size=tuple(size),
        components=values,
        voxel_bytes=max(1, bits // 8) * max(1, values // _COMPONENTS.get(datatype, 1)),
        offset=max(_FIRST_VOXEL, int(offset)),
        spacing_mm=tuple(p * unit for p in pixdim[1:4]),
        sform=_in_lps(sform, unit) if s_code > 0 else None,
        qform=_in_lps(qform, unit) if q_code > 0 else None,
        dtype=dtype,
        slope=slope if np.isfinite(slope) and slope != 0.0 else 1.0,
        intercept=intercept if np.isfinite(intercept) else 0.0,
    )


def _in_lps(affine: Floats, unit: float) -> Floats:
    signs = np.array([[-unit], [-unit], [unit], [1.0]])
    return affine * signs


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                return packed.read(count)
        with path.open("rb") as file:
            return file.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or incomplete (gzip: {error}). Copy or export it again.") from error


def _byte_order(path: Path, raw: bytes) -> str:
    for order in "<>":
        length = struct.unpack_from(order + "i", raw)[0] if len(raw) >= 4 else 0
        if length == _LENGTH and len(raw) == _LENGTH:
            return order
        if length == _LENGTH_2:
            raise InputError(f"{path} is NIfTI-2, which is not read. Save it as NIfTI-1 (.nii.gz) or NRRD.")
    raise InputError(f"{path} is not a NIfTI file: its header is missing or cut short. Copy or export it again.")


def _quaternion_affine(values: tuple[float, ...], pixdim: tuple[float, ...]) -> Floats:
    """Return the affine (RAS) of the quaternion b, c, d and offsets; the NIfTI standard's method 2."""
    b, c, d = values[:3]
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    norm = float(np.sqrt(a * a + b * b + c * c + d * d)) or 1.0
    a, b, c, d = a / norm, b / norm, c / norm, d / norm
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (abs(pixdim[1]), abs(pixdim[2]), handedness * abs(pixdim[3]))
    affine[:3, 3] = values[3:]
    return affine
