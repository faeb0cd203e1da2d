"""DICOM series found in a folder: split into stacks of slices that can be volumes, copies taken once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicomheader import UNREADABLE, Slice, is_dicom, read_slices
from .dicompixels import stored_planes
from .dicomstack import SAME_PLACE_MM

MIN_VOLUME = 8
"""Fewer slices are a scout or a part, not a scan of the abdomen."""

# Storage classes of CT and MR images, old and enhanced; reports and contours are no images and cannot be read either.
_IMAGE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{n}\0".encode() for n in ("2", "2.1", "4", "4.1"))
_COPIES_TRIED = 3
_FEW_SHARED = 0.1
_NO_HOUNSFIELD = frozenset({"OD", "MGML", "Z_EFF", "ED", "EDW", "PCT"})
# Words of image types and descriptions of what was computed from a scan: maps, projections, other planes.
_COMPUTED = re.compile(
    r"(?<![A-Z])(IODINE|VNC|VIRTUAL NON|PERFUSION|Z_?EFF|[CM]PR|MIN?IP|REFORMAT(TED)?|PROJECTION IMAGE)(?![A-Z])"
)


@dataclass(frozen=True)
class Series:
    """One stack of parallel slices of a DICOM series.

    Attributes
    ----------
    slices : tuple of Slice
        Ordered by position along the slice normal, so that the grid is right-handed.
    several : bool
        Whether the series holds other stacks too, told apart by their acquisition, orientation or size.
    left_out : tuple of Slice
        Images of the series that are no part of any stack.
    copies : int
        Images that were there twice.
    damaged : tuple of Path
        Files that belong to the series but cannot be read.
    """

    slices: tuple[Slice, ...]
    several: bool = False
    left_out: tuple[Slice, ...] = ()
    copies: int = 0
    damaged: tuple[Path, ...] = ()

    @property
    def first(self) -> Slice:
        """The first slice: it speaks for the series where all slices say the same."""
        return self.slices[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in slice order, each once."""
        return tuple(dict.fromkeys(s.path for s in self.slices))

    @property
    def is_volume(self) -> bool:
        """Whether there are enough slices, each at a place of its own."""
        return len(self.slices) >= MIN_VOLUME and not _shared_places(self.slices)

    @property
    def is_original(self) -> bool:
        """Whether the scanner made it rather than a computation."""
        return self.first.image_type[:1] != ("DERIVED",)

    @property
    def is_plain_ct(self) -> bool:
        """Whether it holds Hounsfield units of the scan itself: no iodine map, projection or other plane."""
        words = " ".join((*self.first.image_type, self.first.description.upper()))
        return self.first.rescale_type not in _NO_HOUNSFIELD and _COMPUTED.search(words) is None

    def __str__(self) -> str:
        first = self.first
        named = f" '{first.description}'" if first.description else ""
        acquired = f", acquisition {first.acquisition}" if self.several else ""
        return f"{first.modality}{named}, {len(self.slices)} slices{acquired}, UID {first.series_uid}"


def find_series(folder: Path, recursive: bool = True) -> tuple[Series, ...]:
    """Return the image series of a folder, ordered by series number, UID and acquisition.

    Raises
    ------
    InputError
        When there is no DICOM image series.
    """
    by_uid: dict[str, list[Slice]] = {}
    others: set[str] = set()
    damaged: list[Path] = []
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        if not path.is_file() or path.name.upper() == "DICOMDIR" or not is_dicom(path):
            continue
        found = read_slices(path)
        if isinstance(found, str):
            others.add(found)
            damaged += [path] * (found == UNREADABLE)
            continue
        for item in found:
            by_uid.setdefault(item.series_uid, []).append(item)
    if not by_uid:
        held = f" It holds {', '.join(sorted(others))}." if others else ""
        raise InputError(
            f"{folder} holds no DICOM image series.{held} Give a folder with the slices of a CT, or an image file."
        )
    series = [
        replace(stack, damaged=_of_series(damaged, uid)) for uid, all_ in by_uid.items() for stack in _stacks(all_)
    ]
    return tuple(sorted(series, key=lambda s: (s.first.series_number, s.first.series_uid, s.first.acquisition)))


