"""What only a real Slicer would show: leaks, names that ITK cannot open, dialogs and shortcuts of a desktop."""

import csv
import gc
import weakref

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scene_state import sceneState

ONLY_ASCII = """
import SimpleITK


def guarded(function):
    def call(*arguments, **options):
        for argument in arguments:
            if isinstance(argument, str) and not argument.isascii():
                raise OSError(f"ITK on Windows cannot open {argument!a}")
        return function(*arguments, **options)

    return call


for name in ("ReadImage", "WriteImage"):
    setattr(SimpleITK, name, guarded(getattr(SimpleITK, name)))
for cls in (SimpleITK.ImageFileReader, SimpleITK.ImageFileWriter):
    cls.SetFileName = guarded(cls.SetFileName)
import tempfile
from pathlib import Path

made = tempfile.mkdtemp
tempfile.mkdtemp = lambda *a, **o: str(Path(made(*a, **o)).absolute())  # as Python 3.12 does
"""


def test_the_child_opens_ascii_names_only(phantomPanel, tmp_path, monkeypatch, temporaryFolder):
    """On Windows ITK cannot open what bears the user's or the series' name: the child works with names of its own."""
    (tmp_path / "sitecustomize.py").write_text(ONLY_ASCII, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not str(temporaryFolder).isascii()
    assert not phantomPanel.volume.GetName().isascii()
    node = phantomPanel.segment()
    assert node is not None, phantomPanel.ui.findingsLabel.text
    assert node.GetName() == f"{phantomPanel.volume.GetName()} liver 1"


def test_a_run_that_is_over_lets_go_of_everything(phantomPanel, slicer):
    """PythonQt holds connected methods strongly: a timer left connected keeps the run and its CT for ever."""
    panel, ui = phantomPanel, phantomPanel.ui
    watches = []
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    watches.append(weakref.ref(panel.widget.segmentSection.models._query))
    panel.widget.segmentSection.models.close()

    def begin():
        ui.segmentButton.click()
        watches.extend((weakref.ref(panel.run), weakref.ref(panel.run.process)))

    begin()
    panel.wait(lambda: panel.run is None)
    begin()
    ui.cancelButton.click()
    panel.wait(lambda: panel.run is None)
    begin()
    panel.widget.segmentSection.forgetScene()
    gc.collect()
    assert [watch() for watch in watches] == [None] * 7


def test_process_segments_from_the_console(phantomPanel, application, slicer, densityModels, tmp_path):
    logic = application.module.LiverTumorSegLogic()
    before = sceneState()
    with pytest.raises(ValueError, match="splendid"):
        logic.process(phantomPanel.volume, quality="splendid")
    with pytest.raises(RuntimeError, match="not a model folder"):
        logic.process(phantomPanel.volume, model=tmp_path)
    with pytest.raises(RuntimeError, match="no CT"):
        logic.process(None)
    assert sceneState() == before
    node = logic.process(
        phantomPanel.volume, quality="quick", device="cpu", model=densityModels.folder / "liver-tumor"
    )
    assert node.GetAttribute("LiverTumorSeg.Quality") == "quick"
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["liver", "tumor"]


def test_a_ct_that_is_filled_renamed_or_moved_is_looked_at_again(panel, slicer):
    from scene_state import addNonLinearTransform

    panel.open()
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Later")
    assert "Later&#x27; has no image data" in panel.ui.inputFindingsLabel.text
    volume.SetName("Now")
    assert "Now&#x27; has no image data" in panel.ui.inputFindingsLabel.text
    slicer.util.updateVolumeFromArray(volume, np.zeros((4, 5, 6), np.int16))
    assert "image data" not in panel.ui.inputFindingsLabel.text
    volume.SetAndObserveTransformNodeID(addNonLinearTransform().GetID())
    assert "non-linear transform" in panel.ui.inputFindingsLabel.text
    volume.SetAndObserveTransformNodeID(None)
    assert "non-linear transform" not in panel.ui.inputFindingsLabel.text


def addResult(slicer, name, volumeMl):
    """Add a segmentation that bears the figures of a result with one lesion."""
    from LiverTumorSegPanel.resultRecords import attributesOfReport

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    lesion = {"id": 1, "volume_ml": volumeMl, "centroid_lps_mm": [1, 2, 3]}
    report = {"volumes_ml": {"liver": 1400, "tumor": volumeMl}, "lesions": [lesion]}
    for key, value in attributesOfReport(report).items():
        node.SetAttribute(key, value)
    return node


def test_export_writes_what_was_shown_when_the_dialog_opened(panel, slicer, application, tmp_path):
    dialogs = application.qt.QFileDialog
    panel.open()
    first, second = addResult(slicer, "CT liver 1", 2.5), addResult(slicer, "CT liver 2", 7.5)
    panel.ui.resultSelector.setCurrentNode(first)
    dialogs.answer = str(tmp_path / "chosen")
    later = [lambda: panel.ui.resultSelector.setCurrentNode(second), lambda: slicer.mrmlScene.Clear(False)]

    def whileOpen():
        if later:
            later.pop(0)()
        return not later

    dialogs.mayClose = whileOpen
    panel.ui.exportButton.click()
    with (tmp_path / "chosen.csv").open(encoding="utf-8") as stream:
        assert [row["volume_ml"] for row in csv.DictReader(stream)] == ["2.5"]
    panel.ui.resultSelector.setCurrentNode(addResult(slicer, "CT liver 3", 1.0))
    dialogs.answer = ""
    panel.ui.exportButton.click()
    assert dialogs.asked[-1][2] == str(tmp_path / "CT_liver_3.lesions.csv")


def test_shortcuts_are_there_only_while_the_editor_can_be_seen(panel, slicer):
    panel.open()
    panel.ui.resultSelector.setCurrentNode(addResult(slicer, "CT liver 1", 2.5))
    panel.ui.correctButton.collapsed = False
    editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)

    def brushAfterKey():
        editor._press("1")
        active = editor._active
        editor.setActiveEffect(None)
        return active

    assert brushAfterKey() == "1"
    panel.widget.exit()
    assert brushAfterKey() is None
    panel.widget.enter()
    assert brushAfterKey() == "1"
    editor._press("1")
    panel.ui.correctButton.collapsed = True
    assert editor._active is None
    panel.widget.exit()
    panel.widget.enter()
    assert brushAfterKey() is None
    assert not editor._observing
    panel.ui.correctButton.collapsed = False
    assert brushAfterKey() == "1"
    slicer.mrmlScene.Clear(False)
    assert brushAfterKey() is None
