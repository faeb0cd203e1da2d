"""A reader's session to test with: a CT under a transform, a result of three lesions and a faint fourth."""

import json

import numpy as np

SHAPE, SPACING = (40, 60, 70), (1.0, 1.2, 2.0)
LESIONS = (np.s_[10:20, 15:27, 12:24], np.s_[24:30, 20:28, 12:20], np.s_[14:18, 36:40, 30:34])
FAINT = np.s_[28:32, 36:41, 28:33]
ORGAN = np.s_[4:36, 8:50, 6:44]


def labelArray():
    labels = np.zeros(SHAPE, np.uint8)
    labels[ORGAN] = 1
    for box in LESIONS:
        labels[box] = 2
    return labels


def labelsNow(panel):
    from LiverTumorSegPanel.segmentLabels import readLabels

    return readLabels(panel.node, panel.volume)


def verdicts(panel):
    return [lesion["verdict"] for lesion in json.loads(panel.node.GetAttribute("LiverTumorSeg.Lesions"))]


def sliceCentre(slicer):
    matrix = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetSliceToRAS()
    return [matrix.GetElement(row, 3) for row in range(3)]


def worldOf(panel, index):
    """Return the world position of a voxel index (k, j, i)."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    panel.volume.GetIJKToRASMatrix(matrix)
    k, j, i = index
    world = [0.0] * 3
    panel.volume.TransformPointToWorld(matrix.MultiplyPoint((i, j, k, 1))[:3], world)
    return world


def clickAt(slicer, panel, index):
    """Press *Find at a click* and click at a voxel (k, j, i)."""
    application = slicer.app.applicationLogic()
    panel.ui.placeButton.click()
    markup = slicer.mrmlScene.GetNodeByID(application.GetSelectionNode().GetActivePlaceNodeID())
    markup.AddControlPointWorld(*worldOf(panel, index))
    application.GetInteractionNode().SwitchToViewTransformMode()
