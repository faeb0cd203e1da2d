# ruff: noqa: N802, N803, N815, RUF001 - Slicer calls this file: its camelCase, its typography
"""3D Slicer module: segment the liver and its tumours in a CT. Metadata, parameter node and widget only."""

import enum
import sys
from pathlib import Path

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

MODULE_FOLDER = Path(__file__).parent


class LiverTumorSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Liver Tumour Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SubjectHierarchy", "Terminologies"]
        parent.contributors = ["LiverTumorSeg contributors"]
        parent.helpText = _(
            "Segments the liver and its tumours in a contrast-enhanced abdominal CT and lists every lesion with its "
            "volume and diameters. Choose the CT, press Segment, correct the result with the Segment Editor below. "
            "Everything is computed on this computer. <b>For research use only: not a medical device, not for "
            "diagnosis or treatment decisions.</b>"
        )
        parent.acknowledgementText = _(
            "The shipped models were trained on public scans of The Cancer Imaging Archive; each model folder "
            "carries a model card that names them."
        )
        slicer.app.connect("startupCompleted()", _registerSampleData)


def _registerSampleData() -> None:
    from LiverTumorSegPanel.sampleData import registerSampleData

    registerSampleData(MODULE_FOLDER / "Resources" / "Icons")


class Quality(enum.Enum):
    """How long a run may take."""

    quick = "quick"
    standard = "standard"
    best = "best"

    def label(self) -> str:
        """Return what the combo box shows."""
        return {
            Quality.quick: _("Quick – a first look"),
            Quality.standard: _("Standard"),
            Quality.best: _("Best – slower"),
        }[self]


