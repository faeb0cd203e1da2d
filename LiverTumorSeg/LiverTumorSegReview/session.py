"""One reader's session on one case: the labelmap, the verdicts, and every step of both for undo.

It knows neither Slicer nor trame; the page shows what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.review.candidate import Change, merge
from LiverTumorSegLib.review.edits import changed_region, erased_tumor_is_liver
from LiverTumorSegLib.review.figures import LesionFigures, measure_session
from LiverTumorSegLib.review.local import LocalLesion
from LiverTumorSegLib.review.region import Labels
from LiverTumorSegLib.review.sensitivity import Preview, Sensitivity
from LiverTumorSegLib.review.totals import Totals, totals
from LiverTumorSegLib.review.verdicts import Verdict, Verdicts, follow_edit, follow_network, judge, open_verdicts

STEPS = 100
"""How many steps can be undone."""


@dataclass(frozen=True, eq=False)
class _Step:
    """What a step changed: the part of the labelmap before and after it, and the verdicts."""

    words: str
    box: tuple[slice, ...]
    labels: tuple[Labels, Labels]
    verdicts: tuple[Verdicts, Verdicts]
    thresholds: tuple[float, float]
    same_lesions: bool


class ReaderSession:
    """The state of a reader's work.

    Parameters
    ----------
    image : sitk.Image
        CT in HU.
    labels : ndarray of uint8, [z, y, x]
        The result: 0, 1 liver, 2 tumour.
    probability : sitk.Image, optional
        The kept tumour probability; without it there is no slider and no network score.
    provenance : dict, optional
        ``model``, ``threshold``, ``quality`` of the report.
    """

    def __init__(
        self,
        image: sitk.Image,
        labels: Labels,
        probability: sitk.Image | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        if labels.shape != image.GetSize()[::-1]:
            raise InputError("The result does not lie on the grid of the scan: name its own scan with --scan.")
        if labels.max(initial=0) > TUMOR.value:
            raise InputError("The segmentation holds other labels than liver and tumour: open one of this program.")
        self.image, self.original = image, labels
        self.labels, self.verdicts = labels.copy(), open_verdicts(labels)
        self.probability, self.provenance = probability, dict(provenance or {})
        self.threshold = float(self.provenance.get("threshold", 0.5))
        self.shown_threshold = self.threshold
        self.edited = False
        self.saved = True
        self.revision = 0
        self._measured: tuple[LesionFigures, ...] | None = None
        self._steps: list[_Step] = []
        self._place = 0
        self.sensitivity: Sensitivity | None = None
        if probability is not None:
            labelmap = sitk.GetImageFromArray(labels)
            labelmap.CopyInformation(image)
            self.sensitivity = Sensitivity.of(probability, labelmap, self.threshold)

    def judge(self, number: int, verdict: Verdict) -> None:
        """Give a lesion a verdict; one step."""
        verdicts, labels = judge(self.verdicts, self.labels, number, verdict)
        sizes = [[lesion.region.voxels for lesion in each.lesions] for each in (self.verdicts, verdicts)]
        words = f"lesion {number}: {verdict or 'no verdict'}"
        self._take(words, verdicts, labels, same_lesions=sizes[0] == sizes[1])

    def painted(self, labels: Labels) -> bool:
        """Take over what the editor holds after a stroke, as one step; return whether it differs from what it holds.

        It differs where erased tumour became liver.
        """
        mended = erased_tumor_is_liver(self.labels, labels)
        if changed_region(self.labels, mended) is not None:
            self.edited = True
            self._take("edit", follow_edit(self.verdicts, mended), mended)
        return mended is not labels

    def preview(self, threshold: float) -> Preview | None:
        """Return what a threshold would give; nothing changes. None without a kept probability."""
        return None if self.sensitivity is None else self.sensitivity.preview(threshold)

    def slide(self, threshold: float) -> None:
        """Replace the tumour by that of another threshold, as one step; what was rejected stays rejected."""
        if self.sensitivity is None:
            return
        moved = self.labels.copy()
        settled = self.sensitivity.settle(threshold).labels
        moved[self.sensitivity.box] = settled
        self._take(f"threshold {threshold:.2f}", *follow_network(self.verdicts, moved), threshold)
        self.edited = False

    def find(self, found: LocalLesion) -> int:
        """Take over a lesion that was found where the reader pointed, as one step; return its number."""
        self.edited = True
        self._take("found", follow_edit(self.verdicts, found.labels), found.labels)
        lesion = self.verdicts.standing_at(found.region.seed)
        assert lesion is not None  # it has just become tumour
        return lesion.number

    def merge(self, candidate: Labels, changes: Sequence[Change]) -> None:
        """Take changes of a second run over, as one step."""
        merged = merge(self.labels, candidate, changes)
        self.edited = True
        self._take("merged", follow_edit(self.verdicts, merged), merged)

    @property
    def can_undo(self) -> bool:
        """Return whether there is a step to take back."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Return whether there is a step to do again."""
        return self._place < len(self._steps)

    def undo(self) -> None:
        """Take the last step back."""
        if self.can_undo:
            self._place -= 1
            self._put(self._steps[self._place], 0)

    def redo(self) -> None:
        """Do the step again that was taken back."""
        if self.can_redo:
            self._put(self._steps[self._place], 1)
            self._place += 1

    def restore(self, labels: Labels, verdicts: Verdicts) -> None:
        """Take over what an autosave holds, as one step."""
        self.edited = True
        self._take("restored", verdicts, labels.copy())

    def rows(self) -> tuple[LesionFigures, ...]:
        """Return the lesion table."""
        if self._measured is None:
            self._measured = measure_session(self.verdicts, self.labels, self.image, self.probability)
        # A verdict alone changes no measure: neither the lesions nor the organ are others.
        return tuple(
            replace(row, verdict=lesion.verdict)
            for row, lesion in zip(self._measured, self.verdicts.lesions, strict=True)
        )

    def totals(self) -> Totals:
        """Return counts and volumes by verdict."""
        return totals(self.verdicts, self.image.GetSpacing())

    def volumes_ml(self) -> dict[str, float]:
        """Return the volumes: ``liver`` is the whole organ, ``tumor`` what stands."""
        voxel_ml = float(np.prod(self.image.GetSpacing())) / 1000
        organ, tumor = np.count_nonzero(self.labels >= LIVER.value), np.count_nonzero(self.labels == TUMOR.value)
        return {"liver": organ * voxel_ml, "tumor": tumor * voxel_ml}

    def _take(
        self,
        words: str,
        verdicts: Verdicts,
        labels: Labels,
        threshold: float | None = None,
        same_lesions: bool = False,
    ) -> None:
        region = changed_region(self.labels, labels)
        box = region.box if region is not None else (slice(0, 0),) * 3
        thresholds = self.shown_threshold, self.shown_threshold if threshold is None else threshold
        parts = self.labels[box].copy(), labels[box].copy()
        step = _Step(words, box, parts, (self.verdicts, verdicts), thresholds, same_lesions)
        self._steps = [*self._steps[: self._place], step][-STEPS:]
        self._place = len(self._steps)
        self._now(step, labels, 1)

    def _put(self, step: _Step, side: int) -> None:
        labels = self.labels.copy()
        labels[step.box] = step.labels[side]
        self._now(step, labels, side)

    def _now(self, step: _Step, labels: Labels, side: int) -> None:
        self.labels, self.verdicts, self.shown_threshold = labels, step.verdicts[side], step.thresholds[side]
        if not step.same_lesions:
            self._measured = None
        self.saved = False
        self.revision += 1
