"""A reader's session with a result: verdicts by key, corrections by hand, another sensitivity, undo; on real MRML."""

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

import SimpleITK as sitk
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from reading_session import FAINT, LESIONS, SHAPE, SPACING, labelArray, labelsNow, sliceCentre, verdicts, worldOf


def press(panel, key):
    QtTest.QTest.keyClick(panel.ui.lesionTable, key)
    panel.app.processEvents()


def eraseFirstLesion(reading, slicer):
    """Erase it in the embedded editor, as a reader does."""
    reading.ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    mask = np.zeros(SHAPE, bool)
    mask[LESIONS[0]] = True
    editor._stroke("tumor", mask, erase=True)
    reading.wait(lambda: reading.ui.lesionTable.rowCount == 2)


def test_the_result_opens_on_its_first_lesion_with_its_diameters(reading, slicer):
    ui = reading.ui
    assert ui.lesionTable.rowCount == 3
    assert ui.lesionTable.currentRow() == 0
    middle = worldOf(reading, [(box.start + box.stop - 1) / 2 for box in LESIONS[0]])
    off = np.subtract(sliceCentre(slicer), middle)
    assert np.linalg.norm(off) < 0.6 * SPACING[2] * (LESIONS[0][0].stop - LESIONS[0][0].start)
    lines = [slicer.mrmlScene.GetSingletonNode(f"LiverTumorSegDiameter{n}", "vtkMRMLMarkupsLineNode") for n in (0, 1)]
    lesion = reading.widget.resultSection._table.lesions[0].figures
    for line, key in zip(lines, ("diameter_mm", "perpendicular_mm"), strict=True):
        first, second = (np.array(line.GetNthControlPointPosition(n)) for n in (0, 1))
        assert np.linalg.norm(first - second) == pytest.approx(lesion[key], abs=1.0)
        assert line.GetTransformNodeID() == reading.volume.GetTransformNodeID()
        assert not line.GetSaveWithScene()
    reading.ui.resultSelector.setCurrentNode(None)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsLineNode") == 0


def test_keys_judge_and_go_on_and_a_rejected_lesion_is_liver(reading):
    ui, before = reading.ui, labelArray()
    ui.lesionTable.setFocus()
    press(reading, QtCore.Qt.Key_A)
    assert ui.lesionTable.currentRow() == 1
    press(reading, QtCore.Qt.Key_R)
    assert ui.lesionTable.currentRow() == 2
    press(reading, QtCore.Qt.Key_U)
    assert verdicts(reading) == ["accept", "reject", "unsure"]
    now = labelsNow(reading)
    assert (now[LESIONS[1]] == 1).all()
    assert np.array_equal(now > 0, before > 0)
    assert "Accepted 1 of 3" in ui.lesionHintLabel.text
    assert "1 rejected" in ui.lesionHintLabel.text
    assert "2 lesions" in ui.volumesLabel.text
    assert ui.lesionTable.item(1, 0).font().strikeOut()
    assert [ui.lesionTable.item(row, 5).text() for row in range(3)] == ["A", "R", "U"]
    press(reading, QtCore.Qt.Key_Up)
    assert ui.lesionTable.currentRow() == 1
    press(reading, QtCore.Qt.Key_R)  # the same key takes it back
    assert verdicts(reading) == ["accept", "", "unsure"]
    assert np.array_equal(labelsNow(reading), before)


def test_undo_brings_a_rejected_lesion_back(reading):
    reading.ui.lesionTable.setCurrentCell(1, 0)
    reading.ui.rejectButton.click()
    assert np.count_nonzero(labelsNow(reading) == 2) < np.count_nonzero(labelArray() == 2)
    reading.ui.undoButton.click()
    assert np.array_equal(labelsNow(reading), labelArray())
    assert verdicts(reading) == ["", "", ""]


def test_a_click_on_undo_without_anything_to_undo_does_nothing(reading):
    reading.ui.undoButton.click()
    assert np.array_equal(labelsNow(reading), labelArray())


