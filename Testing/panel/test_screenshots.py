"""Pictures of the panel and of the views, taken from real runs: the artefacts that the documentation shows.

By default they are taken of the phantom, into the test's own folder. To renew those of the documentation::

    LIVERTUMORSEG_SCREENSHOTS=docs/pictures pytest Testing/panel/test_screenshots.py

With ``LIVERTUMORSEG_SCREENSHOT_CT=FILE`` the shipped models are shown on that CT instead, with
``LIVERTUMORSEG_SCREENSHOT_PAIR=EARLIER:LATER`` the follow-up on those; the documentation shows CRLM-CT-1006
(Colorectal-Liver-Metastases, CC BY 4.0) and two dates of HCC_005 (HCC-TACE-Seg, CC BY 4.0), all at 3 mm. Pictures
whose names end in ``_dark`` are to be looked at.
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
from PySide6 import QtCore, QtGui, QtWidgets
from scipy import ndimage

from reading_session import clickAt, sliceCentre, worldOf

FOLDER = os.environ.get("LIVERTUMORSEG_SCREENSHOTS")
CT = os.environ.get("LIVERTUMORSEG_SCREENSHOT_CT")
PAIR = os.environ.get("LIVERTUMORSEG_SCREENSHOT_PAIR", "").split(os.pathsep)
CATALOGUE = Path(__file__).parents[2] / "Resources" / "Screenshots"
"""The extensions catalogue shows a PNG from here."""
PANEL_WIDTH, MARGIN = 470, 6


def grab(panel, path, section=None):
    """Save the panel as it looks, or one section of it, and check that something is drawn."""
    for _settle in range(3):
        panel.parent.resize(PANEL_WIDTH, panel.parent.layout().totalHeightForWidth(PANEL_WIDTH))
        panel.app.processEvents()
    picture = panel.parent.grab().toImage()
    picture = picture.convertToFormat(picture.Format.Format_RGBX8888)
    pixels = np.frombuffer(picture.bits(), np.uint8).reshape(picture.height(), picture.width(), 4)[..., :3]
    assert len(np.unique(pixels)) > 50
    if section is not None:
        place = QtWidgets.QWidget.mapTo(section, panel.parent, QtCore.QPoint(0, -MARGIN))
        below = place.y() + QtWidgets.QWidget.height(section) + 2 * MARGIN
        pixels = pixels[max(0, place.y()) : below]
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, lossless=True)


@contextmanager
def darkTheme(panel):
    """Slicer's dark colours while pictures are taken."""

    def renew():
        panel.widget.segmentSection.update()
        panel.widget.resultSection.show(panel.widget.resultSection.node)
        panel.widget.followUpSection.use(panel.widget.resultSection.node)

    before, dark = panel.app.palette(), QtGui.QPalette(QtGui.QColor("#434343"), QtGui.QColor("#323232"))
    dark.setColor(dark.ColorRole.Base, "#2a2a2a")
    dark.setColor(dark.ColorRole.AlternateBase, "#383838")
    panel.app.setPalette(dark)
    renew()
    yield
    panel.app.setPalette(before)
    renew()


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


def grabBoth(panel, folder, name, section=None):
    """Save the panel, or a section of it, in Slicer's light and dark colours."""
    grab(panel, folder / f"{name}.webp", section)
    with darkTheme(panel):
        grab(panel, folder / f"{name}_dark.webp", section)


@pytest.fixture
def folder(tmp_path):
    """Where the pictures go."""
    return Path(FOLDER).resolve() if FOLDER else tmp_path


