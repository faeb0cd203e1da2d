"""Show a result in the slice and 3D views, and jump to a lesion."""

from __future__ import annotations

import slicer


def showResult(volumeNode, segmentationNode) -> None:
    """Show the CT in the slice views if it is in none of them, and centre the 3D view on what is visible."""
    if not _isShown(volumeNode):
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    segmentationNode.GetDisplayNode().SetVisibility(True)
    manager = slicer.app.layoutManager()
    if manager is None:  # Slicer without a main window
        return
    for index in range(manager.threeDViewCount):
        manager.threeDWidget(index).threeDView().resetFocalPoint()


def _isShown(volumeNode) -> bool:
    for index in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if volumeNode.GetID() in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()):
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
