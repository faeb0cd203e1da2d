"""The labelmap that the network gave: a result that differs from it in more than verdicts was corrected by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.review.region import Labels, Region, shifted
from LiverTumorSegLib.review.verdicts import Verdicts


@dataclass(frozen=True, eq=False)
class PredictedLabels:
    """What the network gave at one threshold, remembered by its parts: small enough to keep one for each undo.

    Attributes
    ----------
    organ : Region or None
        The liver, with or without its tumours; None where none was found.
    lesions : tuple of Region
        Those that stand and those that are rejected.
    """

    organ: Region | None
    lesions: tuple[Region, ...]

    @staticmethod
    def of(organ: Region | None, verdicts: Verdicts) -> PredictedLabels:
        """Return it for the verdicts of a labelmap that nobody has drawn on."""
        return PredictedLabels(organ, tuple(lesion.region for lesion in verdicts.lesions))

    def agree(self, labels: Labels, verdicts: Verdicts) -> bool:
        """Return whether a labelmap (k, j, i) is the predicted one in which the rejected lesions are liver."""
        rejected = [lesion.region for lesion in verdicts.lesions if lesion.rejected]
        expected = np.zeros_like(labels)
        if self.organ is not None:
            self.organ.paint(expected, LIVER.value)
        for lesion in self.lesions:
            isRejected = any(_overlap(lesion, other) for other in rejected)
            lesion.paint(expected, LIVER.value if isRejected else TUMOR.value)
        return np.array_equal(labels, expected)


def _overlap(one: Region, other: Region) -> bool:
    box = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True))
    if any(s.start >= s.stop for s in box):
        return False
    first, second = (each.mask[shifted(box, tuple(s.start for s in each.box))] for each in (one, other))
    return bool((first & second).any())
