"""What a scene holds, as a value that two moments can be compared by; and small scans for tests."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import slicer
import vtk

IGNORED_ELEMENT = "ScriptedModule"
"""The panel's own parameter node records the reader's choices."""


def sceneState():
    """Return the scene as its file would hold it, and the voxels of every image and segment."""
    scene = slicer.mrmlScene
    scene.SetSaveToXMLString(True)
    scene.Commit()
    scene.SetSaveToXMLString(False)
    elements = ElementTree.fromstring(scene.GetSceneXMLString())
    xml = [ElementTree.tostring(element) for element in elements if element.tag != IGNORED_ELEMENT]
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return xml, {node.GetID(): _voxels(node) for node in nodes}


def _voxels(node):
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
        return slicer.util.arrayFromVolume(node).tobytes()
    if node.IsA("vtkMRMLSegmentationNode"):
        return {
            segmentId: slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segmentId).tobytes()
            for segmentId in node.GetSegmentation().GetSegmentIDs()
        }
    return None


def addScan(name="CT", shape=(20, 24, 28), spacing=(0.8, 0.9, 2.5), origin=(11.0, -22.0, 33.0), directions=None):
    """Add a volume of random HU with any axes (columns of `directions`, RAS)."""
    generator = np.random.default_rng(0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, generator.integers(-1000, 1000, shape, dtype=np.int16))
    node.SetSpacing(*spacing)
    node.SetOrigin(*origin)
    if directions is not None:
        node.SetIJKToRASDirections(*np.asarray(directions, float).ravel())
    node.CreateDefaultDisplayNodes()
    return node


def addLinearTransform(name="Acquisition transform"):
    """Add a transform node that turns, scales and shifts."""
    transform = vtk.vtkTransform()
    transform.Translate(30, -20, 10)
    transform.RotateWXYZ(25, 0.3, 0.5, 0.8)
    transform.Scale(1.1, 0.9, 1.0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node


def addNonLinearTransform(name="Bending"):
    """Add a thin-plate-spline transform node."""
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    generator = np.random.default_rng(1)
    for x in (-40, 60):
        for y in (-60, 40):
            for z in (0, 120):
                source.InsertNextPoint(x, y, z)
                target.InsertNextPoint(*(np.array([x, y, z]) + generator.normal(0, 3, 3)))
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetAndObserveTransformToParent(spline)
    return node
