"""Fixtures of the panel tests: real MRML, real Qt without a display, the real .ui file and module."""

import importlib.util
import os
import sys
import time
import types
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "mrml")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from slicer_boot import MODULE_FOLDER, addViews, boot


@pytest.fixture(scope="session")
def application():
    """Qt, MRML and the module's Python file, loaded once."""
    import qt_stand_in

    slicer = boot()
    qt = qt_stand_in.makeQtModule()
    app = qt.QApplication.instance() or qt.QApplication(["panel-tests"])
    app.setStyle("Fusion")
    import slicer_widgets

    slicer_widgets.registerWidgets()
    import slicer_stand_in

    slicer_stand_in.install()
    path = MODULE_FOLDER / "LiverTumorSeg.py"
    spec = importlib.util.spec_from_file_location("LiverTumorSeg", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["LiverTumorSeg"] = module
    spec.loader.exec_module(module)
    slicer.modules.livertumorseg = types.SimpleNamespace(path=str(path))
    slicer.app.setOverrideCursor = lambda _cursor: None
    slicer.app.restoreOverrideCursor = lambda: None
    slicer.app.clipboard = app.clipboard
    slicer.app.palette = app.palette
    slicer.app.extensionsManagerModel = slicer_stand_in.ExtensionsManagerModel
    slicer.app.processEvents = app.processEvents
    return types.SimpleNamespace(slicer=slicer, qt=qt, app=app, module=module)


class Panel:
    """The opened panel and what a reader does with it."""

    def __init__(self, application):
        import slicer_stand_in

        self.slicer, self.app = application.slicer, application.app
        self.parent = slicer_stand_in.makeParent()
        self.widget = application.module.LiverTumorSegWidget(self.parent)
        self.widget.setup()
        self.ui = self.widget.ui

    @property
    def run(self):
        return self.widget.segmentSection.run

    def open(self):
        self.widget.enter()
        self.parent.show()
        self.app.processEvents()

    def wait(self, condition, seconds=240.0):
        """Let Qt work until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.app.processEvents()
            time.sleep(0.02)
            said = f"{self.ui.statusLabel.text}\n{self.ui.findingsLabel.text}\n{self.ui.logText.plainText}"
            assert time.monotonic() < deadline, f"waited too long; the panel says: {said}"

    def segment(self, seconds=240):
        """Press Segment, wait for the end, return the result that is shown."""
        assert self.ui.segmentButton.enabled, self.ui.inputFindingsLabel.text
        self.ui.segmentButton.click()
        self.wait(lambda: self.run is None, seconds)
        return self.widget.resultSection.node

    def export(self, button):
        """Press a button that exports and wait until it is written; return what the panel says then."""
        button.click()
        self.wait(lambda: not self.widget.resultSection._export.isWriting)
        return self.ui.exportLabel.text

    def close(self):
        self.widget.cleanup()
        self.parent.hide()
        self.parent.deleteLater()
        self.app.processEvents()


@pytest.fixture
def slicer(application):
    scene = application.slicer.mrmlScene
    scene.Clear(False)
    for node in (scene.GetSingletonNode("LiverTumorSeg", "vtkMRMLScriptedModuleNode"),):
        if node is not None:
            scene.RemoveNode(node)
    addViews(application.slicer)
    application.qt.QSettings.values.clear()
    dialogs = application.qt.QFileDialog
    dialogs.answer, dialogs.mayClose = "", lambda: True
    dialogs.asked.clear()
    yield application.slicer
    scene.Clear(False)


@pytest.fixture
def temporaryFolder(slicer, tmp_path, monkeypatch):
    """The folder Slicer makes temporary files in; a path that is long and not ASCII."""
    folder = tmp_path / "Ťemp 肝 é"
    folder.mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(folder))
    return folder


@pytest.fixture
def panel(application, slicer, temporaryFolder, monkeypatch):
    """A panel on an empty scene; an exception in a Qt slot or a VTK observer fails the test."""
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, trace: raised.append(error.with_traceback(trace)))
    opened = Panel(application)
    yield opened
    opened.close()
    if raised:
        raise raised[0]
    scene = slicer.mrmlScene
    for observed in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent):
        scene.RemoveObservers(observed)


@pytest.fixture(scope="session")
def densityModels(tmp_path_factory):
    """A folder with two real bundles whose weights read liver and tumour off the density (see end_to_end)."""
    path = HERE.parent / "end_to_end" / "conftest.py"
    spec = importlib.util.spec_from_file_location("end_to_end_fixtures", path)
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    from LiverTumorSegLib.model.bundle import save_bundle

    folder = tmp_path_factory.mktemp("models")
    save_bundle(fixtures.density_bundle("liver-tumor", 2.0), folder / "liver-tumor")
    save_bundle(fixtures.density_bundle("localiser", 3.0), folder / "liver-localiser")
    return types.SimpleNamespace(folder=folder, phantom=fixtures.phantom, phantom_grid=fixtures.phantom_grid)


@pytest.fixture
def phantomPanel(densityModels, slicer, tmp_path, temporaryFolder, monkeypatch, request):
    """An opened panel with a CT of known liver and tumours, and models that see them."""
    import SimpleITK as sitk

    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(densityModels.folder))
    grid = densityModels.phantom_grid()
    values, labels = densityModels.phantom(grid)
    path = tmp_path / "; rm -rf ~ é.nrrd"
    sitk.WriteImage(grid.image(values), str(path))
    volume = slicer.util.loadVolume(str(path))
    opened = request.getfixturevalue("panel")
    opened.open()
    opened.volume, opened.labels = volume, labels
    return opened


@pytest.fixture
def reading(panel, slicer):
    """An opened panel with a result of three lesions and a fourth that only a lower threshold shows."""
    import numpy as np
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf
    from scene_state import addLinearTransform, addScan

    from reading_session import FAINT, SHAPE, SPACING, labelArray

    panel.open()
    volume = addScan("CT", SHAPE, SPACING)
    volume.SetAndObserveTransformNodeID(addLinearTransform().GetID())
    labels = labelArray()
    report = {"threshold": 0.5, "volumes_ml": {}, "lesions": [], "model": {"id": "m", "version": "1"}}
    grid = gridOf(volume)
    node = commitSegmentation(volume, Labelmap(labels, LIVER_TUMOR, grid), "CT liver 1", attributesOfReport(report))
    scores = np.where(labels == 2, 230, 5).astype(np.uint8)
    scores[FAINT] = 90
    panel.widget._onResult(node, volume, coreGrid(volume).image(scores))
    panel.volume, panel.node = volume, node
    return panel
