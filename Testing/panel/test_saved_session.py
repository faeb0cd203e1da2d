"""A session goes on after its scene was saved and loaded again, by Slicer's own writing and reading of scenes."""

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from reading_session import FAINT, LESIONS, SHAPE, labelArray, labelsNow, verdicts


def saveAsFolder(slicer, folder):
    """Save as the Save dialog does: the data of each node, then the scene file. Return what to load."""
    scene, path = slicer.mrmlScene, folder / "Ťest scene.mrml"
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(folder))
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        if node.GetSaveWithScene() and not node.GetHideFromEditors():
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            if storage is not None:
                suffix = storage.GetDefaultWriteFileExtension()
                assert slicer.util.saveNode(node, str(folder / f"{node.GetID()}.{suffix}"))
    assert scene.Commit()
    return scene.Connect


def saveAsBundle(slicer, folder):
    """Save as one .mrb file. Return what loads it."""
    scene, path = slicer.mrmlScene, folder / "scene.mrb"
    assert scene.WriteToMRB(str(path))

    def load():
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        scene.SetURL(slicer.app.applicationLogic().UnpackSlicerDataBundle(str(path), str(unpacked)))
        scene.Connect()

    return load


@pytest.mark.parametrize("save", [saveAsFolder, saveAsBundle])
def test_slider_default_and_verdicts_work_again(reading, slicer, tmp_path, save):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    ui = reading.ui
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    ui.lesionTable.setCurrentCell(0, 0)
    ui.acceptButton.click()
    ui.sensitivitySlider.sliderPressed.emit()
    ui.sensitivitySlider.value = positionOf(0.3)
    ui.sensitivitySlider.sliderReleased.emit()
    moved, label = labelsNow(reading), ui.sensitivityLabel.text
    assert (moved[FAINT] == 2).all()
    scores = [lesion["mean_probability"] for lesion in json.loads(reading.node.GetAttribute("LiverTumorSeg.Lesions"))]
    load = save(slicer, tmp_path)
    slicer.mrmlScene.Clear(False)
    assert not ui.sensitivitySlider.visible
    load()
    reading.app.processEvents()
    assert reading.widget._parameterNode.result is not None
    reading.node = ui.resultSelector.currentNode()
    reading.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert reading.widget._parameterNode.inputVolume is reading.volume
    assert reading.widget.resultSection.session.node is reading.node
    assert np.array_equal(labelsNow(reading), moved)
    assert verdicts(reading) == ["accept", "reject", "", ""]
    again = [lesion["mean_probability"] for lesion in json.loads(reading.node.GetAttribute("LiverTumorSeg.Lesions"))]
    assert again == pytest.approx(scores)
    assert ui.sensitivitySlider.visible
    assert ui.sensitivityLabel.text == label
    assert ui.defaultSensitivityButton.enabled
    ui.defaultSensitivityButton.click()
    assert "Default" in ui.sensitivityLabel.text
    now = labelsNow(reading)
    assert (now[LESIONS[1]] == 1).all(), "what was rejected stays rejected"
    assert (now[FAINT] == 1).all()
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()  # takes it back
    assert np.array_equal(labelsNow(reading), labelArray())


def test_it_is_no_ct_and_goes_with_its_result(reading, slicer):
    kept = reading.node.GetNodeReference("LiverTumorSeg.Probability")
    assert kept.GetHideFromEditors()
    assert len(slicer.util.getNodesByClass("vtkMRMLVolumeNode")) == 1
    size = sum(len(kept.GetParameter(name)) for name in kept.GetParameterNames())
    assert size < np.prod(SHAPE) / 20
    slicer.mrmlScene.RemoveNode(reading.node)
    assert not slicer.mrmlScene.IsNodePresent(kept)


def test_a_damaged_one_is_as_none(reading):
    from LiverTumorSegPanel.keptProbability import probabilityOf

    kept = reading.node.GetNodeReference("LiverTumorSeg.Probability")
    for name in ("Grid", "Voxels", "Organ"):
        before = kept.GetParameter(name)
        for text in ("", "{}", "AAAA", '{"size": [1, 2, 3]}', before[: len(before) // 2]):
            kept.SetParameter(name, text)
            assert probabilityOf(reading.node) is None
        kept.SetParameter(name, before)
    assert probabilityOf(reading.node) is not None
    kept.SetParameter("Grid", "")
    reading.ui.resultSelector.setCurrentNode(None)
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assert not reading.ui.sensitivitySlider.visible
    assert reading.ui.lesionTable.rowCount == 3


def test_on_another_grid_it_is_not_offered(reading):
    x, y, z = reading.volume.GetOrigin()
    reading.volume.SetOrigin(x + 0.3, y, z)
    reading.ui.resultSelector.setCurrentNode(None)
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assert not reading.ui.sensitivitySlider.visible


def test_after_an_edit_the_outline_is_the_readers(reading, slicer, monkeypatch):
    """The slider replaces the tumour, never the organ that was drawn."""
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    reading.ui.correctButton.collapsed = False
    editor = reading.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    grown = np.zeros(SHAPE, bool)
    grown[1:4, 8:50, 6:44] = True
    editor._stroke("liver", grown)
    reading.wait(lambda: reading.node.GetAttribute("LiverTumorSeg.Edited") == "1")
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda _text: True)
    reading.ui.sensitivitySlider.sliderPressed.emit()
    reading.ui.sensitivitySlider.value = positionOf(0.3)
    reading.ui.sensitivitySlider.sliderReleased.emit()
    now = labelsNow(reading)
    assert (now[grown] == 1).all()
    assert (now[FAINT] == 2).all()


def test_a_second_result_keeps_its_own(reading, slicer):
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf

    labels = labelArray()
    drawn = Labelmap(labels, LIVER_TUMOR, gridOf(reading.volume))
    second = commitSegmentation(reading.volume, drawn, "CT liver 2", attributesOfReport({"threshold": 0.5}))
    scores = np.where(labels == 2, 230, 5).astype(np.uint8)
    reading.widget._onResult(second, reading.volume, coreGrid(reading.volume).image(scores))
    for node in (second, reading.node):
        reading.ui.resultSelector.setCurrentNode(node)
        assert reading.ui.sensitivitySlider.visible
        assert reading.widget.resultSection.session.hasProbability
