"""What the views show beside the panel's figures: the chosen result over its own CT, and no other one."""

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from reading_session import FAINT, labelArray
from test_review import addResultOfAnotherCt
from test_second_run import secondRun


def backgrounds(slicer):
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {slicer.mrmlScene.GetNodeByID(node.GetBackgroundVolumeID()).GetName() for node in nodes}


def isVisible(node):
    return bool(node.GetDisplayNode().GetVisibility())


def fieldOfView(slicer):
    return slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetFieldOfView()


@pytest.fixture
def two(reading):
    """A result, and after it a run on another patient's CT that has just ended."""
    reading.other, reading.otherVolume, probability = addResultOfAnotherCt(labelArray())
    reading.widget._onResult(reading.other, reading.otherVolume, probability)
    return reading


def test_contours_of_one_patient_do_not_lie_over_the_ct_of_another(two, slicer):
    assert backgrounds(slicer) == {"Other"}
    assert isVisible(two.other)
    assert not isVisible(two.node)
    two.ui.resultSelector._activate(two.node)
    assert two.widget.resultSection.node is two.node
    assert backgrounds(slicer) == {"CT"}
    assert isVisible(two.node)
    assert not isVisible(two.other)


def test_what_the_reader_arranged_stays(two, slicer):
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn by the reader")
    drawn.CreateDefaultDisplayNodes()
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    composites[-1].SetBackgroundVolumeID(two.volume.GetID())  # two dates side by side
    two.other.GetDisplayNode().AddViewNodeID(red.GetID())
    red.SetFieldOfView(40, 40, 1)
    two.ui.resultSelector._activate(two.node)
    assert backgrounds(slicer) == {"CT", "Other"}
    assert fieldOfView(slicer) == (40, 40, 1)
    assert isVisible(two.node)
    assert isVisible(two.other), "it has a view of its own"
    assert isVisible(drawn)


def test_a_ct_under_a_clear_foreground_is_not_shown(two, slicer):
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(two.volume.GetID())
        composite.SetForegroundOpacity(0)
    two.ui.resultSelector._activate(two.node)
    assert backgrounds(slicer) == {"CT"}


def test_table_and_contours_are_of_the_same_run(reading, slicer):
    reading.ui.lesionTable.setCurrentCell(1, 0)
    reading.ui.rejectButton.click()
    other = labelArray()
    other[FAINT] = 2
    second = secondRun(reading, slicer, other)
    assert isVisible(reading.node)
    assert not isVisible(second)
    before = fieldOfView(slicer)
    reading.ui.resultSelector._activate(second)
    assert reading.ui.lesionTable.rowCount == 4
    assert isVisible(second)
    assert not isVisible(reading.node)
    assert fieldOfView(slicer) == before, "the CT was shown already"


def test_a_scene_that_is_loaded_keeps_its_own_views(two, slicer, tmp_path):
    from test_saved_session import saveAsFolder

    two.node.GetDisplayNode().SetVisibility(True)
    two.other.GetDisplayNode().SetVisibility(False)
    load = saveAsFolder(slicer, tmp_path)
    slicer.mrmlScene.Clear(False)
    load()
    two.app.processEvents()
    assert two.widget.resultSection.node.GetName() == "Other liver 1"
    assert isVisible(slicer.mrmlScene.GetFirstNodeByName("CT liver 1"))
    assert not isVisible(slicer.mrmlScene.GetFirstNodeByName("Other liver 1"))
