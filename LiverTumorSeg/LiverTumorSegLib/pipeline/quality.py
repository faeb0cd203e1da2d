"""What a run may cost: how finely the fine network sees the liver, and how many looks are averaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

ALL_AXES = (0, 1, 2)


@dataclass(frozen=True)
class Quality:
    """How a fine network goes over the liver.

    Attributes
    ----------
    overlap : float
        Part of a tile shared with its neighbour, for networks that are tied to the tiles of their training.
    flips : int
        Flips whose results are averaged, the scan as it is among them; fewer where a model allows fewer.
    coarsening : float
        The grid's spacing is so many times the one the network was trained at.
    """

    overlap: float
    flips: int
    coarsening: float = 1.0

    def spacing_mm(self, trained_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the spacing x, y, z that a network sees."""
        x, y, z = (self.coarsening * length for length in trained_mm)
        return x, y, z

    def looks(self, mirroring: tuple[int, ...] = ALL_AXES) -> tuple[tuple[int, ...], ...]:
        """Return the sets of axes flipped in each look of a model that may be mirrored along some axes."""
        return tuple(itertools.islice(flip_sets(mirroring), self.flips))

    def is_in_vain(self, mirroring: tuple[int, ...]) -> bool:
        """Return whether it stands for several looks and such a model takes one."""
        return self.flips > 1 and len(self.looks(mirroring)) == 1


def flip_sets(mirroring: tuple[int, ...] = ALL_AXES) -> Iterator[tuple[int, ...]]:
    """Yield every set of these axes (0 z, 1 y, 2 x) to flip, none of them first."""
    for size in range(len(mirroring) + 1):
        yield from itertools.combinations(mirroring, size)


QUALITIES = {
    "quick": Quality(overlap=0.125, flips=1, coarsening=4 / 3),
    "standard": Quality(overlap=0.25, flips=1),
    "best": Quality(overlap=0.25, flips=4),
}
