"""A missed lesion is found where the reader points; real MRML markups, Qt and the real child process."""

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scene_state import addLinearTransform


def labelsNow(panel):
    from LiverTumorSegPanel.segmentLabels import readLabels

    return readLabels(panel.node, panel.volume)


def worldOf(panel, index):
    """Return the world position of a voxel index (k, j, i)."""
    import vtk

    matrix, world = vtk.vtkMatrix4x4(), [0.0] * 3
    panel.volume.GetIJKToRASMatrix(matrix)
    k, j, i = index
    panel.volume.TransformPointToWorld(matrix.MultiplyPoint((i, j, k, 1))[:3], world)
    return world


def place(slicer, *points):
    """Click as the slice views do: control points of the markup that is being placed."""
    application = slicer.app.applicationLogic()
    selection, interaction = application.GetSelectionNode(), application.GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    node = slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID())
    for point in points:
        node.AddControlPointWorld(*point)
    interaction.SwitchToViewTransformMode()


@pytest.fixture(scope="module")
def segmented(densityModels):
    """What the models make of the phantom: a result of the core."""
    from LiverTumorSegLib.model.bundle import load_bundle
    from LiverTumorSegLib.pipeline.inference import Segmenter

    grid = densityModels.phantom_grid()
    fine, localiser = (load_bundle(densityModels.folder / name) for name in ("liver-tumor", "liver-localiser"))
    return Segmenter(fine, localiser, "cpu", "standard").segment(grid.image(densityModels.phantom(grid)[0]))


