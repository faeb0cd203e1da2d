"""Where lesions were rejected: dashed outlines in the slice views, for rejected lesions are liver in the segments.

Slicer draws the outline of a segment, and a markups curve, only as a whole line. A model is drawn where it crosses the
slice, so the surface of a rejected lesion with holes in it gives dashes in every slice view, however it is turned. The
model is not saved, not offered anywhere and no segment: nothing that is exported knows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from LiverTumorSegLib.labels import TUMOR
from LiverTumorSegLib.review.region import Region
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from LiverTumorSegPanel.volumeExport import GridGeometry, gridOf

TAG = "LiverTumorSegRejected"
PERIOD_MM = 4.0
"""Of the pattern of holes; a dash and its gap together take about half of it along an outline."""


class RejectedOutlines:
    """Draws the rejected lesions of one session at a time."""

    def __init__(self) -> None:
        self._shown: tuple[tuple[Region, ...], GridGeometry | None] = ((), None)

    def show(self, session) -> None:
        """Draw what is rejected in a `ReviewSession`; nothing for None."""
        regions = () if session is None else tuple(x.region for x in session.verdicts.lesions if x.rejected)
        grid = gridOf(session.volumeNode) if regions else None
        model = slicer.mrmlScene.GetSingletonNode(TAG, "vtkMRMLModelNode")
        if not regions:
            if model is not None:
                for node in (model.GetDisplayNode(), model):
                    slicer.mrmlScene.RemoveNode(node)
        else:
            if model is None or (regions, grid) != self._shown:
                model = model or _newModel()
                model.SetAndObservePolyData(dashedSurface(regions, grid))
            model.SetAndObserveTransformNodeID(session.volumeNode.GetTransformNodeID())
        self._shown = regions, grid


def dashedSurface(regions: Sequence[Region], grid: GridGeometry) -> vtk.vtkPolyData:
    """Return the surfaces of some regions of a grid with holes, in RAS mm of the grid's own frame."""
    joined = vtk.vtkAppendPolyData()
    for region in regions:
        joined.AddInputData(_surface(region))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([value for row in grid.ijkToRas for value in row])
    toRas = vtk.vtkTransform()
    toRas.SetMatrix(matrix)
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetInputConnection(joined.GetOutputPort())
    placed.SetTransform(toRas)
    placed.Update()
    surface = placed.GetOutput()
    # A gyroid: it cuts lines of any direction at nearly even distances.
    x, y, z = vtk_to_numpy(surface.GetPoints().GetData()).T.astype(float) * (2 * np.pi / PERIOD_MM)
    pattern = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    surface.GetPointData().SetScalars(numpy_to_vtk(pattern, deep=True))
    dashes = vtk.vtkClipPolyData()
    dashes.SetInputData(surface)
    dashes.SetValue(0.0)
    dashes.Update()
    clipped = dashes.GetOutput()
    clipped.GetPointData().SetScalars(None)
    return clipped


def _surface(region: Region) -> vtk.vtkPolyData:
    """Return the surface of a region in voxel indices i, j, k."""
    padded = np.pad(region.mask.astype(np.uint8), 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*padded.shape[::-1])
    k, j, i = (s.start - 1 for s in region.box)
    image.SetOrigin(i, j, k)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    return edges.GetOutput()


def _newModel():
    model = slicer.vtkMRMLModelNode()
    model.SetName(_("Rejected lesions"))
    model.SetSingletonTag(TAG)
    model.SetHideFromEditors(True)
    model.SetSaveWithScene(False)
    model = slicer.mrmlScene.AddNode(model)
    model.CreateDefaultDisplayNodes()
    display = model.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)
    display.SetScalarVisibility(False)
    display.SetColor(*TUMOR.color)
    display.SetSliceIntersectionThickness(2)
    return model
