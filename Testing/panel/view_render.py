"""Draw slice and 3D views with Slicer's own displayable managers, without a display."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLModelSliceDisplayableManager")
THREE_D_MANAGERS = ("vtkMRMLSegmentationsDisplayableManager3D",)


def _window(size):
    renderer = vtk.vtkRenderer()
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(size, size)
    window.SetMultiSamples(0)
    window.AddRenderer(renderer)
    interactor = vtk.vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    return window, renderer, interactor


def _pixels(window):
    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1].copy()


def _group(names, factoryClass, renderer, viewNode):
    factory = factoryClass.GetInstance()
    factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = factory.InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(viewNode)
    return group


def renderSlice(name, volume, ras, size=420, fieldOfView=380.0):
    """Return an RGB picture of one slice view, centred on a world point."""
    logic = slicer.app.layoutManager().logics[name]
    node = logic.GetSliceNode()
    orient = {"Red": node.SetOrientationToAxial, "Green": node.SetOrientationToCoronal}
    orient.get(name, node.SetOrientationToSagittal)()
    node.SetDimensions(size, size, 1)
    node.SetFieldOfView(fieldOfView, fieldOfView, 1)
    node.JumpSliceByCentering(*ras)
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    logic.UpdatePipeline()
    window, renderer, _interactor = _window(size)
    actor = vtk.vtkActor2D()
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    actor.SetMapper(mapper)
    actor.SetLayerNumber(0)
    renderer.AddViewProp(actor)
    group = _group(SLICE_MANAGERS, slicer.vtkMRMLSliceViewDisplayableManagerFactory, renderer, node)
    picture = _pixels(window)
    group.SetMRMLDisplayableNode(None)
    return picture


def renderSurfaces(size=420):
    """Return an RGB picture of the 3D view from the front."""
    scene = slicer.mrmlScene
    node = scene.GetFirstNodeByClass("vtkMRMLViewNode") or scene.AddNewNodeByClass("vtkMRMLViewNode")
    window, renderer, _interactor = _window(size)
    renderer.SetBackground(0.75, 0.76, 0.91)
    renderer.SetBackground2(0.45, 0.47, 0.65)
    renderer.GradientBackgroundOn()
    window.SetAlphaBitPlanes(1)
    renderer.SetUseDepthPeeling(True)
    group = _group(THREE_D_MANAGERS, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, renderer, node)
    window.Render()
    renderer.ResetCamera()
    camera = renderer.GetActiveCamera()
    focus = camera.GetFocalPoint()
    camera.SetPosition(focus[0] + 200, focus[1] + 600, focus[2] + 150)
    camera.SetViewUp(0, 0, 1)
    renderer.ResetCamera()
    camera.Zoom(1.4)
    picture = _pixels(window)
    group.SetMRMLDisplayableNode(None)
    return picture


def tiled(pictures, gap=4):
    """Return four pictures as one, two by two."""
    size = pictures[0].shape[0]
    sheet = np.full((2 * size + gap, 2 * size + gap, 3), 40, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 2)
        sheet[row * (size + gap) :, column * (size + gap) :][:size, :size] = picture[..., :3]
    return sheet
