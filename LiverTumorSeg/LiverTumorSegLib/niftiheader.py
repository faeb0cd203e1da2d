"""The header of a NIfTI-1 or NIfTI-2 file, read without touching the voxels."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import InputError

_COMPONENTS = {32: 2, 1792: 2, 2048: 2, 128: 3, 2304: 4}
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
        ``pixdim`` of the first three axes.
    sform, qform : ndarray (4, 4) or None
        Index to LPS mm; None where the header's code says unknown.
    """

    size: tuple[int, ...]
    components: int
    voxel_bytes: int
    offset: int
    spacing_mm: tuple[float, ...]
    sform: Floats | None
    qform: Floats | None


@dataclass(frozen=True)
class _Layout:
    """Where NIfTI-1 and NIfTI-2 keep their fields: struct formats and byte positions."""

    length: int
    dim: tuple[str, int]
    datatype: int
    pixdim: tuple[str, int]
    vox_offset: tuple[str, int]
    codes: tuple[str, int]
    quaternion: tuple[str, int]
    sform: tuple[str, int]
    units: tuple[str, int]


_NIFTI1 = _Layout(348, ("8h", 40), 70, ("8f", 76), ("f", 108), ("2h", 252), ("6f", 256), ("12f", 280), ("b", 123))
_NIFTI2 = _Layout(540, ("8q", 16), 12, ("8d", 104), ("q", 168), ("2i", 344), ("6d", 352), ("12d", 400), ("i", 500))


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the header of a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    InputError
        When this is no NIfTI header, or it declares an impossible shape.
    """
    raw = _first_bytes(path, _NIFTI2.length)
    layout, order = _recognise(path, raw)

    def unpack(field: tuple[str, int]) -> tuple[float, ...]:
        return struct.unpack_from(order + field[0], raw, field[1])

    dim = [int(n) for n in unpack(layout.dim)]
    datatype, bits = struct.unpack_from(order + "2h", raw, layout.datatype)
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]) or bits < 1:
        raise InputError(f"{path} has a damaged NIfTI header (dimensions {dim}). Export the image again.")
    size = dim[1 : dim[0] + 1]
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    values = _COMPONENTS.get(datatype, 1)
    if len(size) == 5 and size[3] == 1:
        # The fifth axis of NIfTI holds the values of a vector.
        values *= size[4]
        size = size[:3]
    pixdim = unpack(layout.pixdim)
    unit = _UNITS_MM.get(int(unpack(layout.units)[0]) & 7, 1.0)
    q_code, s_code = unpack(layout.codes)
    sform = np.vstack([np.reshape(unpack(layout.sform), (3, 4)), [0.0, 0.0, 0.0, 1.0]])
    qform = _quaternion_affine(unpack(layout.quaternion), pixdim)
    return NiftiHeader(
        size=tuple(size),
        components=values,
        voxel_bytes=max(1, bits // 8) * max(1, values // _COMPONENTS.get(datatype, 1)),
        offset=int(unpack(layout.vox_offset)[0]),
        spacing_mm=tuple(abs(p) * unit for p in pixdim[1:4]),
        sform=_in_lps(sform, unit) if s_code > 0 else None,
        qform=_in_lps(qform, unit) if q_code > 0 else None,
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


def _recognise(path: Path, raw: bytes) -> tuple[_Layout, str]:
    for layout in (_NIFTI1, _NIFTI2):
        for order in "<>":
            if len(raw) >= layout.length and struct.unpack_from(order + "i", raw)[0] == layout.length:
                return layout, order
    raise InputError(f"{path} is not a NIfTI file: its header is missing or cut short. Copy or export it again.")


def _quaternion_affine(values: tuple[float, ...], pixdim: tuple[float, ...]) -> Floats:
    """Return the affine (RAS) of the quaternion b, c, d and offsets; the NIfTI standard's method 2."""
    b, c, d = values[:3]
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    norm = float(np.sqrt(a * a + b * b + c * c + d * d))
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
