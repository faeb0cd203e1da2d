"""The reader's way through the panel, on real MRML, with the real command line as child process."""

import csv
import json
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scene_state import addLinearTransform, sceneState


def children():
    return {process.pid for process in psutil.Process().children(recursive=True)}


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def test_segments_a_ct_under_a_transform(phantomPanel, slicer, temporaryFolder):
    panel, ui = phantomPanel, phantomPanel.ui
    transform = addLinearTransform()
    panel.volume.SetAndObserveTransformNodeID(transform.GetID())
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    texts, values = set(), []
    ui.segmentButton.click()
    assert not ui.segmentButton.visible
    assert ui.cancelButton.visible
    assert not ui.inputSelector.enabled
    while panel.run is not None:
        panel.wait(lambda: panel.run is None or ui.statusLabel.text not in texts)
        texts.add(ui.statusLabel.text)
        values.append(ui.progressBar.value)
    node = panel.widget.resultSection.node
    assert node is not None, ui.findingsLabel.text
    assert values == sorted(values)
    assert values[-1] > 800
    assert any("elapsed" in text for text in texts)
    assert node.GetName() == f"{panel.volume.GetName()} liver 1"
    assert node.GetParentTransformNode() is transform
    added = {n.GetClassName() for n in slicer.util.getNodesByClass("vtkMRMLNode") if n.GetID() not in before}
    assert added == {
        *("vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode"),
        *("vtkMRMLMarkupsLineNode", "vtkMRMLMarkupsDisplayNode"),  # the diameters of lesion 1; not saved
        "vtkMRMLScriptedModuleNode",  # hidden: the tumour probability
    }
    for name, value in (("liver", 1), ("tumor", 2)):
        found = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, panel.volume) != 0
        assert dice(found, panel.labels == value) > 0.9
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    assert red.GetBackgroundVolumeID() == panel.volume.GetID()
    assert not list(temporaryFolder.iterdir())
    assert ui.resultSelector.currentNode() is node
    assert "Liver 74" in ui.volumesLabel.text  # 749 ml by its formula
    assert "2 lesions" in ui.volumesLabel.text
    assert ui.lesionTable.rowCount == 2
    assert ui.statusLabel.text == f"Done: '{node.GetName()}'."
    assert node.GetAttribute("LiverTumorSeg.Model") == "density-liver-tumor 1"


