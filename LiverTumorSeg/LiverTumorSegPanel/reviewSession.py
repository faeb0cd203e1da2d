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
from LiverTumorSegLib.review.region import Region, changed_box
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
from LiverTumorSegPanel.labelHistory import LabelHistory, Moment
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.predictedLabels import PredictedLabels
from LiverTumorSegPanel.quickStrokes import QuickStrokes
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
        self._past = LabelHistory(UNDO_STATES)
        self._unfilled: QuickStrokes | None = None
        self._surfaces = PollTimer(SURFACE_MS, self._renewSurfaces, once=True)
        self.labels = readLabels(node, volumeNode)
        self._summed = self.labels, checksumOf(self.labels)
        if not areRemembered(node, self._checksum):  # corrected while nobody watched, as in the Segment Editor module
            self._mark(True)
        self.original = None if self.isEdited else self.labels
        """The labelmap before any correction by hand; unknown of one that was corrected in an earlier session."""
        stored = node.GetAttribute(PREFIX + "Verdicts")
        self.verdicts: Verdicts = (
            restored_verdicts(json.loads(stored), self.labels) if stored else open_verdicts(self.labels)
        )
        self._predicted = None if self.isEdited else PredictedLabels.of(Region.of(self.labels > 0), self.verdicts)
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
        """Whether the labelmap is another than the network's in which what was rejected is liver."""
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
        """Take notice of what the reader changed by hand, or took back, or did again.

        The editor does not tell an undo from a stroke: labels that stood before are one that was undone, and numbers,
        rejections and sensitivity come back with them.
        """
        labels = readLabels(self.node, self.volumeNode)
        if np.array_equal(labels, self.labels):
            return
        self._remember()
        self._sensitivity = None  # the outline of the organ may be another one
        known = self._past.at(checksumOf(labels))
        if known is None:
            self._followStrokes(labels)
        else:
            self.labels, self._predicted, self._unfilled = labels, known.predicted, known.unfilled
            self.verdicts = undone(known.verdicts, self.verdicts)
            self.node.SetAttribute(PREFIX + "ChosenThreshold", known.threshold)
        self._compare()
        self._store()

    def _followStrokes(self, drawn: np.ndarray) -> None:
        """Take over what the reader drew, erased tumour as liver, or what an undo left of it."""
        strokes = self._past.partlyUndone(drawn)
        if strokes is not None:
            # Nothing is written after an undo: the editor would bring this labelmap back again and again.
            self.labels, self._unfilled = drawn, strokes
            self.verdicts = strokes.followed(drawn, self.verdicts)
            return
        before, filled = self.labels, self._filled(self.labels, drawn)
        self.labels, self._unfilled = drawn, None
        # No undo step of its own: the editor's step before the stroke holds the liver as it was.
        self._write(filled)
        self._past.add(QuickStrokes.between(before, drawn, filled, self._checksum, self.verdicts))
        self.verdicts = follow_edit(self.verdicts, filled)

    def _filled(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the labelmap in which tumour that was erased is liver; the same array where none was."""
        if self._unfilled is not None:
            before = self._unfilled.undoneIn(before)
        box = changed_box(before, after)
        if box is None:
            return after
        part = erased_tumor_is_liver(before[box], after[box])
        if np.array_equal(part, after[box]):
            return after
        filled = after.copy()
        filled[box] = part
        return filled

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
        self._take(verdicts, labels, predicted=PredictedLabels.of(self._kept.organ, verdicts))
        self.node.SetAttribute(PREFIX + "ChosenThreshold", repr(threshold))

    def merge(self, candidate: np.ndarray, changes: Iterable[Change]) -> None:
        """Take over some of what a second run would change, in one step of undo; as after a stroke, it is edited."""
        self._sensitivity = None
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
            self._sensitivity = None
            self._take(follow_edit(self.verdicts, found.labels), found.labels)
        return found

    def close(self) -> None:
        """Renew the surfaces if that is still to be done, and let go."""
        if self._surfaces.isRunning:
            self._renewSurfaces()

    def _take(
        self, verdicts: Verdicts, labels: np.ndarray, measure: bool = True, predicted: PredictedLabels | None = None
    ) -> None:
        """Make verdicts and labels the present ones, in one step of undo when voxels change.

        `predicted` is what the network gave, where that is another labelmap than before.
        """
        changed = labels is not self.labels and not np.array_equal(labels, self.labels)
        if changed:
            self._remember()
            self._saveState()
            self._write(labels if self._unfilled is None else self._filled(labels, labels))
            self._unfilled = None
        self.verdicts, self._predicted = verdicts, predicted or self._predicted
        if changed or predicted is not None:
            self._compare()
        self._store(measure)

    def _remember(self) -> None:
        """Keep what belongs to the labels as they are now."""
        chosen = self.node.GetAttribute(PREFIX + "ChosenThreshold") or ""
        self._past.remember(self._checksum, Moment(self.verdicts, chosen, self._predicted, self._unfilled))

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

    def _compare(self) -> None:
        """Tell by the labelmap whether the result is the reader's work."""
        was = self.isEdited
        self._mark(self._predicted is None or not self._predicted.agree(self.labels, self.verdicts))
        if was and self.networksProbability is not None:
            self._figures = self._newFigures()  # lesions that came back meanwhile have no score yet

    def _mark(self, edited: bool) -> None:
        """Say whether the result is the reader's work; the outline of the organ goes with it."""
        if edited != self.isEdited:
            self.node.SetAttribute(PREFIX + "Edited", "1" if edited else None)
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
