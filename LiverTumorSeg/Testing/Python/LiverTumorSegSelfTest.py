"""Self-tests that run inside a real Slicer: the panel, a real child process, the result in the real scene.

What only an eye can tell, after *Reload and Test* (the sample CT is then segmented):

* light and dark theme (Edit > Application Settings > Appearance): every word can be read;
* up and down in the lesion table: slices and 3D centre on the lesion, two yellow lines are drawn over it;
* dragging *Sensitivity*: the lesions follow the mouse without a stutter;
* *Correct* open: "1" takes up the brush; *Correct* closed: it does not, and the space bar does nothing;
* erase a lesion: the hole is liver at once, the table follows; *Undo* brings it back, surfaces too;
* *Find at a click*: the mouse places one point in a slice view, Escape or a right click gives it up; *Find in a box*:
  two corners; the answer comes within seconds, and the markup is gone;
* *DICOM…* for a CT from Slicer's DICOM module: both files can be imported again and lie on the CT;
* a ``.ltsmodel`` file dropped on Slicer: "Liver tumour model" is offered, and the panel has chosen it;
* *Follow-up* with two results: the curves can be read in both themes; *Page…* opens in a browser;
* *Many scans*: start, go to another module and back, cancel; *Open summary* opens the browser;
* the panel at its narrowest: no column of the table is cut.
"""

import time
import unittest
from pathlib import Path

import numpy as np
import slicer

TIMEOUT_S = 600


class LiverTumorSegSelfTest(unittest.TestCase):
    """Drives the module's widget as a reader would."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("LiverTumorSeg")
        self.widget = slicer.util.getModuleWidget("LiverTumorSeg")

    def runTest(self):
        """Run all tests, one after the other, as Slicer's self-test runner expects."""
        self.skipped = []
        for test in (self.checkPanel, self.checkEmptyVolume, self.checkCancel, self.checkSegmentation):
            self.setUp()
            slicer.util.delayDisplay(f"LiverTumorSeg: {test.__name__}", 50)
            test()
        if self.skipped:
            slicer.util.delayDisplay(f"LiverTumorSeg: {len(self.skipped)} checks skipped: {self.skipped[0]}", 500)
        else:
            slicer.util.delayDisplay("LiverTumorSeg: passed", 50)

    def checkPanel(self):
        """The panel offers nothing to press while there is no CT."""
        self.assertFalse(self.widget.ui.segmentButton.enabled)
        self.assertFalse(self.widget.ui.cancelButton.visible)

    def checkEmptyVolume(self):
        """A volume without voxels is refused with a sentence."""
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
        self.widget.ui.inputSelector.setCurrentNode(volume)
        self.assertIn("has no image data", self.widget.ui.inputFindingsLabel.text)
        self.assertFalse(self.widget.ui.segmentButton.enabled)

    def checkCancel(self):
        """Cancel leaves the scene as it was and no folder behind."""
        if not self._canSegment(self._syntheticVolume()):
            return
        before = slicer.mrmlScene.GetNumberOfNodes()
        self.widget.ui.segmentButton.click()
        run = self.widget.segmentSection.run
        self._wait(lambda: self.widget.ui.progressBar.value > 0 or self.widget.segmentSection.run is None)
        self.widget.ui.cancelButton.click()
        self._wait(lambda: self.widget.segmentSection.run is None)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.assertFalse(Path(run.folder).exists())

    def checkSegmentation(self):
        """The sample CT gets a liver, in a new node under the CT's transform."""
        import SampleData
        from LiverTumorSegPanel.sampleData import SAMPLE_NAME

        volume = SampleData.downloadSample(SAMPLE_NAME)
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        volume.SetAndObserveTransformNodeID(transform.GetID())
        if not self._canSegment(volume):
            return
        self.widget.ui.segmentButton.click()
        self._wait(lambda: self.widget.segmentSection.run is None)
        node = self.widget.resultSection.node
        self.assertIsNotNone(node, self.widget.ui.findingsLabel.text)
        self.assertEqual(node.GetParentTransformNode(), transform)
        liver = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)
        liters = np.count_nonzero(liver) * float(np.prod(volume.GetSpacing())) / 1e6
        self.assertGreater(liters, 0.7)
        self.assertLess(liters, 4.0)

    def _canSegment(self, volume) -> bool:
        """Choose a volume; say so and go on when this Slicer has no torch. Any other hindrance is a failure."""
        from LiverTumorSegPanel.dependencies import missingPackages

        self.widget.ui.inputSelector.setCurrentNode(volume)
        said = self.widget.ui.inputFindingsLabel.text
        if missingPackages():
            self.skipped.append(said)
            return False
        self.assertTrue(self.widget.ui.segmentButton.enabled, said)
        return True

    def _syntheticVolume(self):
        """Add an air-filled volume with a soft body, large enough that a run takes a moment."""
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Synthetic CT")
        array = np.full((60, 160, 160), -1000, np.int16)
        array[:, 20:140, 20:140] = 60
        slicer.util.updateVolumeFromArray(volume, array)
        volume.SetSpacing(2, 2, 4)
        return volume

    def _wait(self, condition) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            slicer.app.processEvents()
            time.sleep(0.02)
            self.assertLess(time.monotonic(), deadline, "the run took too long")
