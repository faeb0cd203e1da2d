"""Pictures of the panel and of the views, taken from a real run: the artefacts that the documentation shows.

By default they are taken of the phantom, into the test's own folder. To renew those of the documentation::

    LIVERTUMORSEG_SCREENSHOTS=Resources/Screenshots pytest Testing/panel/test_screenshots.py

With ``LIVERTUMORSEG_SCREENSHOT_CT=FILE`` the shipped models are shown on that CT instead; the documentation shows
CRLM-CT-1006 (Colorectal-Liver-Metastases, CC BY 4.0) at 3 mm.
"""

import ctypes.util
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PIL import Image
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
    volume.SetName("Portal venous CT")
    opened = request.getfixturevalue("panel")
    opened.open()
    opened.volume = volume
    return opened


def grabBoth(panel, folder, name):
    """Save the panel in Slicer's light and dark colours."""
    grab(panel, folder / f"{name}.png")
    with darkTheme(panel):
        grab(panel, folder / f"{name}_dark.png")


def test_pictures(shownPanel, slicer, tmp_path):
    panel, ui = shownPanel, shownPanel.ui
    folder = Path(FOLDER).resolve() if FOLDER else tmp_path
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    grabBoth(panel, folder, "panel_start")
    ui.segmentButton.click()
    panel.wait(lambda: ui.progressBar.value > 350, 300)
    grabBoth(panel, folder, "panel_running")
    panel.wait(lambda: panel.run is None, 600)
    node = panel.widget.resultSection.node
    assert node is not None, ui.findingsLabel.text
    assert ui.lesionTable.rowCount >= 2
    ui.acceptButton.click()
    ui.rejectButton.click()
    grabBoth(panel, folder, "panel")
    ui.lesionTable.setCurrentCell(1, 0)
    if ctypes.util.find_library("EGL"):
        drawViews(slicer, panel, node, folder)
    ui.qualityComboBox.setCurrentIndex(0)
    ui.segmentButton.click()
    panel.wait(lambda: panel.run is None, 600)
    assert ui.candidateButton.visible
    grabBoth(panel, folder, "panel_second_run")
    ui.closeCandidateButton.click()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(panel.volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), panel.volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    ui.segmentButton.click()
    panel.wait(lambda: panel.run is None, 300)
    assert ui.forceButton.visible
    for result in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        slicer.mrmlScene.RemoveNode(result)
    grabBoth(panel, folder, "panel_refused")


def drawViews(slicer, panel, node, folder):
    """Save the views at the accepted lesion, with its diameters, and a slice through the rejected one."""
    from LiverTumorSegPanel.resultRecords import lesionsOf
    from LiverTumorSegPanel.resultView import worldPosition

    from view_render import renderSlice, renderSurfaces, tiled

    accepted, rejected = (worldPosition(node, lesion.placeRas) for lesion in lesionsOf(node)[:2])
    display = panel.volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(250, 90)
    # The widest side of the patient, or less where there is a wide margin of air.
    field = 0.85 * max(
        length * step
        for length, step in zip(panel.volume.GetImageData().GetDimensions(), panel.volume.GetSpacing(), strict=True)
    )
    close = renderSlice("Red", panel.volume, rejected, fieldOfView=0.4 * field)
    bounds = np.zeros(6)
    panel.volume.GetRASBounds(bounds)
    slices = []
    for axis, name in ((2, "Red"), (1, "Green"), (0, "Yellow")):
        centre = bounds.reshape(3, 2).mean(axis=1)
        centre[axis] = accepted[axis]  # the lesion's slice, the patient in the middle
        slices.append(renderSlice(name, panel.volume, tuple(centre), fieldOfView=field))
    surfaces = renderSurfaces()
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 20 for picture in (*slices, close, surfaces))
    sheet = tiled([slices[0], surfaces, *slices[1:]])
    Image.fromarray(sheet).save(folder / "panel_views.webp", quality=82)
    Image.fromarray(np.ascontiguousarray(close[..., :3])).save(folder / "panel_rejected.webp", quality=82)
