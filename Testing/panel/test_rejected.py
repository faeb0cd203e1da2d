"""A rejected lesion is liver, but can be seen and taken back: a dashed outline, drawn by Slicer's own managers."""

import ctypes.util

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scipy import ndimage

from reading_session import LESIONS, labelArray, labelsNow, verdicts, worldOf

SIZE, FIELD_MM = 400, 80.0


def outlines(slicer):
    return slicer.mrmlScene.GetSingletonNode("LiverTumorSegRejected", "vtkMRMLModelNode")


def rejectFirst(reading):
    reading.ui.lesionTable.setCurrentCell(0, 0)
    reading.ui.rejectButton.click()


def test_it_is_struck_out_dashed_and_comes_back_voxel_for_voxel(reading, slicer):
    ui = reading.ui
    assert outlines(slicer) is None
    rejectFirst(reading)
    model = outlines(slicer)
    assert model.GetTransformNodeID() == reading.node.GetTransformNodeID()
    assert model.GetHideFromEditors()
    assert not model.GetSaveWithScene()
    assert not model.GetDisplayNode().GetVisibility3D()
    bounds = np.array(model.GetPolyData().GetBounds()).reshape(3, 2)
    corners = [worldOf(reading, [getattr(s, end) - (end == "stop") for s in LESIONS[0]]) for end in ("start", "stop")]
    world = np.zeros(6)
    model.GetRASBounds(world)
    assert world.reshape(3, 2).mean(axis=1) == pytest.approx(np.mean(corners, axis=0), abs=1.0), bounds
    ui.lesionTable.setCurrentCell(0, 0)
    assert ui.rejectButton.text == "Take back"
    assert ui.lesionTable.item(0, 1).font().strikeOut()
    ui.rejectButton.click()
    assert outlines(slicer) is None
    assert ui.rejectButton.text == "Reject"
    assert np.array_equal(labelsNow(reading), labelArray())


def test_it_goes_with_the_session_and_follows_undo(reading, slicer):
    rejectFirst(reading)
    reading.ui.resultSelector.setCurrentNode(None)
    assert outlines(slicer) is None
    reading.ui.resultSelector.setCurrentNode(reading.node)
    assert outlines(slicer) is not None
    before = outlines(slicer).GetPolyData()
    reading.ui.lesionTable.setCurrentCell(1, 0)
    reading.ui.rejectButton.click()
    assert outlines(slicer).GetPolyData().GetNumberOfPoints() > before.GetNumberOfPoints()
    reading.ui.undoButton.click()
    assert outlines(slicer).GetPolyData().GetNumberOfPoints() == before.GetNumberOfPoints()


@pytest.mark.skipif(not ctypes.util.find_library("EGL"), reason="drawing needs the system library EGL")
@pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
def test_slicers_managers_draw_dashes_on_its_border(reading, slicer, view):
    from view_render import renderSlice

    rejectFirst(reading)
    place = worldOf(reading, [(s.start + s.stop - 1) / 2 for s in LESIONS[0]])
    model, pictures = outlines(slicer), []
    reading.node.GetDisplayNode().SetVisibility(False)
    for shown in (False, True):
        model.GetDisplayNode().SetVisibility(shown)
        picture = renderSlice(view, reading.volume, place, SIZE, FIELD_MM).astype(int)
        pictures.append(picture[..., :3])
    drawn = np.abs(pictures[1] - pictures[0]).max(axis=2) > 40
    dashes, count = ndimage.label(ndimage.binary_dilation(drawn), np.ones((3, 3)))
    assert count >= 5, "separate dashes"
    lengths = ndimage.sum_labels(np.ones_like(dashes), dashes, np.arange(1, count + 1))
    whole = ndimage.binary_dilation(expectedBorder(reading, slicer, view), iterations=3)
    assert drawn[~whole].mean() < 1e-3, "nothing but the border"
    assert 0.25 < (drawn.sum() / 2) / (expectedBorder(reading, slicer, view).sum()) < 0.75
    assert lengths.max() < 0.4 * lengths.sum()


def expectedBorder(reading, slicer, view):
    """Return the outline of the lesion in the view's pixels, from the voxels."""
    import vtk

    node = slicer.app.layoutManager().logics[view].GetSliceNode()
    toWorld = node.GetXYToRAS()
    toIjk, world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    reading.volume.GetRASToIJKMatrix(toIjk)
    reading.volume.GetParentTransformNode().GetMatrixTransformFromWorld(world)
    vtk.vtkMatrix4x4.Multiply4x4(toIjk, world, toIjk)
    vtk.vtkMatrix4x4.Multiply4x4(toIjk, toWorld, toIjk)
    matrix = np.array([[toIjk.GetElement(r, c) for c in range(4)] for r in range(4)])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    pixels = np.stack([columns.ravel(), SIZE - 1 - rows.ravel(), np.zeros(SIZE * SIZE), np.ones(SIZE * SIZE)])
    i, j, k = np.round(matrix @ pixels)[:3]
    inside = np.ones(SIZE * SIZE, bool)
    for index, box in zip((k, j, i), LESIONS[0], strict=True):
        inside &= (index >= box.start) & (index < box.stop)
    inside = inside.reshape(SIZE, SIZE)
    return inside & ~ndimage.binary_erosion(inside)


def test_undo_after_the_slider_brings_numbers_rejections_and_sensitivity_back(reading, slicer):
    """At another sensitivity the rejected lesion is one with a lesion that stands: nothing is lost by going back."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.sensitivitySlider import positionOf
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf

    ui, labels = reading.ui, labelsNow(reading)
    scores = np.where(labels == 2, 230, 5).astype(np.uint8)
    scores[20:24, 20:27, 12:20] = 90  # between the first lesion and the second
    drawn, report = Labelmap(labels, LIVER_TUMOR, gridOf(reading.volume)), attributesOfReport({"threshold": 0.5})
    reading.node = commitSegmentation(reading.volume, drawn, "CT liver 2", report)
    reading.widget._onResult(reading.node, reading.volume, coreGrid(reading.volume).image(scores))
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    before, numbers = labelsNow(reading), [ui.lesionTable.item(row, 0).text() for row in range(3)]
    slider = ui.sensitivitySlider
    slider.sliderPressed.emit()
    slider.value = positionOf(0.3)
    slider.sliderReleased.emit()
    assert ui.lesionTable.rowCount == 2, "they are one"
    ui.lesionTable.setCurrentCell(1, 0)
    ui.acceptButton.click()
    ui.undoButton.click()
    assert np.array_equal(labelsNow(reading), before)
    assert [ui.lesionTable.item(row, 0).text() for row in range(ui.lesionTable.rowCount)] == numbers
    assert verdicts(reading) == ["", "reject", "accept"], "what was decided since stays"
    assert slider.value == positionOf(0.5)
    assert "Default" in ui.sensitivityLabel.text
    ui.lesionTable.setCurrentCell(1, 0)
    ui.rejectButton.click()
    assert np.array_equal(labelsNow(reading), labels), "and can be taken back"
