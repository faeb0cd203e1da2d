"""Files compressed by gzip, unpacked by zlib itself, which checks every checksum: faster than `gzip.open`."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

_GZIP = 31
"""What zlib calls a stream with the head and the checksum of gzip."""
_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20
_LARGEST_OUTPUT = 1 << 24


def is_packed(path: Path) -> bool:
    """Tell by its first bytes whether a file is compressed by gzip."""
    with path.open("rb") as file:
        return file.read(2) == _MAGIC


def unpack(path: Path, start: int, length: int) -> tuple[npt.NDArray[np.uint8], bool]:
    """Return a part of what a gzip file holds, the whole file checked.

    Parameters
    ----------
    path : Path
        One or more gzip members.
    start, length : int
        Bytes of the unpacked content.

    Returns
    -------
    content : ndarray of uint8
        As long as asked for.
    trailing : bool
        Whether anything but zeros follows it, inside the last member or behind it.

    Raises
    ------
    EOFError
        When a member is cut short or the content ends too early.
    zlib.error
        When it is damaged or fails its checksum.
    """
    content = np.empty(length, np.uint8)
    place, trailing = -start, False
    member = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        while piece:
            output = member.decompress(piece, _LARGEST_OUTPUT)
            stop = place + len(output)
            low, high = max(place, 0), min(stop, length)
            if low < high:
                content[low:high] = np.frombuffer(output, np.uint8)[low - place : high - place]
            if stop > length and not trailing:
                trailing = bool(output[max(length - place, 0) :].strip(b"\0"))
            place = stop
            piece = member.unconsumed_tail
            if member.eof:
                # Members may be padded by zeros.
                rest = member.unused_data.lstrip(b"\0")
                while len(rest) < len(_MAGIC) and (more := file.read(_PIECE)):
                    rest = (rest + more).lstrip(b"\0")
                if not rest.startswith(_MAGIC):
                    trailing = trailing or bool(rest)
                    break
                member, piece = zlib.decompressobj(_GZIP), rest
            piece = piece or file.read(_PIECE)
    if place < length or not member.eof:
        raise EOFError(f"{path} ends too early")
    return content, trailing
