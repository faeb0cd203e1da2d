"""A set of voxels that is remembered apart from the labelmap: its box and a mask in it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..pipeline.postprocess import Box, Mask, bounding_box

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Region:
    """Some voxels of a grid.

    Attributes
    ----------
    box : tuple of 3 slices
        Where they lie, array order (z, y, x), with start and stop.
    mask : ndarray of bool
        Of the size of the box.
    """

    box: Box
    mask: Mask

    @staticmethod
    def of(mask: Mask, corner: tuple[int, ...] = (0, 0, 0)) -> Region | None:
        """Return the True voxels of a mask [z, y, x] whose first voxel is `corner` of the grid; None without any."""
        tight = bounding_box(mask)
        if tight is None:
            return None
        box = tuple(slice(s.start + c, s.stop + c) for s, c in zip(tight, corner, strict=True))
        return Region(box, np.ascontiguousarray(mask[tight]))

    @property
    def voxels(self) -> int:
        """Return the number of voxels."""
        return int(np.count_nonzero(self.mask))

    @property
    def seed(self) -> tuple[int, int, int]:
        """Return the index (z, y, x) of the first voxel."""
        z, y, x = (int(n[0]) + s.start for n, s in zip(np.nonzero(self.mask), self.box, strict=True))
        return z, y, x

    def holds(self, index: tuple[int, int, int]) -> bool:
        """Return whether a voxel (z, y, x) is one of them."""
        local = tuple(n - s.start for n, s in zip(index, self.box, strict=True))
        return all(0 <= n < size for n, size in zip(local, self.mask.shape, strict=True)) and bool(self.mask[local])

    def within(self, allowed: Mask) -> Region | None:
        """Return the part where `allowed`, an array of the box's size, is True; None when nothing is left."""
        return Region.of(self.mask & allowed, tuple(s.start for s in self.box))

    def paint(self, labels: npt.NDArray[Any], value: int, corner: tuple[int, ...] = (0, 0, 0)) -> None:
        """Set the voxels in an array whose first voxel is `corner` of the grid; it must hold the whole box."""
        labels[shifted(self.box, corner)][self.mask] = value

    def packed(self) -> dict[str, Any]:
        """Return the region in JSON types, a few bytes for a lesion."""
        bits = zlib.compress(np.packbits(self.mask).tobytes())
        return {"box": [[s.start, s.stop] for s in self.box], "mask": base64.b64encode(bits).decode("ascii")}

    @staticmethod
    def unpacked(stored: dict[str, Any]) -> Region:
        """Return what `packed` gave.

        Raises
        ------
        InputError
            When it is not that.
        """
        try:
            box = tuple(slice(int(start), int(stop)) for start, stop in stored["box"])
            shape = tuple(s.stop - s.start for s in box)
            bits = np.frombuffer(zlib.decompress(base64.b64decode(stored["mask"])), np.uint8)
            mask = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise InputError("The stored verdicts are damaged: give them again.") from error
        return Region(box, mask)


def filled_box(labels: npt.NDArray[Any]) -> Box | None:
    """Return the smallest box of a whole labelmap or mask [z, y, x] that is not 0; None where all is."""
    slices = np.flatnonzero(labels.any(axis=(1, 2)))
    if not slices.size:
        return None
    first, last = int(slices[0]), int(slices[-1]) + 1
    seen = np.bitwise_or.reduce(labels[first:last], axis=0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (
        slice(first, last),
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def changed_box(before: Labels, after: Labels) -> Box | None:
    """Return the smallest box in which two labelmaps of one grid differ, or None when they are equal."""
    return filled_box(before != after)


def shifted(box: Box, corner: tuple[int, ...]) -> Box:
    """Return a box of the grid as indices into an array that starts at `corner` of the grid."""
    return tuple(slice(s.start - c, s.stop - c) for s, c in zip(box, corner, strict=True))


def common_box(regions: Iterable[Region]) -> Box | None:
    """Return the smallest box that holds every region, or None when there is none."""
    boxes = [region.box for region in regions]
    if not boxes:
        return None
    return tuple(slice(min(b[a].start for b in boxes), max(b[a].stop for b in boxes)) for a in range(3))