@parameterNodeWrapper
class LiverTumorSegParameterNode:
    """The reader's choices, saved with the scene.

    inputVolume - The CT.
    quality - How long a run may take.
    model - Id, version and hash of the chosen model as JSON; empty for the first one found.
    device - As on the command line: auto, cuda:N, mps, cpu.
    result - The segmentation whose figures are shown.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    quality: Quality = Quality.standard
    model: str = ""
    device: str = "auto"
    result: vtkMRMLSegmentationNode


class LiverTumorSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Connects the panel's sections with the scene and the parameter node."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = None
        self._binding = None

    def setup(self) -> None:
        """Build the panel; nothing is installed, no torch is imported, no process started."""
        ScriptedLoadableModuleWidget.setup(self)
        from LiverTumorSegPanel.batchSection import BatchSection
        from LiverTumorSegPanel.followUpSection import FollowUpSection
        from LiverTumorSegPanel.resultSection import ResultSection
        from LiverTumorSegPanel.segmentSection import SegmentSection

        panel = slicer.util.loadUI(self.resourcePath("UI/LiverTumorSeg.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = LiverTumorSegLogic()
        self.segmentSection = SegmentSection(self.ui, MODULE_FOLDER, self._onResult)
        self.resultSection = ResultSection(self.ui, MODULE_FOLDER, self.segmentSection.placeRequest)
        self.followUpSection = FollowUpSection(self.ui, MODULE_FOLDER)
        segmenting = self.segmentSection
        self.batchSection = BatchSection(
            self.ui, MODULE_FOLDER, segmenting.batchOptions, segmenting.models.channels, self._onResult
        )
        self.sections = (self.segmentSection, self.resultSection, self.followUpSection, self.batchSection)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """End child processes and let go of everything; called when Slicer closes and before a reload."""
        self.setParameterNode(None)
        for section in self.sections:
            section.close()
        self.removeObservers()

    def enter(self) -> None:
        """Prepare what is needed once the module is shown."""
        self.initializeParameterNode()
        for section in self.sections:
            section.enter()

    def exit(self) -> None:
        """Put the editing tool away: another module is shown. A run goes on."""
        for section in self.sections:
            section.exit()

    def onReload(self) -> None:
        """Read the panel and the core anew as well: Slicer's *Reload* knows only the module's own file."""
        for name in list(sys.modules):
            if name.partition(".")[0] in ("LiverTumorSegPanel", "LiverTumorSegLib"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def initializeParameterNode(self) -> None:
        """Take the scene's parameter node, and the first scalar volume if nothing is chosen yet."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volume:
                self._parameterNode.inputVolume = volume

    def setParameterNode(self, parameterNode: LiverTumorSegParameterNode | None) -> None:
        """Follow this parameter node instead of the one before."""
        from LiverTumorSegPanel.widgetBinding import WidgetBinding

        if self._parameterNode:
            self._binding.release()
            self._binding = None
            node = self._parameterNode.parameterNode
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self._parameterNode = parameterNode
        if parameterNode:
            self._binding = WidgetBinding(parameterNode, self.ui)
            # The node, not its wrapper: what is observed is kept, and a wrapper with all that it observes would be.
            node = parameterNode.parameterNode
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        for section in self.sections:
            section.setParameters(parameterNode)
        self._show(parameterNode.result if parameterNode else None)

    def _onParametersModified(self, _caller=None, _event=None) -> None:
        if slicer.mrmlScene.IsImporting():  # the choices of a scene are there before the nodes that they name
            return
        self.segmentSection.update()
        if self._parameterNode and self._parameterNode.result is not self.resultSection.node:
            self._show(self._parameterNode.result)

    def _show(self, node) -> None:
        self.resultSection.show(node)
        self.followUpSection.use(node)

    def _onResult(self, node, volumeNode, probability) -> None:
        self.resultSection.showNew(node, volumeNode, probability)
        self.followUpSection.use(self.resultSection.node)
        self._parameterNode.result = self.resultSection.node

    def _onSceneStartClose(self, _caller, _event) -> None:
        for section in self.sections:
            section.forgetScene()
        self.setParameterNode(None)

    def _onSceneEndClose(self, _caller, _event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def _onSceneEndImport(self, _caller, _event) -> None:
        if self._parameterNode:  # it may have been replaced, and the panel shown what was half loaded
            self.setParameterNode(None)
            self.initializeParameterNode()


class LiverTumorSegLogic(ScriptedLoadableModuleLogic):
    """Holds the parameter node and segments without the panel; the work is done in LiverTumorSegPanel."""

    def process(self, inputVolume, quality="standard", model=None, device="auto", force=False):
        """Segment a CT in the same child process as the panel does, and wait for it; Slicer stays responsive.

        Parameters
        ----------
        inputVolume : vtkMRMLScalarVolumeNode
            The CT.
        quality : str
            "quick", "standard" or "best".
        model : path-like, optional
            A model folder; the first one found when None.
        device : str
            As on the command line: "auto", "cuda:N", "mps", "cpu".
        force : bool
            Pass over findings that may be passed over, as *Segment anyway* does.

        Returns
        -------
        vtkMRMLSegmentationNode
            A new node with the segments "liver" and "tumor"; its attributes ``LiverTumorSeg.*`` hold the figures.

        Raises
        ------
        ValueError
            For a quality that does not exist.
        RuntimeError
            One sentence saying why nothing was segmented; the scene is as it was.
        """
        from LiverTumorSegPanel.headless import segmentAndWait

        return segmentAndWait(inputVolume, MODULE_FOLDER, Quality(quality).value, model, device, force)

    def getParameterNode(self) -> LiverTumorSegParameterNode:
        """Return the scene's parameter node, made if there is none."""
        return LiverTumorSegParameterNode(super().getParameterNode())


class LiverTumorSegFileReader:
    """Opens a model in one file; Slicer finds it by its name, and asks it about every file that is dropped."""

    def __init__(self, parent) -> None:
        from LiverTumorSegPanel.modelFileReader import ModelFileReader

        reader = ModelFileReader(parent)
        for name in ("description", "fileType", "extensions", "canLoadFile", "load"):
            setattr(self, name, getattr(reader, name))


class LiverTumorSegTest(ScriptedLoadableModuleTest):
    """The self-test that Slicer runs; the tests themselves are in Testing/Python."""

    def runTest(self) -> None:
        """Run every self-test of the module."""
        sys.path.insert(0, str(MODULE_FOLDER / "Testing" / "Python"))
        try:
            from LiverTumorSegSelfTest import LiverTumorSegSelfTest
        finally:
            sys.path.pop(0)
        LiverTumorSegSelfTest().runTest()