def _of_series(damaged: list[Path], uid: str) -> tuple[Path, ...]:
    """Return those of the unreadable files that are images of a series."""
    found = []
    for path in damaged:
        raw = path.read_bytes()
        if uid and uid.encode() in raw and any(name in raw[:1024] for name in _IMAGE_CLASSES):
            found.append(path)
    return tuple(found)


def _stacks(members: list[Slice]) -> list[Series]:
    """Split a series into stacks; what is too small beside another is left out."""
    distinct = sorted({m.identity: m for m in reversed(members)}.values(), key=lambda m: (m.instance, str(m.path)))
    scans = [m for m in distinct if not m.localizer] or distinct
    alike: list[list[Slice]] = []
    for item in scans:
        group = next((g for g in alike if g[0].lies_like(item)), None)
        if group is None:
            alike.append([item])
        else:
            group.append(item)
    found = [stack for group in alike for stack in _phases(group)]
    kept = [s for s in found if len(s.slices) >= MIN_VOLUME] or [max(found, key=lambda s: len(s.slices))]
    largest = max(range(len(kept)), key=lambda index: len(kept[index].slices))
    taken = {m.identity for stack in kept for m in (*stack.slices, *stack.left_out)}
    copied = {m.identity for m in scans} - {m.identity for stack in found for m in (*stack.slices, *stack.left_out)}
    beside = tuple(m for m in distinct if m.identity not in taken | copied)
    kept[largest] = replace(kept[largest], left_out=(*kept[largest].left_out, *beside))
    return [replace(stack, several=len(kept) > 1) for stack in kept]


def _in_order(group: Sequence[Slice]) -> list[Slice]:
    normal = group[0].normal
    return sorted(group, key=lambda s: (float(np.dot(s.position, normal)), s.acquisition, s.instance, s.sop_uid))


def _shared_places(ordered: Sequence[Slice]) -> list[list[Slice]]:
    """Return the groups of slices, ordered by position, that lie at one place."""
    heights = np.array([s.position for s in ordered]) @ ordered[0].normal
    starts = [0, *(np.flatnonzero(np.diff(heights) >= SAME_PLACE_MM) + 1), len(ordered)]
    places = [list(ordered[a:b]) for a, b in pairwise(starts)]
    return [place for place in places if len(place) > 1]


def _phases(group: list[Slice]) -> list[Series]:
    """Return stacks with one slice a place, as far as equal pixels and the acquisition numbers tell them apart."""
    ordered = _in_order(group)
    shared = _shared_places(ordered)
    copies = _copies(shared) if shared else set()
    ordered = [s for s in ordered if s.identity not in copies]
    shared = _shared_places(ordered) if copies else shared
    numbers = sorted({s.acquisition for s in ordered})
    if not shared or len(numbers) == 1 or len(shared[0]) == len(ordered):
        return [Series(tuple(ordered), copies=len(copies))]
    parts = [[s for s in ordered if s.acquisition == number] for number in numbers]
    if len(shared) <= _FEW_SHARED * min(map(len, parts)) and not any(map(_shared_places, parts)):
        # Two parts of one scan that overlap by a slice or two: the first acquisition's are taken.
        again = {s.identity for place in shared for s in place[1:]}
        whole = tuple(s for s in ordered if s.identity not in again)
        return [Series(whole, left_out=tuple(s for s in ordered if s.identity in again), copies=len(copies))]
    return [Series(tuple(part), copies=len(copies)) for part in parts]


def _copies(shared: list[list[Slice]]) -> set[tuple[object, ...]]:
    """Return which slices have the values of another one at the same place."""
    tried = [_same_values(place) for place in shared[:: max(1, len(shared) // _COPIES_TRIED)]]
    if not any(tried):
        return set()
    return {identity for place in shared for identity in _same_values(place)}


def _same_values(place: list[Slice]) -> set[tuple[object, ...]]:
    seen: set[object] = set()
    same: set[tuple[object, ...]] = set()
    for item in place:
        try:
            values = next(stored_planes([item]))
        except InputError:
            continue
        key = (hashlib.sha256(values.tobytes()).digest(), item.rescale)
        if key in seen:
            same.add(item.identity)
        seen.add(key)
    return same