def test_erasing_a_false_lesion_leaves_liver_and_the_figures_follow(reading, slicer):
    ui = reading.ui
    ui.lesionTable.setCurrentCell(0, 0)
    ui.acceptButton.click()
    ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    node = editor.mrmlSegmentEditorNode()
    assert node.GetOverwriteMode() == node.OverwriteAllSegments
    liver = json.loads(reading.node.GetAttribute("LiverTumorSeg.VolumesMl"))["liver"]
    mask = np.zeros(SHAPE, bool)
    mask[LESIONS[1]] = True
    editor._stroke("tumor", mask, erase=True)
    assert (labelsNow(reading)[LESIONS[1]] == 0).all()
    reading.wait(lambda: ui.lesionTable.rowCount == 2)
    assert (labelsNow(reading)[LESIONS[1]] == 1).all()
    volumes = json.loads(reading.node.GetAttribute("LiverTumorSeg.VolumesMl"))
    assert volumes["liver"] == pytest.approx(liver)
    assert "2 lesions" in ui.volumesLabel.text
    assert "corrected by hand" in ui.volumesLabel.text
    assert verdicts(reading) == ["accept", ""]
    editor.undo()
    reading.wait(lambda: ui.lesionTable.rowCount == 3)
    assert np.array_equal(labelsNow(reading), labelArray())
    assert verdicts(reading)[0] == "accept"


def test_an_undo_in_the_editor_is_no_erasure(reading, slicer):
    """Slicer's own undo button takes back a stroke beyond the liver: nothing of it may stay as liver."""
    ui, before = reading.ui, labelArray()
    ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    beyond = np.zeros(SHAPE, bool)
    beyond[10:20, 52:57, 10:20] = True
    editor._stroke("tumor", beyond)
    reading.wait(lambda: ui.lesionTable.rowCount == 4)
    editor.undo()
    reading.wait(lambda: ui.lesionTable.rowCount == 3)
    assert np.array_equal(labelsNow(reading), before)
    editor._history.RestoreNextState()  # and done again
    reading.wait(lambda: ui.lesionTable.rowCount == 4)
    assert (labelsNow(reading)[beyond] == 2).all()


def test_an_undo_in_the_editor_takes_the_slider_back(reading, slicer):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    ui = reading.ui
    ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    ui.lesionTable.setCurrentCell(1, 0)
    ui.acceptButton.click()
    ui.sensitivitySlider.sliderPressed.emit()
    ui.sensitivitySlider.value = positionOf(0.3)
    ui.sensitivitySlider.sliderReleased.emit()
    assert ui.lesionTable.rowCount == 4
    editor.undo()
    reading.wait(lambda: ui.lesionTable.rowCount == 3)
    assert np.array_equal(labelsNow(reading), labelArray())
    assert "Default" in ui.sensitivityLabel.text
    assert ui.sensitivitySlider.value == positionOf(0.5)
    assert "corrected" not in ui.volumesLabel.text, "nobody corrected anything"
    assert verdicts(reading) == ["", "accept", ""]


def test_painted_tumour_is_taken_from_the_liver(reading, slicer):
    reading.ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    mask = np.zeros(SHAPE, bool)
    mask[FAINT] = True
    editor._stroke("tumor", mask)
    reading.wait(lambda: reading.ui.lesionTable.rowCount == 4)
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(reading.node, "liver", reading.volume)
    assert not liver[FAINT].any()
    assert reading.ui.lesionTable.item(3, 4).text().endswith("\n–"), "the network gave no score for what was drawn"


def test_surfaces_follow_and_other_results_are_left_alone(reading, slicer):
    reading.ui.lesionTable.setCurrentCell(2, 0)
    reading.ui.rejectButton.click()
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    segmentation = reading.node.GetSegmentation()
    reading.wait(lambda: segmentation.ContainsRepresentation(name))
    reading.ui.rejectButton.click()
    reading.ui.resultSelector.setCurrentNode(None)
    assert segmentation.ContainsRepresentation(name)