def test_click_jumps_verdicts_are_kept_and_exported(phantomPanel, slicer, application, tmp_path):
    panel, ui = phantomPanel, phantomPanel.ui
    panel.volume.SetAndObserveTransformNodeID(addLinearTransform().GetID())
    node = panel.segment()
    lesions = json.loads(node.GetAttribute("LiverTumorSeg.Lesions"))
    ui.lesionTable.cellClicked.emit(1, 1)
    x, y, z = np.mean(lesions[1]["longest_lps_mm"], axis=0)
    world = [0.0, 0.0, 0.0]
    panel.volume.TransformPointToWorld([-x, -y, z], world)
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetSliceToRAS()
    assert [red.GetElement(row, 3) for row in range(3)] == pytest.approx(world, abs=0.01)
    ui.lesionTable.setCurrentCell(0, 0)
    ui.acceptButton.click()
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    application.qt.QFileDialog.answer = str(tmp_path / "lesions.csv")
    assert panel.export(ui.exportButton) == "Written: lesions.csv."
    with (tmp_path / "lesions.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["accept", "reject"]
    assert float(rows[0]["volume_ml"]) == pytest.approx(lesions[0]["volume_ml"])
    assert float(rows[1]["x_lps_mm"]) == pytest.approx(lesions[1]["centroid_lps_mm"][0])
    ui.resultSelector.setCurrentNode(None)
    assert ui.lesionTable.rowCount == 0
    ui.resultSelector.setCurrentNode(node)
    assert ui.lesionTable.item(1, 5).text() == "R"


def test_cancel_in_the_middle_leaves_nothing(phantomPanel, temporaryFolder):
    panel, ui = phantomPanel, phantomPanel.ui
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    before, processes = sceneState(), children()
    ui.segmentButton.click()
    panel.wait(lambda: ui.progressBar.value > 0)
    assert children() > processes
    assert list(temporaryFolder.iterdir())
    ui.cancelButton.click()
    panel.wait(lambda: panel.run is None, seconds=2.0)
    assert ui.statusLabel.text == "Cancelled. The scene is as it was."
    assert sceneState() == before
    assert children() <= processes
    assert not list(temporaryFolder.iterdir())
    assert ui.segmentButton.enabled
    assert not ui.cancelButton.visible


def test_every_run_is_a_new_node_and_corrections_stay(phantomPanel, slicer):
    panel, ui = phantomPanel, phantomPanel.ui
    first = panel.segment()
    ui.correctButton.collapsed = False
    editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    assert editor.segmentationNode() is first
    assert editor.sourceVolumeNode() is panel.volume
    assert editor.mrmlSegmentEditorNode().GetSingletonTag() == "LiverTumorSegEditor"
    corrected = slicer.util.arrayFromSegmentBinaryLabelmap(first, "tumor", panel.volume).copy()
    corrected[:, :, : corrected.shape[2] // 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(corrected, first, "tumor", panel.volume)
    panel.wait(lambda: first.GetAttribute("LiverTumorSeg.Edited") == "1")
    assert panel.segment() is first, "what was corrected stays, and the second run is compared with it"
    second = slicer.mrmlScene.GetFirstNodeByName(first.GetName().removesuffix("1") + "2")
    assert second.GetName() in ui.candidateLabel.text
    assert editor.segmentationNode() is first
    kept = slicer.util.arrayFromSegmentBinaryLabelmap(first, "tumor", panel.volume)
    assert np.array_equal(kept != 0, corrected != 0)


def test_mr_is_refused_and_segmented_anyway(phantomPanel, slicer):
    panel, ui = phantomPanel, phantomPanel.ui
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(panel.volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), panel.volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    before = sceneState()
    assert panel.segment() is None
    assert sceneState() == before
    assert "Problem:" in ui.findingsLabel.text
    assert "MR" in ui.findingsLabel.text
    assert "--force" not in ui.findingsLabel.text
    assert ui.statusLabel.text == "Nothing was segmented."
    assert ui.forceButton.visible
    ui.forceButton.click()
    assert not ui.forceButton.visible
    panel.wait(lambda: panel.run is None)
    assert panel.widget.resultSection.node is not None


def test_damaged_model_is_one_sentence_and_no_segment_anyway(phantomPanel, densityModels, tmp_path):
    panel, ui = phantomPanel, phantomPanel.ui
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("model.json", "model.safetensors"):
        (broken / name).write_bytes((densityModels.folder / "liver-tumor" / name).read_bytes())
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:-7])
    assert panel.widget.segmentSection.models.addModelFolder(broken) == ""
    assert panel.widget.segmentSection.models.modelFolder() == broken
    before = sceneState()
    assert panel.segment() is None
    assert sceneState() == before
    assert "damaged" in ui.findingsLabel.text
    assert not ui.forceButton.visible
    assert "damaged" in ui.logText.plainText


def test_killed_child_is_said_and_the_scene_is_untouched(phantomPanel, temporaryFolder):
    panel, ui = phantomPanel, phantomPanel.ui
    before = sceneState()
    ui.segmentButton.click()
    panel.wait(lambda: ui.progressBar.value > 0)
    psutil.Process(panel.run.process.pid).kill()
    panel.wait(lambda: panel.run is None)
    assert "was ended by the system" in ui.findingsLabel.text
    assert sceneState() == before
    assert not list(temporaryFolder.iterdir())


def test_closing_the_scene_ends_the_run(phantomPanel, slicer, temporaryFolder):
    panel = phantomPanel
    panel.ui.segmentButton.click()
    panel.wait(lambda: panel.ui.progressBar.value > 0)
    process = psutil.Process(panel.run.process.pid)
    slicer.mrmlScene.Clear(False)
    assert panel.run is None
    assert not process.is_running()
    assert not list(temporaryFolder.iterdir())
    assert not panel.ui.segmentButton.enabled


