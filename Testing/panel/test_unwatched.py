"""What happens to a result beside the panel: corrected while it was not shown, its CT moved; on real MRML."""

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from reading_session import FAINT, LESIONS, SHAPE, SPACING, labelArray, labelsNow, sliceCentre, verdicts, worldOf
from test_saved_session import saveAsFolder

DRAWN = np.s_[24:27, 12:16, 30:36]


def strokeElsewhere(reading, slicer, box, erase=False):
    """Paint or erase tumour in Slicer's own Segment Editor module: an editor and a node of its own."""
    editor = slicer.qMRMLSegmentEditorWidget()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    node.SetOverwriteMode(node.OverwriteAllSegments)
    editor.setMRMLSegmentEditorNode(node)
    editor.setMRMLScene(slicer.mrmlScene)
    editor.setSegmentationNode(reading.node)
    editor.setSourceVolumeNode(reading.volume)
    mask = np.zeros(SHAPE, bool)
    mask[box] = True
    editor._stroke("tumor", mask, erase=erase)


def middle(reading, box):
    return worldOf(reading, [(s.start + s.stop - 1) / 2 for s in box])


def assertFiguresAreTrue(reading):
    labels = labelsNow(reading)
    volumes = json.loads(reading.node.GetAttribute("LiverTumorSeg.VolumesMl"))
    assert volumes["tumor"] == pytest.approx(np.count_nonzero(labels == 2) * np.prod(SPACING) / 1000)
    lesions = reading.widget.resultSection.session.verdicts.lesions
    numbers = [reading.ui.lesionTable.item(row, 0).text() for row in range(reading.ui.lesionTable.rowCount)]
    assert numbers == [str(lesion.number) for lesion in lesions]
    assert "corrected by hand" in reading.ui.volumesLabel.text


def assertTheSliderAsks(reading, slicer, monkeypatch):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    before, asked = labelsNow(reading), []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or False)
    reading.ui.sensitivitySlider.sliderPressed.emit()
    reading.ui.sensitivitySlider.value = positionOf(0.3)
    reading.ui.sensitivitySlider.sliderReleased.emit()
    assert "corrected by hand" in asked[0]
    assert np.array_equal(labelsNow(reading), before)


def test_corrected_while_another_result_was_shown(reading, slicer, monkeypatch):
    ui = reading.ui
    ui.resultSelector.setCurrentNode(None)
    strokeElsewhere(reading, slicer, DRAWN)
    strokeElsewhere(reading, slicer, LESIONS[0], erase=True)
    ui.resultSelector.setCurrentNode(reading.node)
    assertFiguresAreTrue(reading)
    assert ui.lesionTable.rowCount == 3
    ui.lesionTable.setCurrentCell(2, 0)
    assert sliceCentre(slicer) == pytest.approx(middle(reading, DRAWN), abs=SPACING[2])
    ui.acceptButton.click()
    assert verdicts(reading) == ["", "", "accept"]
    assertTheSliderAsks(reading, slicer, monkeypatch)


def test_a_saved_scene_that_is_corrected_before_the_module_is_opened(reading, slicer, application, tmp_path):
    from conftest import Panel

    load = saveAsFolder(slicer, tmp_path)
    slicer.mrmlScene.Clear(False)
    reading.widget.cleanup()
    load()
    reading.node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    reading.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    strokeElsewhere(reading, slicer, LESIONS[0], erase=True)
    again = Panel(application)
    again.open()
    again.node, again.volume = reading.node, reading.volume
    assertFiguresAreTrue(again)
    again.close()


def test_a_result_that_nobody_touched_is_opened_as_it_was(reading):
    before = {name: reading.node.GetAttribute(name) for name in reading.node.GetAttributeNames()}
    reading.ui.resultSelector.setCurrentNode(None)
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assert {name: reading.node.GetAttribute(name) for name in reading.node.GetAttributeNames()} == before
    assert "corrected" not in reading.ui.volumesLabel.text


def test_a_result_of_a_script_that_is_corrected_before_it_is_shown(reading, slicer, monkeypatch):
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.keptProbability import keepProbability
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf

    labelmap = Labelmap(labelArray(), LIVER_TUMOR, gridOf(reading.volume))
    reading.node = commitSegmentation(reading.volume, labelmap, "CT liver 2", attributesOfReport({"threshold": 0.5}))
    scores = np.where(labelArray() == 2, 230, 5).astype(np.uint8)
    scores[FAINT] = 90
    keepProbability(reading.node, reading.volume, coreGrid(reading.volume).image(scores))
    strokeElsewhere(reading, slicer, DRAWN)
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assertFiguresAreTrue(reading)
    assertTheSliderAsks(reading, slicer, monkeypatch)


def test_after_hardening_figures_marks_and_jumps_are_where_the_lesions_are(reading, slicer):
    ui = reading.ui
    ui.lesionTable.setCurrentCell(2, 0)
    ui.rejectButton.click()
    ui.lesionTable.setCurrentCell(1, 0)
    before, drawn = json.loads(reading.node.GetAttribute("LiverTumorSeg.Lesions")), labelsNow(reading)
    for node in (reading.volume, reading.node):
        node.HardenTransform()
    stored = lambda: json.loads(reading.node.GetAttribute("LiverTumorSeg.Lesions"))  # noqa: E731
    reading.wait(lambda: stored() != before, 10)
    assert np.array_equal(labelsNow(reading), drawn)
    spacing = np.prod(reading.volume.GetSpacing()) / np.prod(SPACING)
    assert [lesion["volume_ml"] / old["volume_ml"] for lesion, old in zip(stored(), before, strict=True)] == (
        pytest.approx([spacing] * 3, rel=1e-3)
    ), "the transform stretched the voxels"
    line = slicer.mrmlScene.GetSingletonNode("LiverTumorSegDiameter0", "vtkMRMLMarkupsLineNode")
    assert line.GetTransformNodeID() is None
    ends = [np.array(line.GetNthControlPointPositionWorld(n)) for n in (0, 1)]
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(stored()[1]["diameter_mm"], abs=1.5)
    assert np.linalg.norm(np.mean(ends, axis=0) - middle(reading, LESIONS[1])) < 3 * SPACING[2]
    outline = slicer.mrmlScene.GetSingletonNode("LiverTumorSegRejected", "vtkMRMLModelNode")
    bounds = np.zeros(6)
    outline.GetRASBounds(bounds)
    assert bounds.reshape(3, 2).mean(axis=1) == pytest.approx(middle(reading, LESIONS[2]), abs=1.0)
    ui.lesionTable.setCurrentCell(0, 0)
    ui.lesionTable.setCurrentCell(1, 0)
    assert np.linalg.norm(np.subtract(sliceCentre(slicer), middle(reading, LESIONS[1]))) < 3 * SPACING[2]
    ui.acceptButton.click()
    assert verdicts(reading) == ["", "accept", "reject"]


def test_marks_follow_the_ct_under_another_transform(reading, slicer):
    from scene_state import addLinearTransform

    reading.ui.lesionTable.setCurrentCell(1, 0)
    reading.ui.rejectButton.click()
    moved = addLinearTransform("Registration")
    for node in (reading.volume, reading.node):
        node.SetAndObserveTransformNodeID(moved.GetID())
    line = slicer.mrmlScene.GetSingletonNode("LiverTumorSegDiameter0", "vtkMRMLMarkupsLineNode")
    reading.wait(lambda: line.GetTransformNodeID() == moved.GetID(), 10)
    outline = slicer.mrmlScene.GetSingletonNode("LiverTumorSegRejected", "vtkMRMLModelNode")
    assert outline.GetTransformNodeID() == moved.GetID()
