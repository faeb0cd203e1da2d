"""A second run beside a result that a reader works on: compared, taken over in part or whole; on real MRML."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from reading_session import FAINT, LESIONS, labelArray, labelsNow, sliceCentre, worldOf


def secondRun(reading, slicer, labels):
    """End a second run on the same CT with these labels."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation, resultName
    from LiverTumorSegPanel.volumeExport import gridOf

    labelmap = Labelmap(labels, LIVER_TUMOR, gridOf(reading.volume))
    node = commitSegmentation(reading.volume, labelmap, resultName(reading.volume), attributesOfReport({}))
    reading.widget._onResult(node, reading.volume, None)
    return node


def test_a_second_run_is_compared_with_what_the_reader_did(reading, slicer, monkeypatch):
    ui = reading.ui
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    worked = labelsNow(reading)
    other = labelArray()
    other[FAINT] = 2
    other[LESIONS[2]] = 1
    second = secondRun(reading, slicer, other)
    assert reading.widget.resultSection.node is reading.node
    assert reading.widget._parameterNode.result is reading.node
    assert np.array_equal(labelsNow(reading), worked)
    assert not second.GetDisplayNode().GetVisibility()
    lines = [ui.candidateList.item(row).text() for row in range(ui.candidateList.count)]
    assert len(lines) == 3
    assert sum("new lesion: +" in line for line in lines) == 2
    assert sum("lesion gone: −" in line for line in lines) == 1
    (rejected,) = [row for row, line in enumerate(lines) if "you rejected it" in line]
    colors = slicer.mrmlScene.GetFirstNodeByName("Second run")
    added = slicer.util.arrayFromSegmentBinaryLabelmap(colors, "Only the second run", reading.volume)
    removed = slicer.util.arrayFromSegmentBinaryLabelmap(colors, "Only your result", reading.volume)
    assert added[FAINT].all()
    assert np.count_nonzero(added) == np.count_nonzero(other[FAINT]) + np.count_nonzero(other[LESIONS[1]])
    assert np.count_nonzero(removed) == np.count_nonzero(labelArray()[LESIONS[2]])
    (gone,) = [row for row, line in enumerate(lines) if "gone" in line]
    ui.candidateList.setCurrentRow(gone)
    middle = worldOf(reading, [(box.start + box.stop - 1) / 2 for box in LESIONS[2]])
    assert sliceCentre(slicer) == pytest.approx(middle, abs=0.01)
    ui.mergeButton.click()
    assert (labelsNow(reading)[LESIONS[2]] == 1).all()
    assert ui.candidateList.count == 2
    ui.undoButton.click()  # one step
    assert np.array_equal(labelsNow(reading), worked)
    assert ui.candidateList.count == 3
    asked = []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", asked.append)
    ui.mergeAllButton.click()
    assert asked[0].startswith("1 of 3 changes")
    now = labelsNow(reading)
    assert (now[LESIONS[1]] == 1).all(), "what was rejected stays rejected"
    assert (now[FAINT] == 2).all()
    assert (now[LESIONS[2]] == 1).all()
    assert rejected is not None
    ui.closeCandidateButton.click()
    assert slicer.mrmlScene.GetFirstNodeByName("Second run") is None
    assert not ui.candidateButton.visible
    assert slicer.mrmlScene.IsNodePresent(second), "it stays as a result of its own"


def test_a_third_run_that_ends_while_take_over_all_asks_is_not_taken_over(reading, slicer, monkeypatch):
    ui, told = reading.ui, []
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    worked = labelsNow(reading)
    second, third = labelArray(), labelArray()
    second[FAINT] = 2
    third[FAINT] = 0
    secondRun(reading, slicer, second)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda _text: secondRun(reading, slicer, third))
    monkeypatch.setattr(slicer.util, "infoDisplay", told.append)
    ui.mergeAllButton.click()
    assert np.array_equal(labelsNow(reading), worked)
    assert "nothing was taken over" in told[0]
    assert "'CT liver 3'" in ui.candidateLabel.text, "the third run is what is compared now"


def test_a_second_run_beside_an_untouched_result_is_simply_shown(reading, slicer):
    second = secondRun(reading, slicer, labelArray())
    assert reading.widget.resultSection.node is second
    assert not reading.ui.candidateButton.visible
