"""A reader's session with one result: what the review room of the core decides, brought into the scene."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import SimpleITK as sitk
import slicer
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.review.candidate import Change, merge
from LiverTumorSegLib.review.edits import erased_tumor_is_liver
from LiverTumorSegLib.review.figures import LesionFigures, SessionFigures
from LiverTumorSegLib.review.lesion_rows import row_of
from LiverTumorSegLib.review.local import (
    LocalLesion,
    find_lesion,
    kept_probability_here,
    liver_density,
    plan_around,
)
from LiverTumorSegLib.review.question import Question
from LiverTumorSegLib.review.region import changed_box
from LiverTumorSegLib.review.sensitivity import Preview, Sensitivity
from LiverTumorSegLib.review.totals import Totals, totals
from LiverTumorSegLib.review.verdicts import (
    Verdict,
    Verdicts,
    follow_edit,
    follow_network,
    judge,
    open_verdicts,
    restored_verdicts,
    stored_verdicts,
    undone,
)

from LiverTumorSegPanel.correctionEditor import UNDO_STATES
from LiverTumorSegPanel.keptProbability import probabilityOf
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.resultRecords import PREFIX, lesionsOf, storeFigures
from LiverTumorSegPanel.segmentLabels import areRemembered, checksumOf, readLabels, rememberLabels, writeLabels
from LiverTumorSegPanel.volumeExport import GridGeometry, coreGrid, gridOf

SURFACE_MS = 2000
"""The 3D surfaces follow this long after the last change: renewing a liver's takes seconds, and the panel waits."""


