"""What another sensitivity would give, shown in the slice views while the slider moves; the result is not touched."""

from __future__ import annotations

import numpy as np
import slicer
from LiverTumorSegLib.labels import TUMOR

from LiverTumorSegPanel.segmentLabels import orientedImage, segmentIdOf
from LiverTumorSegPanel.volumeExport import GridGeometry

NAME = "Preview"


class PreviewDisplay:
    """A segmentation node of one segment, in place of the result's tumour for as long as the slider moves.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        The result.
    grid : GridGeometry
        Of its CT.
    """

    def __init__(self, node, grid: GridGeometry):
        self._node, self._grid = node, grid
        self._preview = slicer.vtkMRMLSegmentationNode()
        self._preview.SetName(NAME)
        self._preview.SetHideFromEditors(True)
        self._preview.SetSaveWithScene(False)
        self._preview = slicer.mrmlScene.AddNode(self._preview)
        self._preview.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        self._preview.CreateDefaultDisplayNodes()
        self._preview.GetDisplayNode().SetSaveWithScene(False)
        self._preview.GetSegmentation().AddEmptySegment(NAME, NAME, TUMOR.color)
        self._tumor = segmentIdOf(node, TUMOR.name)
        self._wasVisible = node.GetDisplayNode().GetSegmentVisibility(self._tumor)
        node.GetDisplayNode().SetSegmentVisibility(self._tumor, False)

    def show(self, mask: np.ndarray, box: tuple[slice, ...]) -> None:
        """Show these voxels, bool or uint8 (k, j, i), of a box of the grid."""
        image = orientedImage(mask.view(np.uint8) if mask.dtype == bool else mask, self._grid, box)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.SetBinaryLabelmapToSegment(image, self._preview, NAME, logic.MODE_REPLACE, image.GetExtent())

    def close(self) -> None:
        """Take the preview away and show the result again."""
        display = self._preview.GetDisplayNode()
        for node in (display, self._preview):
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        if self._node.GetDisplayNode() is not None:
            self._node.GetDisplayNode().SetSegmentVisibility(self._tumor, self._wasVisible)
