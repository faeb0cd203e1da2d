"""Something shown over the CT for a while: a segmentation that nobody edits and no scene file keeps."""

from __future__ import annotations

import numpy as np
import slicer

from LiverTumorSegPanel.segmentLabels import orientedImage
from LiverTumorSegPanel.volumeExport import GridGeometry


class TemporarySegmentation:
    """Segments in the slice views beside a result, under its transform.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        The result.
    grid : GridGeometry
        Of its CT.
    name : str
        Of the temporary node.
    colors : dict of str to tuple of float
        One segment for each name.
    """

    def __init__(self, node, grid: GridGeometry, name: str, colors: dict[str, tuple[float, ...]]):
        self._grid = grid
        shown = slicer.vtkMRMLSegmentationNode()
        shown.SetName(name)
        shown.SetHideFromEditors(True)
        shown.SetSaveWithScene(False)
        self._shown = slicer.mrmlScene.AddNode(shown)
        self._shown.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        self._shown.CreateDefaultDisplayNodes()
        self._shown.GetDisplayNode().SetSaveWithScene(False)
        for segment, color in colors.items():
            self._shown.GetSegmentation().AddEmptySegment(segment, segment, color)

    def show(self, segment: str, mask: np.ndarray, box: tuple[slice, ...] | None = None) -> None:
        """Let a segment be these voxels, bool or uint8 (k, j, i), of the grid or of a box of it."""
        image = orientedImage(mask.view(np.uint8) if mask.dtype == bool else mask, self._grid, box)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.SetBinaryLabelmapToSegment(image, self._shown, segment, logic.MODE_REPLACE, image.GetExtent())

    def close(self) -> None:
        """Take it away, unless the scene has been closed already."""
        for node in (self._shown.GetDisplayNode(), self._shown):
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
