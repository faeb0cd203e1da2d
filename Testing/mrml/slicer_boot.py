"""Boot Slicer's own MRML without the desktop: the scene, logics and I/O that `slicer.util` and the panel expect.

The wheel `slicer-core` brings the real node classes, logics and `slicer/util.py`; what the desktop application adds
to them at start-up is added here once per test process. `slicer.i18n` is the one stand-in.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path

MODULE_FOLDER = Path(__file__).parents[2] / "LiverTumorSeg"


class CoreIOManager:
    """The reading and writing that qSlicerCoreIOManager does, for the node types of these tests."""

    def __init__(self, logics):
        self._logics = logics

    def fileType(self, path):
        return "SegmentationFile" if str(path).endswith(".seg.nrrd") else "VolumeFile"

    def loadNodes(self, fileType, properties, loaded, _messages=None):
        path = str(properties["fileName"])
        if fileType == "SegmentationFile":
            node = self._logics["Segmentations"].LoadSegmentationFromFile(path, False, properties.get("name"))
        elif fileType == "VolumeFile":
            name = properties.get("name") or Path(path).name.partition(".")[0]
            node = self._logics["Volumes"].AddArchetypeVolume(path, name, 0)
        else:
            raise NotImplementedError(fileType)
        if node is not None:
            loaded.AddItem(node)
        return node is not None

    def fileWriterFileType(self, node):
        return node.GetClassName()

    def saveNodes(self, _fileType, properties, _messages=None):
        import slicer

        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(properties["fileName"]))
        return bool(storage.WriteData(node))


class LayoutManager:
    """Three slice views with Slicer's real slice logics; no 3D widget."""

    threeDViewCount = 0

    def __init__(self):
        self.logics = {}

    def sliceViewNames(self):
        return tuple(self.logics)

    def mrmlSliceLogics(self):
        import vtk

        collection = vtk.vtkCollection()
        for logic in self.logics.values():
            collection.AddItem(logic)
        return collection


class Application:
    """What `slicer.app` answers."""

    applicationName = "Slicer"

    def __init__(self, applicationLogic, logics):
        self.temporaryPath = tempfile.gettempdir()
        self._applicationLogic = applicationLogic
        self._io = CoreIOManager(logics)
        self._layout = LayoutManager()
        self.connections = []

    def applicationLogic(self):
        return self._applicationLogic

    def coreIOManager(self):
        return self._io

    def layoutManager(self):
        return self._layout

    def testingEnabled(self):
        return True

    def startupEnvironment(self):
        return dict(os.environ)

    def connect(self, signal, function):
        self.connections.append((signal, function))

    def moduleManager(self):
        return self  # whose only use is `connect`

    def disconnect(self, signal, function):
        self.connections.remove((signal, function))

    def pauseRender(self):
        return None

    def resumeRender(self):
        return None

    def translate(self, _context, text):
        return text


def boot():
    """Return the booted `slicer` package; the second call returns the first call's."""
    import slicer
    import vtk

    if hasattr(slicer, "mrmlScene"):
        return slicer
    _addTranslation(slicer)
    if str(MODULE_FOLDER) not in sys.path:
        sys.path.insert(0, str(MODULE_FOLDER))
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkMRMLApplicationLogic()
    classes = {
        "Colors": slicer.vtkSlicerColorLogic,  # first: display nodes ask it for default colours
        "Terminologies": slicer.vtkSlicerTerminologiesModuleLogic,
        "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
        "Volumes": slicer.vtkSlicerVolumesLogic,
        "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
        "Sequences": slicer.vtkSlicerSequencesLogic,
    }
    vtk.vtkObject.GlobalWarningDisplayOff()  # the wheel has no colour and terminology files to load
    terminologyFolder = tempfile.mkdtemp(prefix="terminologies-")
    logics = {name: logicClass() for name, logicClass in classes.items()}
    logics["Terminologies"].SetUserContextsPath(terminologyFolder)
    for name, logic in logics.items():
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
    logics["Colors"].SetMRMLScene(scene)
    application.SetMRMLScene(scene)
    for name in list(logics)[1:]:
        logics[name].SetMRMLScene(scene)
    vtk.vtkObject.GlobalWarningDisplayOn()
    modules = types.SimpleNamespace(
        **{name.lower(): types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )
    slicer.mrmlScene, slicer.app, slicer.modules = scene, Application(application, logics), modules
    addViews(slicer)
    return slicer


def addViews(slicer):
    """Give the scene its subject hierarchy and slice views, as the desktop does at start and after every close."""
    scene = slicer.mrmlScene
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for name in ("Red", "Green", "Yellow"):
        if scene.GetSingletonNode(name, "vtkMRMLSliceNode") is None:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLScene(scene)
            logic.AddSliceNode(name)  # and its composite node
            logic.GetSliceNode().SetDimensions(400, 400, 1)
            slicer.app.layoutManager().logics[name] = logic


def _addTranslation(slicer):
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda _context, text: text
    slicer.i18n = sys.modules["slicer.i18n"] = translation