class ReviewSession:
    """One result, its CT and the verdicts; every change of the segments goes through here.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        A result of this module.
    volumeNode : vtkMRMLScalarVolumeNode
        Its CT.
    saveState : callable
        Makes what follows one step of the editor's undo.

    Raises
    ------
    RuntimeError
        If the segments "liver" and "tumor" are gone.
    """

    def __init__(self, node, volumeNode, saveState: Callable[[], None]):
        self.node, self.volumeNode = node, volumeNode
        self._saveState = saveState
        self._kept = probabilityOf(node)
        self._sensitivity: Sensitivity | None = None
        self._writing = False
        self._past: dict[int, tuple[Verdicts, str]] = {}
        self._surfaces = PollTimer(SURFACE_MS, self._renewSurfaces, once=True)
        self.labels = readLabels(node, volumeNode)
        self._summed = self.labels, checksumOf(self.labels)
        if not areRemembered(node, self._checksum):  # corrected while nobody watched, as in the Segment Editor module
            self._becomeEdited()
        self.original = None if self.isEdited else self.labels
        """The labelmap before any correction by hand; unknown of one that was corrected in an earlier session."""
        stored = node.GetAttribute(PREFIX + "Verdicts")
        self.verdicts: Verdicts = (
            restored_verdicts(json.loads(stored), self.labels) if stored else open_verdicts(self.labels)
        )
        if self._kept is not None and not self._keptFits():
            self._kept = None
        self._figures = self._newFigures()
        self._store()

    @property
    def totals(self) -> Totals:
        """What was accepted of how much."""
        return totals(self.verdicts, self.volumeNode.GetSpacing())

    @property
    def isWriting(self) -> bool:
        """Whether the segments are being changed from here, not by the reader's own hand."""
        return self._writing

    @property
    def isEdited(self) -> bool:
        """Whether the reader has changed the segments by hand."""
        return self.node.GetAttribute(PREFIX + "Edited") == "1"

    @property
    def hasWork(self) -> bool:
        """Whether the reader has corrected or judged anything."""
        return self.isEdited or any(lesion.verdict for lesion in self.verdicts.lesions)

    def judge(self, number: int, verdict: Verdict) -> None:
        """Give a lesion a verdict; a rejected one becomes liver, any other verdict brings it back."""
        before = self.verdicts.lesion(number)
        verdicts, labels = judge(self.verdicts, self.labels, number, verdict)
        # Measuring takes a second on a large scan, and a verdict alone changes no measure.
        self._take(verdicts, labels, measure=verdicts.lesion(number).region.voxels != before.region.voxels)

    def followEdit(self) -> None:
        """Take notice of what the reader changed by hand: erased tumour becomes liver.

        The editor does not tell an undo of its own from a stroke: labels that stood before are one that was undone.
        """
        before, after = self.labels, readLabels(self.node, self.volumeNode)
        box = changed_box(before, after)
        if box is None:
            return
        if checksumOf(after) in self._past:
            self.followUndo()
            return
        self._remember()
        self._becomeEdited()
        mended = erased_tumor_is_liver(before[box], after[box])
        filled = after
        if not np.array_equal(mended, after[box]):
            filled = after.copy()
            filled[box] = mended
        self.labels = after
        # No undo step of its own: the editor's step before the stroke holds the liver as it was.
        self._write(filled)
        self.verdicts = follow_edit(self.verdicts, self.labels)
        self._store()

    def followUndo(self) -> None:
        """Take notice of a step that was taken back, or done again: numbers, rejections, sensitivity go with it."""
        self._remember()
        self.labels = readLabels(self.node, self.volumeNode)
        if self.isEdited:
            self._sensitivity = None  # its outline of the organ may have been taken back
        known = self._past.get(self._checksum)
        if known is None:
            self.verdicts = follow_edit(self.verdicts, self.labels)
        else:
            self.verdicts = undone(known[0], self.verdicts)
            self.node.SetAttribute(PREFIX + "ChosenThreshold", known[1])
        self._store()

    def followGrid(self) -> bool:
        """Take notice of a CT that was moved in place, its transform hardened: measure anew. Return whether it was."""
        image = self.volumeNode.GetImageData()
        if image is None or gridOf(self.volumeNode) == self._figures[0][1]:
            return False
        if image.GetDimensions()[::-1] != self.labels.shape:  # cropped: the result has to be opened again
            return False
        self._sensitivity = None
        if self._kept is not None and not self._keptFits():
            self._kept = None
        self._store()
        return True

    @property
    def hasProbability(self) -> bool:
        """Whether the run's tumour probability was kept and lies on the CT as it is now."""
        return self._kept is not None

    @property
    def defaultThreshold(self) -> float:
        """The calibrated threshold that the run used."""
        return float(self.node.GetAttribute(PREFIX + "Threshold") or 0.5)

    def sensitivity(self) -> Sensitivity:
        """Return the kept probability ready for any threshold; only with `hasProbability`."""
        if self._sensitivity is None:
            organ = self.labels
            if not self.isEdited:  # as the run found it: at another threshold tumour may bulge beyond it
                organ = np.zeros_like(self.labels)
                self._kept.organ.paint(organ, LIVER.value)
            self._sensitivity = Sensitivity.of(
                self._kept.image, coreGrid(self.volumeNode).image(organ), self.defaultThreshold
            )
        return self._sensitivity

    def settle(self, threshold: float) -> None:
        """Take over what the network gives at another threshold; what the reader rejected stays rejected."""
        sensitivity = self.sensitivity()
        settled: Preview = sensitivity.settle(threshold)
        labels = self.labels.copy()
        labels[sensitivity.box] = settled.labels
        verdicts, labels = follow_network(self.verdicts, labels)
        self._take(verdicts, labels)
        self.node.SetAttribute(PREFIX + "ChosenThreshold", repr(threshold))

    def merge(self, candidate: np.ndarray, changes: Iterable[Change]) -> None:
        """Take over some of what a second run would change, in one step of undo; as after a stroke, it is edited."""
        self._becomeEdited()
        labels = merge(self.labels, candidate, changes)
        self._take(follow_edit(self.verdicts, labels), labels)

    def questionAt(self, points: Sequence[tuple[float, float, float]]) -> Question:
        """Return the place that points in the world (RAS mm) stand for: one click, or the corners of a box.

        Raises
        ------
        InputError
            If it lies outside of the CT.
        """
        grid = coreGrid(self.volumeNode)
        local = []
        for point in points:
            own = [0.0] * 3
            self.volumeNode.TransformPointFromWorld(point, own)
            local.append((-own[0], -own[1], own[2]))
        liverHu = liver_density(slicer.util.arrayFromVolume(self.volumeNode), self.labels)
        if len(local) == 1:
            question = Question(local[0], None, liverHu)
        else:
            indices = grid.index(np.array(local))
            low, high = (tuple(grid.point_mm(end).tolist()) for end in (indices.min(axis=0), indices.max(axis=0)))
            question = Question(low, high, liverHu)
        plan_around(grid, question.point_mm, question.other_mm)
        return question

    def findAt(self, question: Question, probability: sitk.Image) -> LocalLesion | None:
        """Take over the lesion that shows at a place when the sensitivity is raised there; None when none does.

        The result as it is now is what changes, in one step of undo, and only at that lesion: what was corrected since
        the question was asked stays. From here on the result is the reader's work, as after a stroke.
        """
        grid = coreGrid(self.volumeNode)
        plan = plan_around(grid, question.point_mm, question.other_mm)
        whole = grid.image(self.labels)
        here = kept_probability_here(probability, whole, plan)
        threshold = float(self.node.GetAttribute(PREFIX + "ChosenThreshold") or self.defaultThreshold)
        found = find_lesion(here, self.labels, plan, grid.spacing_mm[::-1], threshold)
        if found is not None:
            self._becomeEdited()
            self._take(follow_edit(self.verdicts, found.labels), found.labels)
        return found

    def close(self) -> None:
        """Renew the surfaces if that is still to be done, and let go."""
        if self._surfaces.isRunning:
            self._renewSurfaces()

    def _take(self, verdicts: Verdicts, labels: np.ndarray, measure: bool = True) -> None:
        """Make verdicts and labels the present ones, in one step of undo when voxels change."""
        if labels is not self.labels and not np.array_equal(labels, self.labels):
            self._remember()
            self._saveState()
            self._write(labels)
        self.verdicts = verdicts
        self._store(measure)

    def _remember(self) -> None:
        """Keep what belongs to the labels as they are now, as long as an undo may bring them back."""
        chosen, now = self.node.GetAttribute(PREFIX + "ChosenThreshold") or "", self._checksum
        self._past.pop(now, None)  # it is the youngest now
        self._past[now] = (self.verdicts, chosen)
        for oldest in list(self._past)[: -2 * UNDO_STATES]:
            del self._past[oldest]

    def _write(self, labels: np.ndarray) -> None:
        if labels is self.labels:
            return
        self._writing = True
        try:
            if self.node.GetSegmentation().ContainsRepresentation(_surfaceName()):
                self.node.RemoveClosedSurfaceRepresentation()
                self._surfaces.start()
            elif self._surfaces.isRunning:
                self._surfaces.start()
            writeLabels(self.node, self.volumeNode, self.labels, labels)
        finally:
            self._writing = False
        self.labels = labels

    def _renewSurfaces(self) -> None:
        self._surfaces.stop()
        self._writing = True
        try:
            self.node.CreateClosedSurfaceRepresentation()
        finally:
            self._writing = False

    @property
    def _checksum(self) -> int:
        """Of the labels as they are now; their arrays are never changed in place."""
        if self._summed[0] is not self.labels:
            self._summed = self.labels, checksumOf(self.labels)
        return self._summed[1]

    def _stamp(self) -> tuple[int, GridGeometry]:
        """Return what tells whether the CT is the one that was measured."""
        return self.volumeNode.GetImageData().GetMTime(), gridOf(self.volumeNode)

    def _newFigures(self) -> tuple[tuple[int, GridGeometry], SessionFigures]:
        """Return the measuring of the CT as it is now, and its stamp; what is known of the lesions is kept."""
        hu = slicer.util.arrayFromVolume(self.volumeNode)
        figures = SessionFigures(hu, coreGrid(self.volumeNode))
        figures.measure(self.verdicts, self.labels, self.networksProbability, gaps=False)
        figures.adopt(self.verdicts, {record.number: record.figures for record in lesionsOf(self.node)})
        return self._stamp(), figures

    def _keptFits(self) -> bool:
        """Whether what the run kept lies on the CT: another grid may have been given to it since."""
        within = all(s.stop <= n for s, n in zip(self._kept.organ.box, self.labels.shape, strict=True))
        try:
            return within and self.sensitivity() is not None
        except InputError:
            return False

    def _becomeEdited(self) -> None:
        """From here on the result is the reader's work, and so is the outline of the organ."""
        self.node.SetAttribute(PREFIX + "Edited", "1")
        self._sensitivity = None

    @property
    def networksProbability(self) -> sitk.Image | None:
        """The kept probability; the network gave no score for what was drawn by hand."""
        return None if self.isEdited or self._kept is None else self._kept.image

    def _measured(self) -> tuple[LesionFigures, ...]:
        """Return the figures as they are now; only what changed is measured."""
        if self._figures[0] != self._stamp():
            self._figures = self._newFigures()
        return self._figures[1].measure(self.verdicts, self.labels, self.networksProbability, gaps=False)

    def _store(self, measure: bool = True) -> None:
        """Measure what changed, and keep figures and verdicts on the node so that they are saved with the scene."""
        if measure:
            rows = [row_of(each) for each in self._measured()]
        else:
            known = {record.number: record.figures for record in lesionsOf(self.node)}
            rows = [{**known[lesion.number], "verdict": lesion.verdict} for lesion in self.verdicts.lesions]
        voxelMl = float(np.prod(self.volumeNode.GetSpacing())) / 1000
        volumes = {
            "liver": float(np.count_nonzero(self.labels)) * voxelMl,
            "tumor": float(np.count_nonzero(self.labels == TUMOR.value)) * voxelMl,
        }
        wasModifying = self.node.StartModify()
        storeFigures(self.node, rows, volumes)
        self.node.SetAttribute(PREFIX + "Verdicts", json.dumps(stored_verdicts(self.verdicts)))
        rememberLabels(self.node, self._checksum)
        self.node.EndModify(wasModifying)


def _surfaceName() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
