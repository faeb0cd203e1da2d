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
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.pipeline.postprocess import Mask
from LiverTumorSegLib.review.candidate import Change, merge
from LiverTumorSegLib.review.edits import changed_region, erased_tumor_is_liver
from LiverTumorSegLib.review.figures import LesionFigures, measure_session
from LiverTumorSegLib.review.local import LocalLesion, find_lesion, kept_probability_here, plan_around
from LiverTumorSegLib.review.region import Labels, Region, filled_box
from LiverTumorSegLib.review.sensitivity import Preview, Sensitivity
from LiverTumorSegLib.review.totals import Totals, totals
from LiverTumorSegLib.review.verdicts import Verdict, Verdicts, follow_edit, follow_network, judge, open_verdicts

STEPS = 100
"""How many steps can be undone."""


@dataclass(frozen=True, eq=False)
class _Step:
    """What a step changed: parts of the labelmap and of the organ before and after it, and all that goes with them."""

    words: str
    box: tuple[slice, ...]
    labels: tuple[Labels, Labels]
    organs: tuple[Mask, Mask]
    verdicts: tuple[Verdicts, Verdicts]
    thresholds: tuple[float, float]
    edited: tuple[bool, bool]
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
        ``model``, ``threshold``, ``quality`` of the report, and the ``input_sha256`` of the scan it was made from.

    Attributes
    ----------
    edited : bool
        Whether tumour stands that was changed by hand: another sensitivity would replace it.
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
        self._organ: Mask = labels > 0
        self._sensitivity = self._sensitivity_in_organ()

    @property
    def sensitivity(self) -> Sensitivity | None:
        """Return the kept probability ready for any threshold, in the organ as it was drawn; None without one."""
        if self._sensitivity is None:
            self._sensitivity = self._sensitivity_in_organ()
        return self._sensitivity

    @property
    def beyond_organ(self) -> Region | None:
        """Return the tumour that another sensitivity let bulge beyond the organ's outline; None when there is none."""
        return Region.of((self.labels > 0) & ~self._organ)

    def judge(self, number: int, verdict: Verdict) -> None:
        """Give a lesion a verdict; one step."""
        verdicts, labels = judge(self.verdicts, self.labels, number, verdict)
        sizes = [[lesion.region.voxels for lesion in each.lesions] for each in (self.verdicts, verdicts)]
        words = f"lesion {number}: {verdict or 'no verdict'}"
        self._take(words, verdicts, labels, same_lesions=sizes[0] == sizes[1])

    def painted(self, labels: Labels, preview: Labels | None = None) -> bool:
        """Take over what the editor holds after a stroke, as one step; return whether it differs from what it holds.

        It differs where erased tumour became liver. Where the stroke was drawn over the preview of another
        sensitivity, only the stroke is the reader's.

        Parameters
        ----------
        labels : ndarray of uint8, [z, y, x]
            What the editor holds.
        preview : ndarray of uint8, [z, y, x], optional
            What it held before the stroke, where that was a preview.
        """
        shown = self.labels if preview is None else preview
        mended = erased_tumor_is_liver(shown, labels)
        if preview is not None:
            mended = np.where(mended != preview, mended, self.labels)
        if changed_region(self.labels, mended) is not None:
            self._edit("edit", mended)
        return mended is not labels

    def preview(self, threshold: float) -> Preview | None:
        """Return what a threshold would give; nothing changes. None without a kept probability."""
        return None if self.sensitivity is None else self.sensitivity.preview(threshold)

    def slide(self, threshold: float) -> None:
        """Replace the tumour by that of another threshold, as one step.

        What was rejected stays rejected, and the organ keeps the outline that was drawn.
        """
        if self.sensitivity is None:
            return
        moved = self.labels.copy()
        settled = self.sensitivity.settle(threshold).labels
        moved[self.sensitivity.box] = settled
        verdicts, labels = follow_network(self.verdicts, moved)
        self._take(f"threshold {threshold:.2f}", verdicts, labels, threshold=threshold, edited=False)

    def look(self, probability: sitk.Image, point_mm: Sequence[float]) -> LocalLesion | None:
        """Return the lesion that shows at a place (LPS mm) first when the sensitivity is raised from the shown one.

        Nothing changes. None where none shows at any sensitivity.
        """
        plan = plan_around(Grid.of(self.image), point_mm)
        here = kept_probability_here(probability, self.image, plan)
        return find_lesion(here, self.labels, plan, self.image.GetSpacing()[::-1], self.shown_threshold)

    def find(self, found: LocalLesion) -> int:
        """Take over a lesion that was found where the reader pointed, as one step; return its number."""
        self._edit("found", found.labels)
        lesion = self.verdicts.standing_at(found.region.seed)
        assert lesion is not None  # it has just become tumour
        return lesion.number

    def merge(self, candidate: Labels, changes: Sequence[Change]) -> None:
        """Take changes of a second run over, as one step."""
        self._edit("merged", merge(self.labels, candidate, changes))

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

    def restore(
        self,
        labels: Labels,
        verdicts: Verdicts,
        threshold: float | None = None,
        edited: bool = True,
        beyond_organ: Region | None = None,
    ) -> None:
        """Take over what a review or an autosave holds, as one step.

        Parameters
        ----------
        labels, verdicts
            As they were kept.
        threshold : float, optional
            The one that was shown; as it is now when None.
        edited, beyond_organ
            As the attributes say.
        """
        organ = labels > 0
        if beyond_organ is not None:
            organ[beyond_organ.box] &= ~beyond_organ.mask
        self._take("restored", verdicts, labels.copy(), threshold=threshold, edited=edited, organ=organ)

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

    def _edit(self, words: str, labels: Labels) -> None:
        """Take over what was drawn, found or merged: from here on the organ is what it says there."""
        organ = np.where(labels != self.labels, labels > 0, self._organ)
        self._take(words, follow_edit(self.verdicts, labels), labels, edited=True, organ=organ)

    def _take(
        self,
        words: str,
        verdicts: Verdicts,
        labels: Labels,
        *,
        threshold: float | None = None,
        edited: bool | None = None,
        organ: Mask | None = None,
        same_lesions: bool = False,
    ) -> None:
        """Do a step; what is not given stays as it is."""
        organ = self._organ if organ is None else organ
        changed = labels != self.labels
        if organ is not self._organ:
            changed |= organ != self._organ
        box = filled_box(changed) or (slice(0, 0),) * 3
        step = _Step(
            words,
            box,
            (self.labels[box].copy(), labels[box].copy()),
            (self._organ[box].copy(), organ[box].copy()),
            (self.verdicts, verdicts),
            (self.shown_threshold, self.shown_threshold if threshold is None else threshold),
            (self.edited, self.edited if edited is None else edited),
            same_lesions,
        )
        self._steps = [*self._steps[: self._place], step][-STEPS:]
        self._place = len(self._steps)
        self._now(step, labels, 1)

    def _put(self, step: _Step, side: int) -> None:
        labels = self.labels.copy()
        labels[step.box] = step.labels[side]
        self._now(step, labels, side)

    def _now(self, step: _Step, labels: Labels, side: int) -> None:
        self.labels, self.verdicts, self.shown_threshold = labels, step.verdicts[side], step.thresholds[side]
        self.edited = step.edited[side]
        if not np.array_equal(*step.organs):
            self._organ[step.box] = step.organs[side]
            self._sensitivity = None
        if not step.same_lesions:
            self._measured = None
        self.saved = False
        self.revision += 1

    def _sensitivity_in_organ(self) -> Sensitivity | None:
        if self.probability is None:
            return None
        organ = Grid.of(self.image).image(self._organ.astype(np.uint8))
        return Sensitivity.of(self.probability, organ, self.threshold)
