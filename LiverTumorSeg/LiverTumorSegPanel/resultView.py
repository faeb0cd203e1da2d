"""Show a result in the slice and 3D views, and jump to a lesion."""

from __future__ import annotations

import slicer

from LiverTumorSegPanel.resultRecords import isResult


def showResult(volumeNode, segmentationNode) -> None:
    """Show a result and no other one in the views: contours of one patient must not lie over the CT of another.

    The slice views are set and fitted only when the CT is in none of them. Segmentations that are no results stay as
    they are, and so do results that the reader gave views of their own, as to see two dates side by side.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode or None
        Its CT; None where that is gone.
    segmentationNode : vtkMRMLSegmentationNode
        The result.
    """
    if volumeNode is not None and not _isShown(volumeNode):
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        for index in range(node.GetNumberOfDisplayNodes()):
            display = node.GetNthDisplayNode(index)
            if node is segmentationNode:
                display.SetVisibility(True)
            elif isResult(node) and not display.GetNumberOfViewNodeIDs():
                display.SetVisibility(False)
    manager = slicer.app.layoutManager()
    if manager is None:  # Slicer without a main window
        return
    for index in range(manager.threeDViewCount):
        manager.threeDWidget(index).threeDView().resetFocalPoint()


def _isShown(volumeNode) -> bool:
    for index in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        shown = {composite.GetBackgroundVolumeID()}
        if composite.GetForegroundOpacity() > 0:
            shown.add(composite.GetForegroundVolumeID())
        if volumeNode.GetID() in shown:
            return True
    return False


def worldPosition(node, ras: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return where a point of a node's own frame lies in the world, through any kind of parent transform."""
    world = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(list(ras), world)
    return tuple(world)


def jumpTo(node, ras: tuple[float, float, float]) -> None:
    """Centre all slice views and 3D cameras on a point of a node's own frame."""
    world = worldPosition(node, ras)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    for index in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLCameraNode").SetFocalPoint(*world)
