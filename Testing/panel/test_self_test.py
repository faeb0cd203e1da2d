"""The self-test that Slicer runs, run here on the stand-in: it cannot rot unseen."""

import sys
import types

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from slicer_boot import MODULE_FOLDER


def test_self_test_passes(phantomPanel, application, slicer, monkeypatch):
    panel = phantomPanel
    voxels = slicer.util.arrayFromVolume(panel.volume).copy()
    spacing, origin = panel.volume.GetSpacing(), panel.volume.GetOrigin()

    def download(_name):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "LiverTumorSegCT")
        slicer.util.updateVolumeFromArray(node, voxels)
        node.SetSpacing(*spacing)
        node.SetOrigin(*origin)
        node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
        return node

    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(downloadSample=download))
    monkeypatch.setattr(slicer.util, "selectModule", lambda _name: panel.widget.enter())
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _name: panel.widget)
    said = []
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda text, _milliseconds: said.append(text))
    path = list(sys.path)
    application.module.LiverTumorSegTest().runTest()
    assert said[-1] == "LiverTumorSeg: passed"
    assert len(said) == 5
    assert sys.path == path
    assert "LiverTumorSegSelfTest" in sys.modules
    assert (MODULE_FOLDER / "Testing" / "Python" / "LiverTumorSegSelfTest.py").is_file()


def test_self_test_fails_when_a_check_cannot_run_although_torch_is_there(phantomPanel, monkeypatch, slicer):
    monkeypatch.syspath_prepend(str(MODULE_FOLDER / "Testing" / "Python"))
    from LiverTumorSegPanel import dependencies
    from LiverTumorSegSelfTest import LiverTumorSegSelfTest

    test = LiverTumorSegSelfTest()
    test.widget, test.skipped = phantomPanel.widget, []
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
    with pytest.raises(AssertionError, match="no image data"):
        test._canSegment(empty)
    monkeypatch.setattr(dependencies, "missingPackages", lambda: ["torch"])
    assert not test._canSegment(empty)
    assert test.skipped
