"""Pictures of the panel and of the views, taken from a real run: the artefacts that the documentation shows.

By default they are taken of the phantom, into the test's own folder. To renew those of the documentation::

    LIVERTUMORSEG_SCREENSHOTS=Resources/Screenshots pytest Testing/panel/test_screenshots.py

With ``LIVERTUMORSEG_SCREENSHOT_CT=FILE`` the shipped models are shown on that CT instead.
"""

import ctypes.util
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PySide6 import QtGui

FOLDER = os.environ.get("LIVERTUMORSEG_SCREENSHOTS")
CT = os.environ.get("LIVERTUMORSEG_SCREENSHOT_CT")
PANEL_WIDTH = 470


def grab(panel, path):
    """Save the panel as it looks, and check that something is drawn."""
    for _settle in range(3):
        panel.parent.resize(PANEL_WIDTH, panel.parent.layout().totalHeightForWidth(PANEL_WIDTH))
        panel.app.processEvents()
    picture = panel.parent.grab()
    assert picture.save(str(path))
    pixels = np.frombuffer(picture.toImage().convertToFormat(picture.toImage().Format.Format_RGB32).bits(), np.uint8)
    assert len(np.unique(pixels)) > 50


@contextmanager
def darkTheme(panel):
    """Slicer's dark colours while pictures are taken."""
    before, dark = panel.app.palette(), QtGui.QPalette(QtGui.QColor("#434343"), QtGui.QColor("#323232"))
    dark.setColor(dark.ColorRole.Base, "#2a2a2a")
    dark.setColor(dark.ColorRole.AlternateBase, "#383838")
    panel.app.setPalette(dark)
    panel.widget.segmentSection.update()
    panel.widget.resultSection.show(panel.widget.resultSection.node)
    yield
    panel.app.setPalette(before)
    panel.widget.segmentSection.update()
    panel.widget.resultSection.show(panel.widget.resultSection.node)


@pytest.fixture
def shownPanel(request, slicer, monkeypatch):
    """An opened panel with the CT to show."""
    if not CT:
        opened = request.getfixturevalue("phantomPanel")
        opened.volume.SetName("Phantom CT")
        opened.ui.inputSelector.setMRMLScene(slicer.mrmlScene)  # reads the names anew
        return opened
    monkeypatch.delenv("LIVERTUMORSEG_MODELS", raising=False)
    volume = slicer.util.loadVolume(CT)
    opened = request.getfixturevalue("panel")
    opened.open()
    opened.volume = volume
    return opened


def test_pictures(shownPanel, slicer, tmp_path):
    panel, ui = shownPanel, shownPanel.ui
    folder = Path(FOLDER).resolve() if FOLDER else tmp_path
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    ui.segmentButton.click()
    panel.wait(lambda: ui.progressBar.value > 350, 300)
    grab(panel, folder / "panel_running.png")
    panel.wait(lambda: panel.run is None, 600)
    node = panel.widget.resultSection.node
    assert node is not None, ui.findingsLabel.text
    if ui.lesionTable.rowCount:
        ui.acceptButton.click()
        ui.rejectButton.click()
    grab(panel, folder / "panel.png")
    with darkTheme(panel):
        grab(panel, folder / "panel_dark.png")
    ui.lesionTable.setCurrentCell(ui.lesionTable.rowCount - 1, 0)
    ui.undoButton.click()
    if ctypes.util.find_library("EGL"):
        drawViews(slicer, panel, node, folder / "panel_views.png")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(panel.volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), panel.volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    ui.segmentButton.click()
    panel.wait(lambda: panel.run is None, 300)
    assert ui.forceButton.visible
    slicer.mrmlScene.RemoveNode(node)
    with darkTheme(panel):
        grab(panel, folder / "panel_refused_dark.png")
    grab(panel, folder / "panel_refused.png")


def drawViews(slicer, panel, node, path):
    """Save the slice views at the largest lesion (or the liver's centre) and the surfaces."""
    from LiverTumorSegPanel.resultRecords import lesionsOf
    from LiverTumorSegPanel.resultView import worldPosition
    from PySide6.QtGui import QImage

    from view_render import renderSlice, renderSurfaces, tiled

    lesions = lesionsOf(node)
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    centre = tuple((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3))
    place = worldPosition(node, lesions[0].placeRas) if lesions else centre
    display = panel.volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(350, 50)
    field = 1.15 * max(
        length * step
        for length, step in zip(panel.volume.GetImageData().GetDimensions(), panel.volume.GetSpacing(), strict=True)
    )
    slices = [renderSlice(name, panel.volume, place, fieldOfView=field) for name in ("Red", "Green", "Yellow")]
    surfaces = renderSurfaces()
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 20 for picture in (*slices, surfaces))
    sheet = np.ascontiguousarray(tiled([slices[0], surfaces, *slices[1:]]))
    height, width, _channels = sheet.shape
    assert QImage(sheet.data, width, height, 3 * width, QImage.Format.Format_RGB888).save(str(path))
