"""The case in Slicer's own scene: CT, segments, rejected lesions, diameters, and where the views look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.grid import affine_of
from LiverTumorSegLib.labels import LIVER, TUMOR, Label
from slicer import vtkMRMLSegmentationNode, vtkOrientedImageData, vtkSegment, vtkSegmentationConverter
from trame_slicer.core import SlicerApp
from trame_slicer.segmentation import AbstractSegmentationEffectBrush, BrushDiameterMode
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4

if TYPE_CHECKING:
    from LiverTumorSegLib.review.figures import LesionFigures

WINDOWS = {"soft tissue": (400.0, 40.0), "liver": (240.0, 80.0), "narrow liver": (150.0, 90.0)}
"""Window and level in HU."""
_RAS = np.array([-1.0, -1.0, 1.0])
_REJECTED_COLOR = (0.75, 0.45, 0.95)
_DIFFERENCES = {"only the second run": (0.35, 0.85, 0.95), "only yours": (0.98, 0.75, 0.25)}
_BEFORE_SLICER, _AFTER_SLICER = 100.0, -100.0
"""Priorities of an observer that hears of an event before or after Slicer's own."""


class CaseScene:
    """Shows one case in the views of a Slicer application.

    Parameters
    ----------
    app : SlicerApp
        Its views follow the scene.
    image : sitk.Image
        CT in HU; every labelmap is on its grid.
    name : str
        Of the case.
    """

    def __init__(self, app: SlicerApp, image: sitk.Image, name: str) -> None:
        self._app, self._image, self.editor = app, image, app.segmentation_editor
        self._matrix = _index_to_ras(image)
        self._name = name
        self._volume = self._ct()
        self._segments = self._rejected = None
        self._lines: list[Any] = []
        self._shows_rejected = False
        self._differences: Any = None
        self._clicks: list[tuple[Any, int]] = []
        self._fits: dict[str, int] = {}
        self._writing = False

    @property
    def volume(self):  # type: ignore[no-untyped-def]  # a class of the slicer wheel
        """Return the CT's node."""
        return self._volume

    def add_result(self) -> None:
        """Make what a result needs: segments, rejected lesions, diameters. Before that there is only the CT."""
        self._segments = self._segmentation(self._name, (LIVER, TUMOR))
        rejected = Label(1, "rejected", TUMOR.category, TUMOR.type, _REJECTED_COLOR)
        self._rejected = self._segmentation(f"{self._name} rejected", (rejected,))
        self._rejected.GetDisplayNode().SetVisibility2DFill(False)
        self._rejected.GetDisplayNode().SetVisibility3D(False)
        self._rejected.GetDisplayNode().SetVisibility(False)
        display = self._segments.GetDisplayNode()
        display.SetOpacity2DFill(0.18)
        display.SetSegmentOpacity2DFill(LIVER.name, 0.0)
        display.SetSegmentOpacity3D(LIVER.name, 0.25)
        self.editor.set_active_segmentation(self._segments, self._volume)
        self.editor.set_active_segment_id(TUMOR.name)
        self._lines = [self._line(kind) for kind in ("longest", "perpendicular")]

    def show_views(self) -> None:
        """Put the CT into every slice view and fit all views to it."""
        self._app.display_manager.show_volume_in_slice_background(self._volume)
        self._app.display_manager.reset_views()
        for view in self._app.view_manager.get_slice_views():
            # Only the browser tells how large a view is, perhaps after the scan was read.
            self._fits[view.get_singleton_tag()] = view.interactor().AddObserver(
                "WindowResizeEvent", partial(self._fit_once, view), _AFTER_SLICER
            )

    def set_window(self, preset: str) -> None:
        """Set window and level of the CT to one of ``WINDOWS``."""
        self._volume.GetDisplayNode().SetWindowLevel(*WINDOWS[preset])

    def labels(self) -> np.ndarray:
        """Return what the segments hold now, uint8 [z, y, x]: 0, 1 liver, 2 tumour."""
        labels = np.zeros(self._image.GetSize()[::-1], np.uint8)
        for label in (LIVER, TUMOR):
            stored = self._segments.GetSegmentation().GetSegment(label.name)
            image = stored.GetRepresentation(vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
            low_x, high_x, low_y, high_y, low_z, high_z = image.GetExtent()
            if min(high_x - low_x, high_y - low_y, high_z - low_z) < 0:
                continue
            shape = (high_z - low_z + 1, high_y - low_y + 1, high_x - low_x + 1)
            values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
            # The layer may reach beyond the scan by an empty margin.
            inner = tuple(
                slice(max(0, -low), n - low) for low, n in zip((low_z, low_y, low_x), labels.shape, strict=True)
            )
            outer = tuple(
                slice(max(0, low), high + 1) for low, high in ((low_z, high_z), (low_y, high_y), (low_x, high_x))
            )
            labels[outer][values[inner] == stored.GetLabelValue()] = label.value
        return labels

    def set_labels(self, labels: np.ndarray, surfaces: bool = True) -> None:
        """Show a labelmap in the segments; the surfaces in 3D follow, or stay as they are."""
        self._writing = True
        try:
            self._fill_segments(self._segments, labels, surfaces)
        finally:
            self._writing = False

    def set_rejected(self, mask: np.ndarray) -> None:
        """Outline the rejected lesions, bool or uint8 [z, y, x]."""
        shows = bool(mask.any())
        if not shows and not self._shows_rejected:
            return
        self._shows_rejected = shows
        # Each node that is shown costs its share of every picture, an empty one too.
        self._rejected.GetDisplayNode().SetVisibility(shows)
        self._fill_segments(self._rejected, mask.astype(np.uint8))

    def on_edit(self, callback: Callable[[], None]) -> None:
        """Call back after each stroke of the reader, not after `set_labels`."""
        self.editor.segmentation_modified.connect(lambda: None if self._writing else callback())

    def show_surfaces(self, shown: bool) -> None:
        """Show liver and tumours in 3D, or not."""
        self._writing = True
        try:
            self.editor.show_3d(shown)
        finally:
            self._writing = False
        for view in self._app.view_manager.get_threed_views():
            view.fit_view_to_content()

    def size_brush(self, effect: AbstractSegmentationEffectBrush, diameter_mm: float) -> None:
        """Set the brush of paint or erase to a diameter in mm, flat in the slice."""
        effect.set_use_sphere_brush(False)
        effect.set_brush_diameter(diameter_mm, BrushDiameterMode.Absolute)

    def jump(self, lesion: LesionFigures) -> None:
        """Let every slice view look at a lesion's longest diameter and draw its diameters there."""
        self._jump(lesion.longest_lps_mm.mean(axis=0) * _RAS)
        for line, ends in zip(self._lines, (lesion.longest_lps_mm, lesion.perpendicular_lps_mm), strict=True):
            line.RemoveAllControlPoints()
            for end in ends * _RAS:
                line.AddControlPoint(*(float(v) for v in end))
            line.GetDisplayNode().SetVisibility(True)

    def look_at(self, index_zyx: np.ndarray) -> None:
        """Let every slice view look at a voxel."""
        self._jump(self._matrix.MultiplyPoint((*(float(n) for n in index_zyx[::-1]), 1.0))[:3])

    def on_click(self, callback: Callable[[tuple[float, float, float]], None] | None) -> None:
        """Call back with the place (LPS, mm) of each click in a slice view, instead of what a click does there."""
        for view, observer in self._clicks:
            view.interactor().RemoveObserver(observer)
        self._clicks = []
        if callback is None:
            return
        for view in self._app.view_manager.get_slice_views():
            pressed = partial(self._clicked, view, callback)
            observer = view.interactor().AddObserver("LeftButtonPressEvent", pressed, _BEFORE_SLICER)
            self._clicks.append((view, observer))

    def set_differences(self, shown: np.ndarray | None) -> None:
        """Outline where a second run has more tumour (1) or less (2), uint8 [z, y, x]; None takes it away."""
        if shown is None and self._differences is None:
            return
        if self._differences is None:
            more, less = (
                Label(value, name, TUMOR.category, TUMOR.type, color)
                for value, (name, color) in enumerate(_DIFFERENCES.items(), 1)
            )
            self._differences = self._segmentation(f"{self._name} second run", (more, less))
            self._differences.GetDisplayNode().SetVisibility2DFill(False)
            self._differences.GetDisplayNode().SetVisibility3D(False)
        self._differences.GetDisplayNode().SetVisibility(shown is not None)
        if shown is not None:
            self._fill_segments(self._differences, shown)

    def hide_diameters(self) -> None:
        """Take the diameters away: they are those of a lesion that changed."""
        for line in self._lines:
            line.GetDisplayNode().SetVisibility(False)

    def _fit_once(self, view: Any, *_: object) -> None:
        view.interactor().RemoveObserver(self._fits.pop(view.get_singleton_tag()))
        shown = view.get_slice_value()
        view.fit_view_to_content()
        view.set_slice_value(shown)

    def _jump(self, point_ras_mm: Sequence[float]) -> None:
        for view in self._app.view_manager.get_slice_views():
            view.get_view_node().JumpSliceByOffsetting(*(float(v) for v in point_ras_mm))

    def _clicked(self, view: Any, callback: Callable[[tuple[float, float, float]], None], *_: object) -> None:
        x, y = view.interactor().GetEventPosition()
        right, anterior, superior = view.get_view_node().GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))[:3]
        callback((-right, -anterior, superior))

    def _ct(self):  # type: ignore[no-untyped-def]  # a class of the slicer wheel
        volume = self._app.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", self._name)
        volume.CreateDefaultDisplayNodes()
        # Before it sees the voxels: it would look for a window of its own in all of them.
        volume.GetDisplayNode().AutoWindowLevelOff()
        pixels = vtkImageData()
        # Not copied: the scan's own voxels, which outlive the node.
        _fill(pixels, sitk.GetArrayViewFromImage(self._image), copied=False)
        volume.SetAndObserveImageData(pixels)
        volume.SetIJKToRASMatrix(self._matrix)
        return volume

    def _segmentation(self, name: str, labels: tuple[Label, ...]) -> vtkMRMLSegmentationNode:
        node = self._app.segmentation_editor.create_empty_segmentation_node()
        node.SetName(name)
        node.SetReferenceImageGeometryParameterFromVolumeNode(self._volume)
        empty = self._layer(np.zeros(self._image.GetSize()[::-1], np.uint8))
        for label in labels:
            segment = vtkSegment()
            segment.SetName(label.name)
            segment.SetColor(*label.color)
            segment.SetLabelValue(label.value)
            segment.AddRepresentation(vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), empty)
            node.GetSegmentation().AddSegment(segment, label.name)
        return node

    def _fill_segments(self, node: vtkMRMLSegmentationNode, labels: np.ndarray, surfaces: bool = True) -> None:
        """Replace the one layer that the segments of a node share."""
        layer = self._layer(labels)
        segmentation = node.GetSegmentation()
        surface = vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        had_surface = surfaces and segmentation.ContainsRepresentation(surface)
        if had_surface:
            segmentation.RemoveRepresentation(surface)
        for value, segment_id in enumerate(segmentation.GetSegmentIDs(), 1):
            segment = segmentation.GetSegment(segment_id)
            segment.SetLabelValue(value)
            segment.AddRepresentation(vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), layer)
        if had_surface:
            segmentation.CreateRepresentation(surface)
        segmentation.Modified()
        node.Modified()

    def _layer(self, labels: np.ndarray) -> vtkOrientedImageData:
        layer = vtkOrientedImageData()
        _fill(layer, labels)
        layer.SetGeometryFromImageToWorldMatrix(self._matrix)
        return layer

    def _line(self, name: str):  # type: ignore[no-untyped-def]  # a class of the slicer wheel
        line = self._app.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
        line.CreateDefaultDisplayNodes()
        line.SetLocked(True)
        display = line.GetDisplayNode()
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        display.SetSelectedColor(0.5, 0.83, 1.0)
        display.SetGlyphScale(1.0)
        display.SetVisibility(False)
        return line


def _fill(image: vtkImageData, values: np.ndarray, copied: bool = True) -> None:
    z, y, x = values.shape
    image.SetDimensions(x, y, z)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=copied))


def _index_to_ras(image: sitk.Image) -> vtkMatrix4x4:
    values = np.diag([*_RAS, 1.0]) @ affine_of(image)
    matrix = vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(values[row, column]))
    return matrix
