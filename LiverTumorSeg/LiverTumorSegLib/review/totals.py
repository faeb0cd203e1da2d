"""How much was accepted of how much: count and volume by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .verdicts import VERDICTS, Verdict, Verdicts


@dataclass(frozen=True)
class Total:
    """Some lesions together: how many, and their volume in ml."""

    count: int
    volume_ml: float


@dataclass(frozen=True)
class Totals:
    """The sums of a session.

    Attributes
    ----------
    by_verdict : dict of str to Total
        For each of ``VERDICTS``; the empty one holds what was not looked at yet.
    all : Total
        Every lesion, the rejected ones too.
    standing : Total
        Every lesion but the rejected ones: what is tumour in the labelmap.
    """

    by_verdict: dict[Verdict, Total]
    all: Total
    standing: Total

    @property
    def accepted(self) -> Total:
        """Return the sum of the accepted lesions."""
        return self.by_verdict["accept"]

    def words(self) -> str:
        """Return the sums in one line, such as "accepted 2 of 5, 12.3 of 20.1 ml; 1 rejected, 2 not looked at"."""
        count, volume_ml = self.accepted.count, self.accepted.volume_ml
        line = f"accepted {count} of {self.all.count}, {volume_ml:.1f} of {self.all.volume_ml:.1f} ml"
        named: tuple[tuple[Verdict, str], ...] = (("reject", "rejected"), ("unsure", "unsure"), ("", "not looked at"))
        counts = [(self.by_verdict[verdict].count, word) for verdict, word in named]
        rest = [f"{number} {word}" for number, word in counts if number]
        return "; ".join([line, ", ".join(rest)]) if rest else line


def totals(verdicts: Verdicts, spacing_mm: Sequence[float]) -> Totals:
    """Add up the lesions of a session.

    Parameters
    ----------
    verdicts : Verdicts
        As they stand.
    spacing_mm : sequence of 3 floats
        Voxel size, in any order.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0

    def total(chosen: Sequence[Verdict]) -> Total:
        voxels = [lesion.region.voxels for lesion in verdicts.lesions if lesion.verdict in chosen]
        return Total(len(voxels), sum(voxels) * voxel_ml)

    return Totals(
        {verdict: total((verdict,)) for verdict in VERDICTS},
        total(VERDICTS),
        total([verdict for verdict in VERDICTS if verdict != "reject"]),
    )