@pytest.fixture
def missed(phantomPanel, slicer, segmented):
    """A segmented CT under a transform whose second lesion was erased."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import gridOf

    panel = phantomPanel
    panel.volume.SetAndObserveTransformNodeID(addLinearTransform().GetID())
    panel.before = sitk.GetArrayFromImage(segmented.labelmap)
    labelmap = Labelmap(panel.before, LIVER_TUMOR, gridOf(panel.volume))
    panel.node = commitSegmentation(panel.volume, labelmap, "liver", attributesOfReport(segmented.provenance))
    panel.widget._onResult(panel.node, panel.volume, None)
    panel.ui.correctButton.collapsed = False
    panel.editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    second = panel.widget.resultSection.session.verdicts.lesion(2).region
    panel.small = np.zeros(panel.before.shape, bool)
    panel.small[second.box][second.mask] = True
    panel.middle = [round(axis.mean()) for axis in np.nonzero(panel.small)]
    panel.editor._stroke("tumor", panel.small, erase=True)
    panel.wait(lambda: panel.ui.lesionTable.rowCount == 1)
    yield panel
    assert not [n for n in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if n.GetName() == "Missed lesion"]


def test_a_click_finds_the_missed_lesion_and_nothing_else_changes(missed, slicer, temporaryFolder):
    panel, ui = missed, missed.ui
    erased = labelsNow(panel)
    assert not (erased[panel.small] == 2).any()
    ui.placeButton.click()
    assert ui.placeButton.checked
    assert "Click in a slice view" in ui.placeLabel.text
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Segmenting" in ui.placeLabel.text, 5)
    # A stroke while the child works: what is drawn now must be there afterwards.
    drawn = np.zeros(erased.shape, bool)
    drawn[tuple(slice(n, n + 3) for n in np.argwhere(panel.before == 1)[40])] = True
    drawn &= panel.before == 1
    panel.editor._stroke("tumor", drawn)
    panel.wait(lambda: "Lesion" in ui.placeLabel.text)
    assert not ui.placeButton.checked
    now = labelsNow(panel)
    assert (now[drawn] == 2).all()
    changed = (now != erased) & ~drawn
    assert np.array_equal(changed, panel.small), "exactly the lesion that was missed"
    assert ui.lesionTable.rowCount == 3
    number = int(ui.lesionTable.item(ui.lesionTable.currentRow(), 0).text())
    assert f"Lesion {number} found" in ui.placeLabel.text
    ui.undoButton.click()  # one step
    assert not (labelsNow(panel)[panel.small] == 2).any()
    assert (labelsNow(panel)[drawn] == 2).all()
    process = panel.widget.resultSection._local._process
    child = psutil.Process(process.process.pid)
    ui.placeButton.click()
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Lesion" in ui.placeLabel.text, 30)
    assert panel.widget.resultSection._local._process is process, "the same warm child"
    ui.resultSelector.setCurrentNode(None)
    assert not child.is_running()
    assert not list(temporaryFolder.iterdir())


def test_a_box_is_two_clicks_in_a_slice_view(missed, slicer):
    panel, ui = missed, missed.ui
    corners = [n - 8 for n in panel.middle], [n + 8 for n in panel.middle]
    corners[0][0] = corners[1][0] = panel.middle[0]
    points = [worldOf(panel, corner) for corner in corners]
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    red.RotateToVolumePlane(panel.volume)
    red.JumpSliceByCentering(*points[0])
    ui.boxButton.click()
    place(slicer, points[0], points[1])
    panel.wait(lambda: "Lesion" in ui.placeLabel.text)
    found = (labelsNow(panel) == 2) & (panel.before == 2) & panel.small
    assert np.count_nonzero(found) == np.count_nonzero(panel.small)
    assert np.array_equal(labelsNow(panel), panel.before)


def test_nothing_there_outside_of_it_and_given_up(missed, slicer):
    panel, ui = missed, missed.ui
    before = labelsNow(panel)
    ui.placeButton.click()
    liver = np.argwhere(panel.before == 1)
    far = liver[np.argmax(np.linalg.norm((liver - panel.middle) * panel.volume.GetSpacing()[::-1], axis=1))]
    place(slicer, worldOf(panel, far))
    panel.wait(lambda: "No lesion shows here" in ui.placeLabel.text)
    ui.placeButton.click()
    place(slicer, worldOf(panel, (5000, 0, 0)))
    panel.wait(lambda: "outside of the scan" in ui.placeLabel.text)
    ui.placeButton.click()
    place(slicer)  # Escape
    panel.wait(lambda: not ui.placeButton.checked)
    ui.boxButton.click()
    ui.placeButton.click()
    assert not ui.boxButton.checked
    ui.placeButton.click()
    assert not ui.placeButton.checked
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() != interaction.Place
    assert np.array_equal(labelsNow(panel), before)


def test_a_place_pointed_at_before_the_answer_loses_nothing(missed, slicer):
    """The reader presses Find again while the first place is being segmented, and clicks where nothing is."""
    panel, ui = missed, missed.ui
    erased = labelsNow(panel)
    ui.placeButton.click()
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Segmenting" in ui.placeLabel.text, 10)
    ui.placeButton.click()
    panel.wait(lambda: "Lesion" in ui.placeLabel.text)
    found = labelsNow(panel)
    assert np.array_equal(found != erased, panel.small), "the answer is of the place that was asked for"
    assert ui.placeButton.checked, "the next place is still looked for"
    ui.undoButton.click()
    assert np.array_equal(labelsNow(panel), erased)
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Segmenting" in ui.placeLabel.text, 10)
    ui.placeButton.click()
    far = np.argwhere(panel.before == 1)
    far = far[np.argmax(np.linalg.norm((far - panel.middle) * panel.volume.GetSpacing()[::-1], axis=1))]
    place(slicer, worldOf(panel, far))
    panel.wait(lambda: "No lesion shows here" in ui.placeLabel.text)
    assert np.array_equal(labelsNow(panel), found), "both places were answered"


def test_a_child_that_is_killed_is_said_and_the_next_click_starts_another(missed, slicer):
    panel, ui = missed, missed.ui
    ui.placeButton.click()
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Segmenting" in ui.placeLabel.text, 5)
    psutil.Process(panel.widget.resultSection._local._process.process.pid).kill()
    panel.wait(lambda: "ended by the system" in ui.placeLabel.text)
    ui.placeButton.click()
    place(slicer, worldOf(panel, panel.middle))
    panel.wait(lambda: "Lesion" in ui.placeLabel.text)
    assert np.array_equal(labelsNow(panel), panel.before)


def test_the_rectangle_lies_in_the_view_that_holds_both_corners(slicer):
    from LiverTumorSegPanel.placePicker import rectangle

    green = slicer.mrmlScene.GetSingletonNode("Green", "vtkMRMLSliceNode")
    green.SetOrientationToCoronal()
    green.JumpSliceByCentering(3.0, 7.5, 1.0)
    corners = rectangle((-10.0, 7.5, 4.0), (12.0, 7.5, 30.0))
    assert sorted(tuple(round(v, 6) for v in corner) for corner in corners) == [
        (-10.0, 7.5, 4.0),
        (-10.0, 7.5, 30.0),
        (12.0, 7.5, 4.0),
        (12.0, 7.5, 30.0),
    ]
    assert rectangle((0.0, 0.0, 0.0), (10.0, 20.0, 30.0)) == [(0.0, 0.0, 0.0), (10.0, 20.0, 30.0)]