def test_the_slider_shows_and_then_takes_over(reading, slicer):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    ui, before = reading.ui, labelArray()
    ui.lesionTable.setCurrentCell(2, 0)
    ui.rejectButton.click()
    slider = ui.sensitivitySlider
    assert slider.value == positionOf(0.5)
    assert "Default" in ui.sensitivityLabel.text
    assert not ui.defaultSensitivityButton.enabled
    rejected = labelsNow(reading)
    slider.sliderPressed.emit()
    slider.value = positionOf(0.3)
    assert "4 lesions" in ui.sensitivityLabel.text, "the preview shows what the network has"
    preview = slicer.mrmlScene.GetFirstNodeByName("Preview")
    shown = slicer.util.arrayFromSegmentBinaryLabelmap(preview, "Preview", reading.volume)
    assert shown[FAINT].all()
    assert np.array_equal(labelsNow(reading), rejected), "the result itself is not touched"
    assert not reading.node.GetDisplayNode().GetSegmentVisibility("tumor")
    slider.sliderReleased.emit()
    assert slicer.mrmlScene.GetFirstNodeByName("Preview") is None
    assert reading.node.GetDisplayNode().GetSegmentVisibility("tumor")
    now = labelsNow(reading)
    assert (now[FAINT] == 2).all()
    assert (now[LESIONS[2]] == 1).all(), "what was rejected stays rejected"
    assert ui.lesionTable.rowCount == 4
    assert verdicts(reading) == ["", "", "reject", ""]
    assert "corrected" not in ui.volumesLabel.text
    ui.undoButton.click()  # one step
    assert np.array_equal(labelsNow(reading), rejected)
    ui.defaultSensitivityButton.click()
    assert not ui.defaultSensitivityButton.enabled
    assert np.array_equal(labelsNow(reading) > 0, before > 0)


def test_the_slider_asks_before_it_replaces_a_correction(reading, slicer, monkeypatch):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    eraseFirstLesion(reading, slicer)
    corrected, asked = labelsNow(reading), []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or len(asked) > 1)
    for step in (0.4, 0.35, 0.3):  # by the arrow keys: the last one counts
        reading.ui.sensitivitySlider.value = positionOf(step)
    reading.wait(lambda: asked)
    assert "corrected by hand" in asked[0]
    assert np.array_equal(labelsNow(reading), corrected)
    assert reading.ui.sensitivitySlider.value == positionOf(0.5)
    assert slicer.mrmlScene.GetFirstNodeByName("Preview") is None
    reading.ui.sensitivitySlider.value = positionOf(0.3)
    reading.wait(lambda: len(asked) == 2)
    assert (labelsNow(reading)[LESIONS[0]] == 2).all()
    reading.ui.undoButton.click()
    assert np.array_equal(labelsNow(reading), corrected)


