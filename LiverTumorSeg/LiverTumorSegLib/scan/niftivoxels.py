"""The voxels of a NIfTI file, whole or refused.

ITK's own reader takes what a cut or damaged file lacks as zeros, and NaN or infinity as zero as well: soft tissue in a
CT. Unpacking here costs the same and compares the checksum.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .headers import pieces, unpacked
from .niftiheader import NiftiHeader

_GZIP = b"\x1f\x8b"


def read_voxels(path: Path, header: NiftiHeader) -> npt.NDArray[Any]:
    """Return the voxels of a NIfTI file, [z, y, x], in their stored type, or float32 where they must be rescaled.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    header : NiftiHeader
        Of this file; three-dimensional.

    Raises
    ------
    InputError
        When the file is cut short, fails its checksum, or holds numbers of an exotic type.
    """
    if header.dtype is None:
        raise InputError(f"{path} holds a number type that is not used for CT. Convert it to 16-bit integers.")
    wanted = math.prod(header.size) * header.voxel_bytes
    raw = np.empty(wanted, dtype=np.uint8)
    skip, filled = header.offset, 0
    packed = next(pieces(path), b"")[:2] == _GZIP
    # Read on to the end even when all voxels are there: the checksum comes last.
    for piece in unpacked(path) if packed else pieces(path):
        part = piece[skip:]
        skip = max(0, skip - len(piece))
        take = min(len(part), wanted - filled)
        raw[filled : filled + take] = np.frombuffer(part, dtype=np.uint8, count=take)
        filled += take
    if filled < wanted:
        raise InputError(f"{path} is incomplete: {filled} of {wanted} bytes of its voxels are there. Copy it again.")
    stored = raw.view(header.dtype).reshape(header.size[::-1])
    if header.slope != 1.0 or header.intercept != 0.0:
        floats = stored.astype(np.float64 if stored.dtype.itemsize == 8 else np.float32)
        # An absurd slope gives infinities, which the checks report.
        with np.errstate(over="ignore"):
            floats *= header.slope
            floats += header.intercept
        return floats
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)