def test_ct_removed_during_the_run(phantomPanel, slicer):
    panel = phantomPanel
    panel.ui.segmentButton.click()
    slicer.mrmlScene.RemoveNode(panel.volume)
    panel.wait(lambda: panel.run is None)
    assert panel.widget.resultSection.node is None
    assert "removed from the scene" in panel.ui.findingsLabel.text


def test_ct_loaded_while_the_panel_is_open_is_taken_and_a_removed_result_leaves_no_figures(panel, slicer):
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from scene_state import addScan

    panel.open()
    assert "Choose the CT" in panel.ui.inputFindingsLabel.text
    volume = addScan()
    assert panel.widget._parameterNode.inputVolume is volume
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT liver 1")
    lesion = {"id": 1, "volume_ml": 2.5, "diameter_mm": 17.0, "perpendicular_mm": None, "centroid_lps_mm": [1, 2, 3]}
    for name, value in attributesOfReport({"volumes_ml": {"liver": 1400, "tumor": 2.5}, "lesions": [lesion]}).items():
        node.SetAttribute(name, value)
    panel.ui.resultSelector.setCurrentNode(node)
    assert panel.ui.lesionTable.rowCount == 1
    assert panel.ui.lesionTable.item(0, 3).text() == "17.0\n–"
    slicer.mrmlScene.RemoveNode(node)
    assert panel.widget.resultSection.node is None
    assert panel.ui.lesionTable.rowCount == 0
    plain = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Somebody's")
    panel.ui.resultSelector.setCurrentNode(plain)
    assert "not made by this module" in panel.ui.volumesLabel.text


def test_devices_are_named(phantomPanel):
    ui = phantomPanel.ui
    assert ui.deviceComboBox.currentText.startswith("Automatic")
    phantomPanel.wait(lambda: phantomPanel.widget.segmentSection.models.torch is not None)
    names = [ui.deviceComboBox.itemText(index) for index in range(ui.deviceComboBox.count)]
    assert any(name.startswith("CPU, ") for name in names)
    ui.deviceComboBox.setCurrentIndex(len(names) - 1)
    assert phantomPanel.widget._parameterNode.device == "cpu"


def test_module_opens_without_torch(panel, slicer, monkeypatch):
    from LiverTumorSegPanel import dependencies

    monkeypatch.setattr(dependencies, "missingPackages", lambda: ["torch", "safetensors", "nibabel"])
    panel.open()
    assert panel.ui.installButton.visible
    assert "neither is the PyTorch extension" in panel.ui.inputFindingsLabel.text
    slicer.modules.pytorchutils = object()
    try:
        panel.widget.enter()
        assert "PyTorch, safetensors and nibabel must be installed" in panel.ui.inputFindingsLabel.text
        assert not panel.ui.segmentButton.enabled
    finally:
        del slicer.modules.pytorchutils


REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "Resources" / "Models"
SMALL_CT = REPOSITORY.parent / "shared" / "data" / "tests" / "abdomen_3mm_ct.nii.gz"


@pytest.mark.skipif(
    not (SHIPPED / "liver-tumor" / "model.json").is_file(), reason="no shipped models in this checkout"
)
@pytest.mark.skipif(not SMALL_CT.is_file(), reason="the small test CT is not on this machine")
def test_shipped_models_on_a_real_ct(panel, slicer, monkeypatch):
    monkeypatch.delenv("LIVERTUMORSEG_MODELS", raising=False)
    volume = slicer.util.loadVolume(str(SMALL_CT))
    panel.open()
    panel.ui.qualityComboBox.setCurrentIndex(0)
    node = panel.segment(seconds=120)
    assert node is not None, panel.ui.findingsLabel.text
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)
    assert 200 < np.count_nonzero(liver) * np.prod(volume.GetSpacing()) / 1000 < 3000