def test_pictures(shownPanel, slicer, application, folder, tmp_path):
    panel, ui = shownPanel, shownPanel.ui
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
    if FOLDER:
        Image.open(folder / "panel.webp").quantize(256).save(CATALOGUE / "panel.png", optimize=True)
    application.qt.QFileDialog.answer = str(tmp_path / "page.html")
    ui.reportButton.click()
    panel.wait(lambda: ui.exportBar.value > 0)
    grab(panel, folder / "panel_export.webp", ui.lesionsButton)
    panel.wait(lambda: not panel.widget.resultSection._export.isWriting)
    application.qt.QFileDialog.answer = str(tmp_path)
    panel.export(ui.trainingButton)
    grab(panel, folder / "panel_training.webp", ui.lesionsButton)
    ui.lesionTable.setCurrentCell(1, 0)
    if ctypes.util.find_library("EGL"):
        drawViews(slicer, panel, node, folder)
        drawSlider(panel, folder)
        drawFinding(slicer, panel, folder)
    ui.qualityComboBox.setCurrentIndex(0)
    ui.segmentButton.click()
    panel.wait(lambda: panel.run is None, 600)
    assert ui.candidateButton.visible
    ui.candidateList.setCurrentRow(0)
    if ctypes.util.find_library("EGL"):
        saveSlices(folder / "panel_second_run_view.webp", closeUp(panel, sliceCentre(slicer)))
    grabBoth(panel, folder, "panel_second_run", ui.candidateButton)
    ui.closeCandidateButton.click()
    ui.advancedButton.collapsed = False
    grabBoth(panel, folder, "panel_advanced", ui.advancedButton)
    ui.advancedButton.collapsed = True
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
    field = fieldOf(panel)
    bounds = np.zeros(6)
    panel.volume.GetRASBounds(bounds)
    slices = []
    for axis, name in ((2, "Red"), (1, "Green"), (0, "Yellow")):
        centre = bounds.reshape(3, 2).mean(axis=1)
        centre[axis] = accepted[axis]  # the lesion's slice, the patient in the middle
        slices.append(renderSlice(name, panel.volume, tuple(centre), fieldOfView=field))
    surfaces = renderSurfaces()
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 20 for picture in (*slices, surfaces))
    sheet = tiled([slices[0], surfaces, *slices[1:]])
    Image.fromarray(sheet).save(folder / "panel_views.webp", quality=82)
    saveSlices(folder / "panel_rejected.webp", closeUp(panel, rejected))


def fieldOf(panel):
    """Return the widest side of the patient in mm, or less where there is a wide margin of air."""
    size, spacing = panel.volume.GetImageData().GetDimensions(), panel.volume.GetSpacing()
    return 0.85 * max(length * step for length, step in zip(size, spacing, strict=True))


def closeUp(panel, place):
    """Return an axial slice around a place in the world."""
    from view_render import renderSlice

    return renderSlice("Red", panel.volume, place, fieldOfView=0.4 * fieldOf(panel))


def saveSlices(path, *slices):
    """Save slices side by side."""
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 20 for picture in slices)
    gap = np.full((len(slices[0]), 4, 3), 40, np.uint8)
    parts = [part for picture in slices for part in (gap, picture[..., :3])][1:]
    Image.fromarray(np.ascontiguousarray(np.hstack(parts))).save(path, quality=82)


def drawSlider(panel, folder):
    """Save a slice before and while the slider is dragged to a higher sensitivity."""
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    slider, session = panel.ui.sensitivitySlider, panel.widget.resultSection.session
    sensitivity, threshold = session.sensitivity(), 0.4 * session.defaultThreshold
    more = (sensitivity.preview(threshold).labels == 2) & (session.labels[sensitivity.box] == 1)
    depth = ndimage.distance_transform_edt(more)
    inside = np.unravel_index(np.argmax(depth), depth.shape)
    place = worldOf(panel, [part.start + at for part, at in zip(sensitivity.box, inside, strict=True)])
    before = closeUp(panel, place)
    slider.sliderPressed.emit()
    slider.value = positionOf(threshold)
    saveSlices(folder / "panel_sensitivity.webp", before, closeUp(panel, place))
    slider.sliderReleased.emit()
    panel.ui.undoButton.click()


