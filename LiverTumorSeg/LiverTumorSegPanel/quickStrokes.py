"""Strokes that follow each other so quickly that the panel looks once: the editor undoes them one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from LiverTumorSegLib.review.region import Labels
from LiverTumorSegLib.review.verdicts import Verdicts, follow_edit

from LiverTumorSegPanel.segmentLabels import checksumOf


@dataclass(frozen=True, eq=False)
class QuickStrokes:
    """What the panel saw change at one look, by one stroke or several.

    Attributes
    ----------
    voxels : ndarray of int64, 1-D
        Flat indices of what changed.
    before, drawn, kept : ndarray of uint8, 1-D
        Their labels before the first stroke, after the last, and once erased tumour had become liver.
    checksum : int
        Of the labelmap they led to, with `kept`.
    verdicts : Verdicts
        Before the first stroke.
    """

    voxels: np.ndarray
    before: np.ndarray
    drawn: np.ndarray
    kept: np.ndarray
    checksum: int
    verdicts: Verdicts

    @staticmethod
    def between(before: Labels, drawn: Labels, kept: Labels, checksum: int, verdicts: Verdicts) -> QuickStrokes:
        """Return them from whole labelmaps (k, j, i)."""
        changed = before != drawn
        if kept is not drawn:
            changed |= drawn != kept
        voxels = np.flatnonzero(changed)
        first, last, filled = (labels.reshape(-1)[voxels] for labels in (before, drawn, kept))
        return QuickStrokes(voxels, first, last, filled, checksum, verdicts)

    def leave(self, labels: Labels) -> bool:
        """Return whether a labelmap is what an undo of the last ones, but not of all, leaves.

        Each of their voxels is then as before the first or as after the last, and every other one as they left it.
        """
        now = labels.reshape(-1)[self.voxels]
        isDrawn = now == self.drawn
        if isDrawn.all() or not (isDrawn | (now == self.before)).all():
            return False
        return checksumOf(self._with(labels, self.kept)) == self.checksum

    def undoneIn(self, labels: Labels) -> Labels:
        """Return a labelmap in which none of them was made."""
        return self._with(labels, self.before)

    def followed(self, labels: Labels, since: Verdicts) -> Verdicts:
        """Return the verdicts of a labelmap that they leave: those given since, and the lesions that came back."""
        known = {lesion.number for lesion in since.lesions}
        back = [lesion for lesion in self.verdicts.lesions if lesion.number not in known]
        return follow_edit(Verdicts((*back, *since.lesions), since.next_number), labels)

    def _with(self, labels: Labels, values: np.ndarray) -> Labels:
        changed = labels.copy()
        changed.reshape(-1)[self.voxels] = values
        return changed
