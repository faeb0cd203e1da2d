"""What is said of a result follows from its labelmap: a stroke that was undone was none; on real MRML."""

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from reading_session import FAINT, LESIONS, SHAPE, labelArray, labelsNow, verdicts

BEYOND = np.s_[10:14, 52:57, 10:20], np.s_[20:24, 52:57, 10:20]
"""Two places beside the liver."""
MARK = "corrected by hand"


class Reader:
    """Strokes with the embedded editor, as a reader makes them."""

    def __init__(self, panel, slicer):
        self.panel, self.ui = panel, panel.ui
        panel.ui.correctButton.collapsed = False
        self.editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)

    def stroke(self, box, erase=False):
        mask = np.zeros(SHAPE, bool)
        mask[box] = True
        self.editor._stroke("tumor", mask, erase=erase)

    def redo(self):
        self.editor._history.RestoreNextState()

    def settle(self):
        """Wait until the panel has taken notice."""
        section = self.panel.widget.resultSection
        assert section._edits.isRunning
        self.panel.wait(lambda: not section._edits.isRunning, 60)

    @property
    def isMarked(self):
        edited = self.panel.node.GetAttribute("LiverTumorSeg.Edited") == "1"
        assert (MARK in self.ui.volumesLabel.text) == edited
        return edited

    @property
    def numbers(self):
        return [int(self.ui.lesionTable.item(row, 0).text()) for row in range(self.ui.lesionTable.rowCount)]


@pytest.fixture
def reader(reading, slicer):
    return Reader(reading, slicer)


def slideTo(panel, threshold):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    panel.ui.sensitivitySlider.sliderPressed.emit()
    panel.ui.sensitivitySlider.value = positionOf(threshold)
    panel.ui.sensitivitySlider.sliderReleased.emit()


def scores(panel):
    return [lesion["mean_probability"] for lesion in json.loads(panel.node.GetAttribute("LiverTumorSeg.Lesions"))]


def test_the_mark_goes_with_the_last_stroke_that_is_undone(reader, reading, slicer, monkeypatch):
    before = scores(reading)
    reader.stroke(FAINT)
    reader.settle()
    assert reader.isMarked
    reader.stroke(LESIONS[0], erase=True)
    reader.settle()
    reader.editor.undo()
    reader.settle()
    assert reader.isMarked, "the first stroke stands"
    reader.editor.undo()
    reader.settle()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert not reader.isMarked
    assert not reading.widget.resultSection.session.hasWork
    assert scores(reading) == pytest.approx(before), "the network's scores stand beside the network's lesions"
    reader.redo()
    reader.settle()
    assert reader.isMarked
    reading.ui.undoButton.click()
    assert not reader.isMarked, "the panel's own Undo is the same"
    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or False)
    slideTo(reading, 0.3)
    assert not asked
    assert (labelsNow(reading)[FAINT] == 2).all()
    assert not reader.isMarked


def test_what_is_erased_again_by_hand_leaves_no_mark_beside_a_rejected_lesion(reader, reading):
    reader.stroke(FAINT)
    reader.settle()
    reading.ui.lesionTable.setCurrentCell(2, 0)
    reading.ui.rejectButton.click()
    assert reader.isMarked
    reader.stroke(FAINT, erase=True)
    reader.settle()
    assert verdicts(reading) == ["", "", "reject"]
    assert not reader.isMarked
    assert reading.widget.resultSection.session.hasWork
    part = (*LESIONS[2][:2], slice(30, 31))
    reader.stroke(part)
    reader.settle()
    assert reader.isMarked, "the reader drew a part of it, which the network did not"


def test_the_networks_tumour_taken_over_again_is_not_marked(reader, reading, slicer, monkeypatch):
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda _text: True)
    reader.stroke(LESIONS[0], erase=True)
    reader.settle()
    slideTo(reading, 0.3)
    assert (labelsNow(reading)[LESIONS[0]] == 2).all()
    assert not reader.isMarked
    reading.ui.undoButton.click()
    assert (labelsNow(reading)[LESIONS[0]] == 1).all()
    assert reader.isMarked
    reading.ui.undoButton.click()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert not reader.isMarked