def drawFinding(slicer, panel, folder):
    """Save a slice in which a lesion is missed, and after a click there."""
    ui = panel.ui
    region = panel.widget.resultSection.session.verdicts.lesion(3 if ui.lesionTable.rowCount > 2 else 1).region
    mask = np.zeros(panel.volume.GetImageData().GetDimensions()[::-1], bool)
    region.paint(mask, True)
    ui.correctButton.collapsed = False
    count = ui.lesionTable.rowCount
    panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)._stroke("tumor", mask, erase=True)
    panel.wait(lambda: ui.lesionTable.rowCount == count - 1)
    ui.correctButton.collapsed = True
    depth = ndimage.distance_transform_edt(mask)
    middle = np.unravel_index(np.argmax(depth), depth.shape)
    before = closeUp(panel, worldOf(panel, middle))
    clickAt(slicer, panel, middle)
    panel.wait(lambda: "at a score of" in ui.placeLabel.text)
    saveSlices(folder / "panel_found.webp", before, closeUp(panel, worldOf(panel, middle)))


def addCopy(slicer, volume, name, shift):
    """Add a copy of a CT of a patient who lay elsewhere by `shift` (RAS mm)."""
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, volume, name)
    copy.SetOrigin(*np.add(volume.GetOrigin(), shift))
    return copy


def test_pictures_of_other_sections(request, slicer, application, folder, tmp_path, monkeypatch):
    from LiverTumorSegLib.memory import Memory
    from LiverTumorSegPanel import runPlan
    from LiverTumorSegPanel.volumeExport import exportVolume

    if len(PAIR) == 2:
        monkeypatch.delenv("LIVERTUMORSEG_MODELS", raising=False)
        panel = request.getfixturevalue("panel")
        panel.open()
        volumes = [slicer.util.loadVolume(path) for path in PAIR]
    else:
        panel = request.getfixturevalue("phantomPanel")
        volumes = [addCopy(slicer, panel.volume, "earlier", (8.0, -6.0, 4.0)), panel.volume]
    ui = panel.ui
    for volume, name in zip(volumes, ("CT in January", "CT in April"), strict=True):
        volume.SetName(name)
    ui.inputSelector.setMRMLScene(slicer.mrmlScene)
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    results = []
    for volume in volumes:
        ui.inputSelector.setCurrentNode(volume)
        results.append(panel.segment(600))
    ui.followUpButton.collapsed = False
    ui.earlierSelector.setCurrentNode(results[0])
    ui.compareButton.click()
    panel.wait(lambda: panel.widget.followUpSection._process is None, 600)
    assert ui.followUpTable.rowCount >= 1, ui.followUpLabel.text
    for button in (ui.inputButton, ui.segmentSectionButton, ui.lesionsButton):
        button.collapsed = True
    grabBoth(panel, folder, "panel_follow_up", ui.followUpButton)
    ui.followUpButton.collapsed = ui.resultButton.collapsed = True

    scans = tmp_path / "scans"
    scans.mkdir()
    for volume in volumes:
        exportVolume(volume, scans / f"{volume.GetName()}.nrrd")
    (scans / "cut short.nrrd").write_bytes(b"NRRD0004\nno more")
    for button, answer in ((ui.batchScansButton, scans), (ui.batchResultsButton, tmp_path / "results")):
        application.qt.QFileDialog.answer = str(answer)
        button.click()
    ui.batchButton.collapsed = False
    ui.batchStartButton.click()
    batch = panel.widget.batchSection
    panel.wait(lambda: batch._process is None or any(scan.kind == "done" for scan in batch._scans), 600)
    grab(panel, folder / "panel_many_running.webp", ui.batchButton)
    panel.wait(lambda: batch._process is None, 600)
    grabBoth(panel, folder, "panel_many", ui.batchButton)
    ui.batchButton.collapsed = True

    for result in results:
        slicer.mrmlScene.RemoveNode(result)
    ui.inputButton.collapsed = ui.segmentSectionButton.collapsed = False
    little = Memory(16 * 2**30, 2**28)
    monkeypatch.setattr(runPlan, "machine_memory", lambda: little)
    panel.widget.segmentSection.update()
    grabBoth(panel, folder, "panel_memory")
    for volume in volumes:
        slicer.mrmlScene.RemoveNode(volume)
    panel.app.processEvents()
    grabBoth(panel, folder, "panel_first")