def addResultOfAnotherCt(labels):
    """Add a CT and a result of it; return both, and the probability of the run."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf
    from scene_state import addScan

    volume = addScan("Other", SHAPE, SPACING)
    labelmap = Labelmap(labels, LIVER_TUMOR, gridOf(volume))
    node = commitSegmentation(volume, labelmap, "Other liver 1", attributesOfReport({"threshold": 0.5}))
    scores = np.where(labels == 2, 230, 5).astype(np.uint8)
    scores[FAINT] = 90
    return node, volume, coreGrid(volume).image(scores)


def test_a_run_that_ends_while_the_slider_asks_changes_no_other_result(reading, slicer, monkeypatch):
    from LiverTumorSegPanel.segmentLabels import readLabels
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    eraseFirstLesion(reading, slicer)
    corrected, told = labelsNow(reading), []
    node, volume, probability = addResultOfAnotherCt(labelArray())
    ended = lambda _text: reading.widget._onResult(node, volume, probability) or True  # noqa: E731
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ended)
    monkeypatch.setattr(slicer.util, "infoDisplay", told.append)
    reading.ui.sensitivitySlider.sliderPressed.emit()
    reading.ui.sensitivitySlider.value = positionOf(0.3)
    reading.ui.sensitivitySlider.sliderReleased.emit()
    assert np.array_equal(readLabels(node, volume), labelArray())
    assert np.array_equal(labelsNow(reading), corrected)
    assert reading.ui.sensitivitySlider.value == positionOf(0.5)
    assert "nothing was replaced" in told[0]


def test_without_its_ct_a_result_can_be_looked_at_only(reading, slicer):
    slicer.mrmlScene.RemoveNode(reading.volume)
    reading.ui.resultSelector.setCurrentNode(None)
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assert "not judged" in reading.ui.lesionHintLabel.text
    assert not reading.ui.acceptButton.enabled
    assert reading.ui.lesionTable.rowCount == 3


@pytest.mark.parametrize("points", [9, 12])
@pytest.mark.parametrize("width", [380, 440])
def test_the_table_can_be_read_in_a_narrow_panel(reading, application, width, points):
    figures = {"volume_ml": 1834.5, "diameter_mm": 131.6, "perpendicular_mm": 124.1, "mean_hu": -104.0, "sd_hu": 23.0}
    figures |= {"mean_probability": 1.0, "place": "right lobe, superior", "slice": 345}
    table = reading.widget.resultSection._table
    lesions = [type(lesion)(lesion.number, "reject", {**lesion.figures, **figures}) for lesion in table.lesions]
    widget = reading.ui.lesionTable
    font = QtGui.QFont(widget.font)
    font.setPointSize(points)
    application.app.setFont(font)
    try:
        widget.setFont(font)
        table.show(lesions)
        reading.parent.setFixedWidth(width)
        for _settle in range(3):
            reading.app.processEvents()
        metrics = QtGui.QFontMetrics(font)
        assert QtWidgets.QTableWidget.viewport(widget).width() < width
        total = sum(widget.columnWidth(column) for column in range(widget.columnCount))
        assert total <= QtWidgets.QTableWidget.viewport(widget).width()
        for column in range(widget.columnCount):
            lines = f"{widget.item(0, column).text()}\n{widget.horizontalHeaderItem(column).text()}".split("\n")
            needed = max(metrics.horizontalAdvance(line) for line in lines)
            assert needed <= widget.columnWidth(column), lines
        assert widget.rowHeight(0) >= 2 * metrics.height()
    finally:
        application.app.setFont(QtWidgets.QApplication.font())


def test_a_training_pair_is_what_was_judged_and_names_nobody(reading, slicer, application, tmp_path):
    ui, dialogs = reading.ui, application.qt.QFileDialog
    reading.volume.SetName("Smith^John")
    for row, button in enumerate((ui.acceptButton, ui.rejectButton, ui.unsureButton)):
        ui.lesionTable.setCurrentCell(row, 0)
        button.click()
    dialogs.answer = str(tmp_path / "pairs")
    dialogs.mayClose = lambda: ui.resultSelector.setCurrentNode(None) or True  # another result, or none, meanwhile
    told = reading.export(ui.trainingButton)
    (label,) = (tmp_path / "pairs").glob("*_label.nii.gz")
    learned = sitk.GetArrayFromImage(sitk.ReadImage(str(label)))
    assert f"{label.name}, " in told
    assert (learned[LESIONS[0]] == 2).all()
    assert (learned[LESIONS[1]] == 1).all()
    assert (learned[LESIONS[2]] == 255).all()
    image = sitk.ReadImage(str(label).replace("_label", ""))
    assert np.array_equal(sitk.GetArrayFromImage(image), slicer.util.arrayFromVolume(reading.volume))
    (log,) = label.parent.glob("*.json")
    assert json.loads(log.read_text(encoding="utf-8"))["model"] == "m 1"
    assert not any("Smith" in path.name or b"Smith" in path.read_bytes() for path in label.parent.iterdir())