def test_the_second_of_two_quick_strokes_beside_the_liver_is_undone(reader, reading):
    for place in BEYOND:
        reader.stroke(place)
    reader.settle()
    assert reader.numbers == [1, 2, 3, 4, 5]
    reader.editor.undo()
    reader.settle()
    now = labelsNow(reading)
    assert (now[BEYOND[0]] == 2).all()
    assert (now[BEYOND[1]] == 0).all(), "nothing of it stays as liver"
    assert reader.isMarked
    assert len(reader.numbers) == 4
    reader.editor.undo()
    reader.settle()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert not reader.isMarked


@pytest.mark.parametrize("byButton", [False, True])
def test_of_three_lesions_erased_quickly_two_are_brought_back(reader, reading, byButton):
    def undo():
        if byButton:
            reading.ui.undoButton.click()
        else:
            reader.editor.undo()
            reader.settle()

    reading.ui.lesionTable.setCurrentCell(2, 0)
    reading.ui.acceptButton.click()
    for lesion in LESIONS:
        reader.stroke(lesion, erase=True)
    reader.settle()
    assert reader.numbers == []
    for standing in ([3], [2, 3]):
        undo()
        now = labelsNow(reading)
        assert [(now[lesion] == 2).all() for lesion in LESIONS] == [number in standing for number in (1, 2, 3)]
        assert reader.numbers == standing
        assert verdicts(reading)[-1] == "accept"
        assert reader.isMarked
    undo()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert verdicts(reading) == ["", "", "accept"]
    assert not reader.isMarked


def test_undone_across_a_verdict_to_a_labelmap_that_nobody_saw(reader, reading):
    for place in (BEYOND[0], LESIONS[0], BEYOND[1]):
        reader.stroke(place, erase=place is LESIONS[0])
    reader.settle()
    reading.ui.lesionTable.setCurrentCell(1, 0)
    reading.ui.rejectButton.click()
    rejected = reading.widget.resultSection.session.verdicts.lesions[1]
    assert rejected.verdict == "reject"
    reader.editor.undo()
    reader.editor.undo()
    reader.settle()
    expected = labelArray()
    expected[LESIONS[0]], expected[BEYOND[0]] = 0, 2
    assert np.array_equal(labelsNow(reading), expected), "as it was drawn: a change now would catch the editor's undo"
    reader.stroke(FAINT)
    reader.settle()
    expected[LESIONS[0]], expected[FAINT] = 1, 2
    assert np.array_equal(labelsNow(reading), expected), "with the next stroke it is liver"
    for _step in range(3):
        reader.editor.undo()
        reader.settle()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert not reader.isMarked


def test_two_strokes_and_an_undo_within_one_look_are_one_stroke(reader, reading):
    reader.stroke(FAINT)
    reader.stroke(LESIONS[0], erase=True)
    reader.editor.undo()
    reader.settle()
    expected = labelArray()
    expected[FAINT] = 2
    assert np.array_equal(labelsNow(reading), expected)
    assert reader.isMarked
    assert reader.numbers == [1, 2, 3, 4]
    reader.editor.undo()
    reader.settle()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert not reader.isMarked


def test_liver_erased_a_second_time_leaves_the_organ(reader, reading):
    """The second stroke is one of its own, even on the very voxels that became liver."""
    reader.stroke(LESIONS[0], erase=True)
    reader.settle()
    mask = np.zeros(SHAPE, bool)
    mask[LESIONS[0]] = True
    reader.editor._stroke("liver", mask, erase=True)
    reader.settle()
    assert (labelsNow(reading)[LESIONS[0]] == 0).all()
