"""Reading of MRC volumes, the container of one of the sample scans."""

from __future__ import annotations

import struct

import numpy as np

HEADER_BYTES = 1024
DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2"}


def read_mrc(data: bytes) -> np.ndarray:
    """Return the volume of an MRC file.

    Parameters
    ----------
    data : bytes
        The whole file: a header of 1024 bytes, an extended header, the voxels.

    Returns
    -------
    numpy.ndarray
        Shape (sections, rows, columns): the first axis of the file varies slowest. Native byte order.

    Raises
    ------
    ValueError
        If this is not an MRC volume of a known voxel type, or it is shorter than its header says.
    """
    if len(data) < HEADER_BYTES or data[208:212] != b"MAP ":
        raise ValueError("not an MRC file: the mark MAP is missing at byte 208")
    order = ">" if data[212] == 0x11 else "<"
    columns, rows, sections, mode = struct.unpack(order + "4i", data[:16])
    (extended,) = struct.unpack(order + "i", data[92:96])
    if mode not in DTYPES:
        raise ValueError(f"MRC voxel type {mode} is not supported")
    dtype = np.dtype(order + DTYPES[mode])
    count = columns * rows * sections
    offset = HEADER_BYTES + extended
    if min(columns, rows, sections) < 1 or len(data) < offset + count * dtype.itemsize:
        raise ValueError("the MRC file is shorter than its header says")
    voxels = np.frombuffer(data, dtype, count, offset).reshape(sections, rows, columns)
    return voxels.astype(dtype.newbyteorder("="))
